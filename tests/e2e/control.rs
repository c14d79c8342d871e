//! The control API and the verbs that use it, on pipelines that make their rows themselves.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use weir_tests::broker::eventually;
use weir_tests::kill::binary;

use crate::support::stderr;

/// A folder with sockets of its own, and what runs in it.
struct Host {
    folder: tempfile::TempDir,
    child: Option<Child>,
    port: u16,
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().and_then(|()| child.wait()).ok();
        }
    }
}

impl Host {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("weir-control-").tempdir().unwrap();
        std::fs::create_dir(folder.path().join("pipelines")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { folder, child: None, port }
    }

    /// Writes a pipeline that makes ten rows a second and shows them nowhere but in its output.
    fn pipeline(&self, name: &str, more: &str) -> PathBuf {
        let text = format!(
            r#"
name = "{name}"
trigger = {{ every = "100ms" }}
state_dir = "../state/{name}"
{more}

[[source]]
id = "ticks"
rate = {{ rows_per_second = 10 }}
event_time = {{ column = "timestamp", watermark = "1 second" }}

[[step]]
id = "by_second"
input = "ticks"
window = {{ tumbling = "1 second" }}
output_mode = "update"
aggregate = {{ plugin = "std", config = {{ rows = "count(*)" }} }}

[[sink]]
input = "by_second"
console = {{}}
"#
        );
        let file = self.folder.path().join("pipelines").join(format!("{name}.toml"));
        std::fs::write(&file, text).unwrap();
        file
    }

