//! The other side of the control API: what `weir ps`, `status` and `stop` ask with.

use std::io::{Read as _, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::http::Stream;

/// Where a process can be asked.
#[derive(Debug, Clone)]
pub enum Process {
    /// At its user's socket.
    Socket(PathBuf),
    /// At an address, with a token if it wants one.
    Address {
        /// `host:port`.
        address: String,
        /// The token.
        token: Option<String>,
    },
}

impl Process {
    /// The processes of this user. The sockets of those that are gone are removed.
    ///
    /// # Errors
    /// When the sockets' folder can't be read.
    pub fn all() -> anyhow::Result<Vec<Self>> {
        let mut all = Vec::new();
        for path in super::sockets()? {
            match UnixStream::connect(&path) {
                Ok(_) => all.push(Self::Socket(path)),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => std::fs::remove_file(&path).unwrap_or_default(),
                Err(_) => {} // it is ending
            }
        }
        Ok(all)
    }

    /// The process at a URL such as `http://127.0.0.1:7070`.
    ///
    /// # Errors
    /// When that is no such URL.
    pub fn at(url: &str, token: Option<String>) -> anyhow::Result<Self> {
        let address = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/')).filter(|rest| rest.contains(':') && !rest.contains('/'));
        let address = address.with_context(|| format!("`{url}` is no address of a control API: expected `http://HOST:PORT`, as in `control.listen`"))?;
        Ok(Self::Address { address: address.to_owned(), token })
    }

    /// The answer to a GET, as JSON.
    ///
    /// # Errors
    /// When there is none, or it is a refusal.
    pub fn get(&self, path: &str) -> anyhow::Result<Value> {
        let body = self.ask("GET", path)?;
        serde_json::from_str(&body).with_context(|| format!("{}: the answer to `{path}` is not JSON", self.name()))
    }

    /// Asks for a change.
    ///
    /// # Errors
    /// As [`Process::get`].
    pub fn post(&self, path: &str) -> anyhow::Result<()> {
        self.ask("POST", path).map(drop)
    }

    fn ask(&self, method: &str, path: &str) -> anyhow::Result<String> {
        let (stream, host, token) = match self {
            Self::Socket(path) => (UnixStream::connect(path).map(Stream::Unix), "localhost", None),
            Self::Address { address, token } => (TcpStream::connect(address).map(Stream::Tcp), address.as_str(), token.as_deref()),
        };
        let mut stream = stream.with_context(|| format!("nobody listens at {}", self.name()))?;
        stream.set_timeouts()?;
        let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: {host}\r\nX-Weir: 1\r\n{token}Connection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).with_context(|| format!("{} does not answer", self.name()))?;
        let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("{} answers no HTTP", self.name()))?;
        let status = head.split(' ').nth(1).unwrap_or_default();
        if !status.starts_with('2') {
            bail!("{} refuses `{method} {path}` ({status}): {}", self.name(), body.trim_end());
        }
        Ok(body.to_owned())
    }

    fn name(&self) -> String {
        match self {
            Self::Socket(path) => format!("`{}`", path.display()),
            Self::Address { address, .. } => format!("`{address}`"),
        }
    }
}
