//! As much of HTTP/1.1 as the control API needs: one request a connection, and what is refused before it is looked at. httparse reads the head.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::is_address;
use crate::epoch::clock::Stopwatch;

/// The longest head of a request. Browsers send one of about 1 KB.
const MAX_HEAD: usize = 16 << 10;
/// The longest body: none is looked at.
const MAX_BODY: u64 = 4 << 10;
/// How long a request may take to come, and an answer to be taken.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What no form of another page can send without being asked first.
const OWN_HEADER: &str = "x-weir";

/// Who may come in.
#[derive(Debug)]
pub(super) enum Door {
    /// The user that runs the pipelines.
    User,
    /// Whoever reaches the port.
    Tcp {
        /// The name under which it listens.
        host: String,
        /// What must be shown, if anything.
        token: Option<String>,
        /// Whether only this machine reaches the port.
        may_stop_without_token: bool,
    },
}

/// A connection.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A request, its query taken off the path.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    query: String,
    headers: Vec<(String, String)>,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    kind: &'static str,
    body: String,
}

impl Stream {
    pub(super) fn set_timeouts(&self) -> io::Result<()> {
        let time = Some(TIMEOUT);
        match self {
            Self::Tcp(stream) => stream.set_read_timeout(time).and_then(|()| stream.set_write_timeout(time)),
            Self::Unix(stream) => stream.set_read_timeout(time).and_then(|()| stream.set_write_timeout(time)),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The token of the header, or of the address, where a browser can't set the header.
    fn token(&self) -> Cow<'_, [u8]> {
        if let Some(bearer) = self.header("authorization").and_then(|value| value.strip_prefix("Bearer ")) {
            return Cow::Borrowed(bearer.as_bytes());
        }
        let asked = self.query.split('&').find_map(|pair| pair.strip_prefix("token="));
        percent_decode_str(asked.unwrap_or_default()).into()
    }

    /// Whether it asks for a part of the page that is the same for everybody. A browser asks for those without the token of the page's address.
    fn is_for_a_static_file(&self) -> bool {
        self.method == "GET" && matches!(self.path.as_str(), "/page.js" | "/page.css")
    }
}

/// Reads a request's head. What is wrong with it is the answer.
pub(super) fn read(stream: &mut impl Read) -> Result<Request, Answer> {
    let (mut head, mut buffer, began) = (Vec::new(), [0; 4096], Stopwatch::start());
    loop {
        if began.elapsed() > TIMEOUT {
            return Err(Answer::text(408, "the request came too slowly\n"));
        }
        let count = stream.read(&mut buffer).map_err(|_| Answer::text(408, "the request did not come\n"))?;
        if count == 0 {
            return Err(Answer::text(400, "the request ends within its head\n"));
        }
        head.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if head.len() > MAX_HEAD {
            return Err(Answer::text(431, "the head of the request is longer than 16 KB\n"));
        }
        if let Some(request) = parse(&head)? {
            return Ok(request);
        }
    }
}

/// The request, once its head is whole.
fn parse(head: &[u8]) -> Result<Option<Request>, Answer> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(head) {
        Ok(httparse::Status::Partial) => return Ok(None),
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Answer::text(431, "more than 64 headers\n")),
        Err(error) => return Err(Answer::text(400, &format!("no HTTP request: {error}\n"))),
    }
    let (path, query) = parsed.path.unwrap_or_default().split_once('?').unwrap_or((parsed.path.unwrap_or_default(), ""));
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: parsed.headers.iter().map(|header| (header.name.to_owned(), text(header.value))).collect(),
    };
    let length = request.header("content-length").map(|length| length.trim().parse::<u64>());
    match length {
        Some(Ok(length)) if length > MAX_BODY => Err(Answer::text(413, "no request here has a body\n")),
        Some(Err(_)) => Err(Answer::text(400, "`Content-Length` is no number\n")),
        _ if request.header("transfer-encoding").is_some() => Err(Answer::text(413, "no request here has a body\n")),
        _ => Ok(Some(request)),
    }
}

/// Why a request is not looked at; none: it is.
pub(super) fn refusal(door: &Door, request: &Request) -> Option<Answer> {
    let Door::Tcp { host, token, may_stop_without_token } = door else { return None };
    let Some(asked) = request.header("host") else { return Some(Answer::text(400, "there is no `Host`\n")) };
    let name = asked.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(asked, |(name, _)| name);
    // A page elsewhere can have its own name lead here, but can't have the browser say another one.
    if !(is_address(name) || name.eq_ignore_ascii_case(host)) {
        return Some(Answer::text(403, "`Host` is neither an address nor the name of `control.listen`\n"));
    }
    let own = |origin: &str| origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) == Some(asked);
    if request.header("origin").is_some_and(|origin| !own(origin)) {
        return Some(Answer::text(403, "a page of another origin may not ask\n"));
    }
    if token.as_ref().is_some_and(|token| !request.is_for_a_static_file() && !same(token.as_bytes(), &request.token())) {
        return Some(Answer::text(401, "show the token: `Authorization: Bearer ..`, or `?token=..` in a browser\n"));
    }
    if request.method != "GET" {
        if request.header(OWN_HEADER).is_none() {
            return Some(Answer::text(403, "what changes something has the header `X-Weir: 1`\n"));
        }
        if token.is_none() && !may_stop_without_token {
            return Some(Answer::text(403, "who is not on this machine needs a token to change something: set `control.token`\n"));
        }
    }
    None
}

/// Whether two secrets are the same, in a time that does not tell where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

impl Answer {
    pub(super) fn new(status: u16, kind: &'static str, body: String) -> Self {
        Self { status, kind, body }
    }