    fn listening(&self, token: &str) -> String {
        format!("control = {{ listen = \"127.0.0.1:{}\"{token} }}", self.port)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary().unwrap());
        command.args(args).env("XDG_RUNTIME_DIR", self.folder.path()).env_remove("WEIR_URL").env_remove("WEIR_TOKEN").stdin(Stdio::null());
        command
    }

    fn run(&mut self, what: &Path) {
        let mut command = self.command(&["run"]);
        self.child = Some(command.arg(what).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    }

    fn ask(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Status and body of an answer to a request.
    fn http(&self, head: &str) -> (u16, String) {
        let mut stream = eventually("the port is open", || TcpStream::connect(("127.0.0.1", self.port)).ok());
        let host = if head.contains("Host:") { String::new() } else { format!("Host: 127.0.0.1:{}\r\n", self.port) };
        stream.write_all(format!("{}\r\n{host}\r\n", head.replace('\n', "\r\n")).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn get(&self, path: &str) -> String {
        let (status, body) = self.http(&format!("GET {path} HTTP/1.1"));
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// The last epoch of a pipeline, once it has had some.
    fn epoch(&self, name: &str, at_least: u64) -> Value {
        eventually("an epoch", || {
            let all: Value = serde_json::from_str(&self.get("/progress")).unwrap();
            let last = all[name].as_array().and_then(|records| records.last()).cloned()?;
            (last["batchId"].as_u64()? >= at_least).then_some(last)
        })
    }
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_api_tells_what_the_pipeline_does_and_stops_it() {
    let mut host = Host::new();
    let file = host.pipeline("ticks", &host.listening(""));
    host.run(&file);
    let last = host.epoch("ticks", 5);
    assert_eq!(last["name"], "ticks");
    assert!(host.get("/healthz").starts_with("ok"));
    let pipelines: Value = serde_json::from_str(&host.get("/pipelines")).unwrap();
    assert_eq!(pipelines["pipelines"][0]["state"], "running");
    assert_eq!(pipelines["pipelines"][0]["outline"]["steps"][0]["id"], "by_second");
    assert!(host.get("/").contains("<title>Weir</title>") && host.get("/page.js").contains("EventSource") && host.get("/page.css").contains("dark"));

    let metrics = host.get("/metrics");
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/control.md")).unwrap();
    for line in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        assert!(page.contains(&format!("| `{name}` | {kind} |")), "docs/control.md does not name `{name}`, a {kind}");
    }
    let shown = |name: &str| metrics.lines().any(|line| line.starts_with(name));
    assert!(shown("weir_input_rows_total{pipeline=\"ticks\"}") && shown("weir_plugin_calls_total{pipeline=\"ticks\",step=\"by_second\"}"), "{metrics}");
    assert!(shown("weir_state_groups") && shown("weir_lag_records") && shown("weir_epoch_seconds_count"), "{metrics}");

    let listed = text(&host.ask(&["ps"]));
    assert!(listed.contains("NAME") && listed.contains("ticks") && listed.contains("running"), "{listed}");
    let status = text(&host.ask(&["status", "ticks"]));
    assert!(status.contains("by_second") && status.contains("ms by stage") && status.contains("records/s"), "{status}");
    let said = stderr(&host.ask(&["stop", "tocks"]));
    assert!(said.contains("no pipeline `tocks` runs: there is `ticks`"), "{said}");
    let stopped = host.ask(&["stop", "ticks"]);
    assert!(stopped.status.success() && text(&stopped).contains("ticks has stopped"), "{}", stderr(&stopped));
    assert!(host.child.as_mut().unwrap().wait().unwrap().success());
    assert!(stderr(&host.ask(&["stop", "ticks"])).contains("no pipeline `ticks` runs, and no other one"));
}

#[test]
fn events_come_as_they_happen() {
    let mut host = Host::new();
    let file = host.pipeline("ticks", &host.listening(""));
    host.run(&file);
    host.epoch("ticks", 2);
    let mut stream = TcpStream::connect(("127.0.0.1", host.port)).unwrap();
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let (mut seen, mut buffer) = (String::new(), [0; 4096]);
    while !(seen.contains("event: pipelines\n") && seen.matches("event: progress\n").count() > 5 && seen.contains("event: log\n")) {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "it ended: {seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    assert!(seen.contains("Content-Type: text/event-stream"));
}

#[test]
fn strangers_are_turned_away_and_cost_nothing() {
    let mut host = Host::new();
    let file = host.pipeline("ticks", &host.listening(", token = \"s3cret\""));
    host.run(&file);
    let status = |head: &str| host.http(head).0;
    assert_eq!(status("GET /metrics HTTP/1.1"), 401);
    assert_eq!(status("GET /metrics HTTP/1.1\nAuthorization: Bearer wrong"), 401);
    assert_eq!(status("GET /metrics HTTP/1.1\nAuthorization: Bearer s3cret"), 200);
    assert_eq!(status("GET /metrics?token=s3cret HTTP/1.1\nHost: evil.example"), 403);
    assert_eq!(status("POST /pipelines/ticks/stop HTTP/1.1\nAuthorization: Bearer s3cret\nOrigin: http://evil.example\nX-Weir: 1"), 403);
    assert_eq!(status("POST /pipelines/ticks/stop HTTP/1.1\nAuthorization: Bearer s3cret"), 403);
    assert_eq!(status("POST /pipelines/ticks/stop HTTP/1.1\nAuthorization: Bearer s3cret\nContent-Length: 104857600"), 413);
    assert_eq!(status("DELETE /pipelines/ticks HTTP/1.1\nAuthorization: Bearer s3cret\nX-Weir: 1"), 405);
    assert_eq!(status("GET /../../etc/passwd HTTP/1.1\nAuthorization: Bearer s3cret"), 404);
    assert_eq!(status("\u{1}\u{2}\u{3}"), 400);
    let url = format!("http://127.0.0.1:{}", host.port);
    assert!(stderr(&host.ask(&["ps", "--url", &url])).contains("401"));
    assert!(text(&host.ask(&["ps", "--url", &url, "--token", "s3cret"])).contains("ticks"));
    assert!(stderr(&host.ask(&["ps", "--url", "ftp://x"])).contains("http://HOST:PORT"));
    // The token is nowhere to be read.
    assert!(!text(&host.ask(&["plan", file.to_str().unwrap()])).contains("s3cret"));
}

#[test]
fn two_sources_of_one_topic_have_a_lag_each_and_a_name_that_runs_twice_is_not_stopped_by_guess() {
    let mut host = Host::new();
    let file = host.pipeline("ticks", &host.listening(""));
    let text = std::fs::read_to_string(&file).unwrap();
    let second = "[[source]]\nid = \"more\"\nrate = { rows_per_second = 10 }\nevent_time = { column = \"timestamp\", watermark = \"1 second\" }\n\n[[step]]";
    std::fs::write(&file, text.replacen("[[step]]", second, 1).replace("input = \"ticks\"", "input = [\"ticks\", \"more\"]")).unwrap();
    host.run(&file);
    host.epoch("ticks", 5);
    let metrics = host.get("/metrics");
    let mut series: Vec<&str> = metrics.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap().0).collect();
    series.sort_unstable();
    let twice = series.windows(2).find(|two| two[0] == two[1]);
    assert_eq!(twice, None);
    assert!(metrics.contains("source=\"ticks\"") && metrics.contains("source=\"more\"") && metrics.contains("declared_by=\"more\""), "{metrics}");

    let elsewhere = std::fs::read_to_string(&file).unwrap().replace("../state/", "../elsewhere/").replace(&host.listening(""), "");
    let twin = file.with_file_name("twin.toml");
    std::fs::write(&twin, elsewhere).unwrap();
    let mut other = host.command(&["run", twin.to_str().unwrap()]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("both run", || (text_of(&host, &["ps"]).matches(" running ").count() == 2).then_some(()));
    let said = stderr(&host.ask(&["stop", "ticks"]));
    other.kill().and_then(|()| other.wait()).unwrap();
    assert!(said.contains("runs in the processes") && said.contains(&other.id().to_string()), "{said}");
    assert!(host.ask(&["stop", "ticks"]).status.success());
}

fn text_of(host: &Host, args: &[&str]) -> String {
    text(&host.ask(args))
}

#[test]
fn one_pipeline_that_fails_does_not_stop_the_others() {
    let mut host = Host::new();
    host.pipeline("good", &host.listening(""));
    let bad = host.pipeline("bad", "weight = 3");
    // Its state folder is a file.
    std::fs::create_dir(host.folder.path().join("state")).unwrap();
    std::fs::write(host.folder.path().join("state/bad"), "").unwrap();
    assert!(bad.exists());
    host.run(&host.folder.path().join("pipelines"));
    host.epoch("good", 5);
    let pipelines: Value = serde_json::from_str(&host.get("/pipelines")).unwrap();
    let states: Vec<(&str, &str)> =
        pipelines["pipelines"].as_array().unwrap().iter().map(|one| (one["name"].as_str().unwrap(), one["state"].as_str().unwrap())).collect();
    assert_eq!(states, [("bad", "failed"), ("good", "running")]);
    assert_eq!(host.http("GET /healthz HTTP/1.1").0, 503);
    assert!(host.ask(&["stop", "good"]).status.success());
    assert_eq!(host.child.as_mut().unwrap().wait().unwrap().code(), Some(1));
}

#[test]
fn pipelines_that_can_t_run_together_are_refused_before_any_starts() {
    let host = Host::new();
    let one = host.pipeline("one", &host.listening(""));
    let text = std::fs::read_to_string(&one).unwrap();
    let two = one.with_file_name("two.toml");
    let both = |change: &dyn Fn(&str) -> String| {
        std::fs::write(&two, change(&text)).unwrap();
        let done = host.ask(&["run", one.to_str().unwrap(), two.to_str().unwrap()]);
        assert_eq!(done.status.code(), Some(1));
        stderr(&done)
    };
    assert!(both(&str::to_owned).contains("has the name of the one at"));
    let said = both(&|text| text.replace("name = \"one\"", "name = \"two\""));
    assert!(said.contains("have the same state folder") && said.contains("one.toml") && said.contains("two.toml"), "{said}");
    let said = both(&|text| text.replace("\"one\"", "\"two\"").replace("state/one", "state/two").replace(&host.port.to_string(), "1"));
    assert!(said.contains("another `control`"), "{said}");
    std::fs::create_dir(host.folder.path().join("empty")).unwrap();
    assert!(stderr(&host.ask(&["run", host.folder.path().join("empty").to_str().unwrap()])).contains("has no pipeline"));
}
