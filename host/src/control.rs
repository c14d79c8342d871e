//! The control API: what is known of the pipelines of this process, over HTTP, and the way to stop one. It reads the board and asks; it knows nothing of epochs. What
//! it serves is in `docs/control.md`.
//!
//! A thread for each connection, of which there are few; each has a time in which it must ask and in which it must read. Whoever can open the Unix socket is the user
//! that runs the pipelines. Over TCP anybody may ask who reaches the port, pages in a browser included: [`http::refusal`] is what stands before them.

pub mod client;
mod http;
mod metrics;

use std::io::{BufWriter, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;

use self::http::{Answer, Door, Request, Stream};
use crate::observe::board::{Board, State};
use crate::observe::telemetry;

/// Connections at a time; further ones are closed at once. More would be more threads; fewer would lock out a second viewer with many tabs.
const MAX_CONNECTIONS: usize = 64;
/// How often a viewer that has nothing to hear of epochs hears of the log, and that the connection lives.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How often a viewer is told of what is new at most.
const NEWS_EVERY: Duration = Duration::from_millis(200);

/// Serves a board for as long as the process lives, at the user's socket, if that can be made; and at `listen`, an address such as `127.0.0.1:7070`, to whom shows the
/// token.
///
/// # Errors
/// The address is taken.
///
/// Gives the user's socket, which goes when it is dropped, and the address.
pub fn serve(board: &Arc<Board>, listen: Option<(String, Option<String>)>) -> anyhow::Result<(Option<Socket>, Option<SocketAddr>)> {
    let mut address = None;
    if let Some((listen, token)) = listen {
        let listener = TcpListener::bind(&listen).with_context(|| format!("listen at `{listen}` (`control.listen`): take another address"))?;
        let host = listen.rsplit_once(':').map_or(listen.as_str(), |(host, _)| host).to_owned();
        let bound = listener.local_addr()?;
        address = Some(bound);
        let trusted = bound.ip().is_loopback();
        tracing::info!("the page and the control API are at http://{bound}");
        let door = Door::Tcp { host, token, may_stop_without_token: trusted };
        accept(board, door, move || Ok(Stream::Tcp(listener.accept()?.0)))?;
    }
    let socket = user_socket(board);
    if let Err(error) = &socket {
        tracing::warn!("`weir ps`, `status` and `stop` won't find this process: {error:#}");
    }
    Ok((socket.ok(), address))
}

fn user_socket(board: &Arc<Board>) -> anyhow::Result<Socket> {
    let path = socket_folder()?.join(format!("{}.sock", std::process::id()));
    // Whoever had this number before is gone.
    std::fs::remove_file(&path).ok();
    let listener = UnixListener::bind(&path).with_context(|| format!("make the socket `{}`", path.display()))?;
    accept(board, Door::User, move || Ok(Stream::Unix(listener.accept()?.0)))?;
    Ok(Socket(path))
}

/// The socket of this process; it goes with it.
#[derive(Debug)]
pub struct Socket(PathBuf);

impl Drop for Socket {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

/// Where the sockets of the user's processes are: nobody else may look into it.
fn socket_folder() -> anyhow::Result<PathBuf> {
    // SAFETY: the call has no arguments and always succeeds.
    let user = unsafe { libc::getuid() };
    let folder = match std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder).join("weir"),
        None => std::env::temp_dir().join(format!("weir-{user}")),
    };
    let made = std::fs::DirBuilder::new().mode(0o700).recursive(true).create(&folder);
    made.with_context(|| format!("make the folder `{}` for the control socket", folder.display()))?;
    let owner = std::fs::symlink_metadata(&folder).with_context(|| format!("look at `{}`", folder.display()))?;
    ensure!(
        owner.is_dir() && owner.uid() == user && owner.mode() & 0o077 == 0,
        "`{}` must be a folder of this user's that nobody else may enter: remove it, or set XDG_RUNTIME_DIR",
        folder.display()
    );
    Ok(folder)
}

fn accept(board: &Arc<Board>, door: Door, mut next: impl FnMut() -> std::io::Result<Stream> + Send + 'static) -> anyhow::Result<()> {
    let (board, door, open) = (Arc::clone(board), Arc::new(door), Arc::new(AtomicUsize::new(0)));
    let listen = move || {
        loop {
            let Ok(stream) = next() else {
                // Out of files, most likely; it passes when a connection ends.
                crate::epoch::clock::rest(NEWS_EVERY);
                continue;
            };
            if open.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
                open.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let (board, door, counted) = (Arc::clone(&board), Arc::clone(&door), Arc::clone(&open));
            let answer = move || {
                // A viewer that has gone away is no news.
                connection(&board, &door, stream).ok();
                counted.fetch_sub(1, Ordering::Relaxed);
            };
            if std::thread::Builder::new().name("control".to_owned()).spawn(answer).is_err() {
                open.fetch_sub(1, Ordering::Relaxed);
            }
        }
    };
    std::thread::Builder::new().name("control".to_owned()).spawn(listen).context("start the thread of the control API")?;
    Ok(())
}