    pub(super) fn text(status: u16, body: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body.to_owned())
    }

    pub(super) fn json(body: &serde_json::Value) -> Self {
        Self::new(200, "application/json", body.to_string())
    }

    pub(super) fn page(kind: &'static str, body: &str) -> Self {
        Self::new(200, kind, body.to_owned())
    }

    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { status, kind, body } = self;
        let challenge = if *status == 401 { "WWW-Authenticate: Bearer\r\n" } else { "" };
        let length = body.len();
        let head = format!("HTTP/1.1 {status} {}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{challenge}{COMMON}\r\n", reason(*status));
        out.write_all(head.as_bytes())?;
        out.write_all(body.as_bytes())
    }

    /// The head of an answer that does not end.
    pub(super) fn stream_head(out: &mut impl Write) -> io::Result<()> {
        write!(out, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{COMMON}\r\n")
    }
}

/// The page loads nothing from elsewhere, is in no frame, and an answer is not kept.
const COMMON: &str = "Cache-Control: no-store\r\nContent-Security-Policy: default-src 'self'; img-src 'self' data:; frame-ancestors 'none'\r\nX-Content-Type-Options: nosniff\r\n\
                      Referrer-Policy: no-referrer\r\nConnection: close\r\n";

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        _ => "Service Unavailable",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn door(token: Option<&str>) -> Door {
        Door::Tcp { host: "weir.internal".to_owned(), token: token.map(str::to_owned), may_stop_without_token: true }
    }

    fn asked(door: &Door, head: &str) -> u16 {
        let head = head.replace('\n', "\r\n") + "\r\n\r\n";
        match read(&mut head.as_bytes()) {
            Ok(request) => refusal(door, &request).map_or(200, |answer| answer.status),
            Err(answer) => answer.status,
        }
    }

    #[test]
    fn a_page_elsewhere_can_neither_read_nor_stop() {
        let open = door(None);
        assert_eq!(asked(&open, "GET / HTTP/1.1\nHost: 127.0.0.1:7070"), 200);
        assert_eq!(asked(&open, "GET / HTTP/1.1\nHost: [::1]:7070"), 200);
        assert_eq!(asked(&open, "GET / HTTP/1.1\nHost: weir.internal"), 200);
        assert_eq!(asked(&open, "GET / HTTP/1.1\nHost: evil.example:7070"), 403);
        assert_eq!(asked(&open, "GET / HTTP/1.1"), 400);
        assert_eq!(asked(&open, "GET / HTTP/1.1\nHost: localhost:7070\nOrigin: https://evil.example"), 403);
        assert_eq!(asked(&open, "POST /pipelines/p/stop HTTP/1.1\nHost: localhost:7070"), 403);
        assert_eq!(asked(&open, "POST /pipelines/p/stop HTTP/1.1\nHost: localhost:7070\nOrigin: http://localhost:7070\nX-Weir: 1"), 200);
    }

    #[test]
    fn a_token_is_asked_of_everybody() {
        let locked = door(Some("secret"));
        assert_eq!(asked(&locked, "GET /metrics HTTP/1.1\nHost: localhost"), 401);
        assert_eq!(asked(&locked, "GET /metrics HTTP/1.1\nHost: localhost\nAuthorization: Bearer secre"), 401);
        assert_eq!(asked(&locked, "GET /metrics HTTP/1.1\nHost: localhost\nAuthorization: Bearer secret"), 200);
        assert_eq!(asked(&locked, "GET /?a=b&token=secret HTTP/1.1\nHost: localhost"), 200);
    }

    #[test]
    fn a_token_of_an_address_may_be_written_in_percents_and_the_static_files_of_the_page_need_none() {
        let locked = door(Some("a+b/c d%=&x"));
        assert_eq!(asked(&locked, "GET /events?token=a%2Bb%2Fc%20d%25%3D%26x HTTP/1.1\nHost: localhost"), 200);
        assert_eq!(asked(&locked, "GET /events?token=a+b HTTP/1.1\nHost: localhost"), 401);
        assert_eq!(asked(&locked, "GET /page.js HTTP/1.1\nHost: localhost"), 200);
        assert_eq!(asked(&locked, "GET /page.css HTTP/1.1\nHost: evil.example"), 403);
        assert_eq!(asked(&locked, "GET / HTTP/1.1\nHost: localhost"), 401);
    }

    #[test]
    fn without_a_token_nobody_stops_a_pipeline_from_elsewhere() {
        let door = Door::Tcp { host: "0.0.0.0".to_owned(), token: None, may_stop_without_token: false };
        assert_eq!(asked(&door, "GET /metrics HTTP/1.1\nHost: 10.0.0.1:7070"), 200);
        assert_eq!(asked(&door, "POST /pipelines/p/stop HTTP/1.1\nHost: 10.0.0.1:7070\nX-Weir: 1"), 403);
    }

    #[test]
    fn what_is_no_request_is_refused_within_its_bounds() {
        let open = door(None);
        assert_eq!(asked(&open, "\u{1}\u{2}\u{3}"), 400);
        assert_eq!(asked(&open, "POST / HTTP/1.1\nHost: localhost\nContent-Length: 104857600"), 413);
        assert_eq!(asked(&open, "POST / HTTP/1.1\nHost: localhost\nTransfer-Encoding: chunked"), 413);
        assert_eq!(asked(&open, &format!("GET / HTTP/1.1\nHost: localhost\nX: {}", "x".repeat(20_000))), 431);
        assert_eq!(asked(&open, &format!("GET / HTTP/1.1{}", "\na: b".repeat(100))), 431);
    }
}