fn connection(board: &Board, door: &Door, mut stream: Stream) -> std::io::Result<()> {
    stream.set_timeouts()?;
    let answer = match http::read(&mut stream) {
        Ok(request) => match http::refusal(door, &request) {
            Some(refused) => refused,
            None if request.path == "/events" && request.method == "GET" => return events(board, stream),
            None => route(board, &request),
        },
        Err(refused) => refused,
    };
    answer.write(&mut stream)
}

fn route(board: &Board, request: &Request) -> Answer {
    let parts: Vec<&str> = request.path.split('/').skip(1).collect();
    let get = request.method == "GET";
    match parts.as_slice() {
        ["pipelines", name, "stop"] if request.method == "POST" => {
            if board.stop(name) {
                Answer::text(202, "the pipeline finishes its epoch and stops\n")
            } else {
                Answer::text(404, &format!("no pipeline `{name}` in this process\n"))
            }
        }
        ["pipelines", _, "stop"] => Answer::text(405, "POST stops a pipeline\n"),
        _ if !get => Answer::text(405, "only GET here\n"),
        [""] => Answer::page("text/html; charset=utf-8", include_str!("control/page/index.html")),
        ["page.js"] => Answer::page("text/javascript; charset=utf-8", include_str!("control/page/page.js")),
        ["page.css"] => Answer::page("text/css; charset=utf-8", include_str!("control/page/page.css")),
        ["healthz"] => healthz(board),
        ["metrics"] => Answer::new(200, "text/plain; version=0.0.4; charset=utf-8", metrics::text(&board.totals(), &metrics::process())),
        ["pipelines"] => Answer::json(&pipelines(board)),
        ["progress"] => {
            let all = board.pipelines().into_iter().map(|seen| {
                let name = seen.about.name;
                format!("{}:[{}]", json!(name), board.progress(&name).unwrap_or_default().join(","))
            });
            Answer::new(200, "application/json", format!("{{{}}}", all.collect::<Vec<_>>().join(",")))
        }
        ["progress", name] => match board.progress(name) {
            Some(records) => Answer::new(200, "application/json", format!("[{}]", records.join(","))),
            None => Answer::text(404, &format!("no pipeline `{name}` in this process\n")),
        },
        _ => Answer::text(404, "nothing here: /, /healthz, /metrics, /pipelines, /progress, /events\n"),
    }
}

fn healthz(board: &Board) -> Answer {
    let failed: Vec<String> = board.pipelines().into_iter().filter(|seen| seen.state == State::Failed).map(|seen| seen.about.name).collect();
    if failed.is_empty() { Answer::text(200, "ok\n") } else { Answer::text(503, &format!("failed: {}\n", failed.join(", "))) }
}

fn pipelines(board: &Board) -> serde_json::Value {
    json!({ "version": env!("CARGO_PKG_VERSION"), "pid": std::process::id(), "pipelines": board.pipelines() })
}

/// Server-sent events: the pipelines when they change, each epoch, the log. A viewer that does not read is let go by the stream's timeout.
fn events(board: &Board, stream: Stream) -> std::io::Result<()> {
    let mut out = BufWriter::new(stream);
    Answer::stream_head(&mut out)?;
    let (mut version, mut line) = (0, 0);
    loop {
        let news = board.news(version, HEARTBEAT);
        version = news.version;
        if news.pipelines {
            event(&mut out, "pipelines", &pipelines(board).to_string())?;
        }
        for (name, record) in &news.progress {
            event(&mut out, "progress", &format!("{{\"pipeline\":{},\"progress\":{record}}}", json!(name)))?;
        }
        for (number, log) in telemetry::recent(line) {
            line = number;
            event(&mut out, "log", &log)?;
        }
        out.write_all(b":\n\n")?;
        out.flush()?;
        crate::epoch::clock::rest(NEWS_EVERY);
    }
}

fn event(out: &mut impl Write, kind: &str, data: &str) -> std::io::Result<()> {
    write!(out, "event: {kind}\ndata: {data}\n\n")
}

/// Whether a host is one of the names of this machine itself, or an address: a page elsewhere has a name, and can't make a browser send another one.
fn is_address(host: &str) -> bool {
    host == "localhost" || host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
}

/// The sockets of the user's processes.
fn sockets() -> anyhow::Result<Vec<PathBuf>> {
    let folder = socket_folder()?;
    let entries = std::fs::read_dir(&folder).with_context(|| format!("read `{}`", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_socket(path)).collect();
    paths.sort();
    Ok(paths)
}

fn is_socket(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "sock")
}
