//! `weir demo` and `weir broker`: what somebody sees who has just built Weir.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use weir_tests::broker::eventually;
use weir_tests::kill::binary;

use crate::support::{PATIENCE, stderr};

fn demo(more: &[&str]) -> Command {
    let mut command = Command::new(binary().unwrap());
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).args(["demo", "--listen", "127.0.0.1:0"]).args(more).env_remove("DEMO_SECONDS");
    command
}

/// The number behind a word of the summary.
fn told(text: &str, word: &str) -> u64 {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(word)).unwrap_or_else(|| panic!("no line `{word}` in {text}"));
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn signal(child: &Child, signal: i32) {
    // SAFETY: the child is ours and has not been waited for.
    assert_eq!(unsafe { libc::kill(child.id().try_into().unwrap(), signal) }, 0);
}

#[test]
fn the_demo_shows_windows_and_what_it_sums_up_at_the_end_adds_up() {
    let done = demo(&["--seconds", "9"]).output().unwrap();
    let text = String::from_utf8(done.stdout.clone()).unwrap();
    assert!(done.status.success(), "{text}{}", stderr(&done));
    assert!(text.lines().any(|line| line.starts_with("epoch ") && line.contains("| watermark ") && line.contains("| lag ")), "{text}");
    assert!(text.lines().any(|line| line.contains(" conversion ") && line.contains(':')), "{text}");
    let (read, sent) = (told(&text, "read"), text.split(" records sent").next().unwrap().rsplit(' ').next().unwrap().parse::<u64>().unwrap());
    assert_eq!(read, sent, "{text}");
    assert!(read > 2_000 && told(&text, "delivered") > 0 && told(&text, "rejected") > 0 && told(&text, "late") > 0, "{text}");
    assert!(text.contains("plan plugins/ad-events/pipeline.toml"), "{text}");
    // On a pipe nothing is drawn over.
    assert!(!text.contains('\x1b'), "{text}");
}

#[test]
fn ctrl_c_ends_the_demo_with_its_summary() {
    let mut child = Killed(demo(&[]).stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    lines.find(|line| line.as_ref().unwrap().starts_with("epoch ")).expect("an epoch").unwrap();
    signal(&child.0, libc::SIGINT);
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(child.0.wait().unwrap().success());
    assert!(rest.iter().any(|line| line.trim_start().starts_with("read ")), "{rest:?}");
}

#[test]
fn a_demo_without_its_plugin_says_what_builds_it() {
    let done = demo(&["--plugins", "/nowhere"]).output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    let said = stderr(&done);
    assert!(said.contains("`/nowhere/ad_events.wasm`") && said.contains("make demo") && said.contains("--plugins"), "{said}");
}

#[test]
fn a_demo_whose_page_has_no_place_says_so() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let done =
        Command::new(binary().unwrap()).current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).args(["demo", "--listen", &address]).output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    let said = stderr(&done);
    assert!(said.contains(&format!("`--listen {address}`")) && said.contains("take another address"), "{said}");
}

#[test]
fn weir_broker_serves_any_client_until_it_is_told_to_end() {
    let command = ["--log", "warn", "broker", "--listen", "127.0.0.1:0"];
    let mut broker = Killed(Command::new(binary().unwrap()).args(command).stdout(Stdio::piped()).spawn().unwrap());
    let mut address = String::new();
    BufReader::new(broker.0.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address.trim());
    let producer: BaseProducer = config.create().unwrap();
    producer.send(BaseRecord::<(), _>::to("greetings").payload("hello")).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
    let consumer: BaseConsumer = config.set("group.id", "reader").set("auto.offset.reset", "earliest").create().unwrap();
    consumer.subscribe(&["greetings"]).unwrap();
    let record = eventually("the record comes back", || consumer.poll(Duration::from_millis(200)).and_then(Result::ok).map(|record| record.detach()));
    assert_eq!(record.payload(), Some(b"hello".as_slice()));
    // IMPORTANT: a consumer that closes after its broker has gone waits for its session's 45 s.
    drop((record, consumer));
    signal(&broker.0, libc::SIGTERM);
    assert!(broker.0.wait().unwrap().success());
}

/// A process that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).ok();
    }
}

#[test]
fn a_broker_whose_address_is_taken_says_so() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let done = Command::new(binary().unwrap()).args(["broker", "--listen", &address]).output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    let said = stderr(&done);
    assert!(said.contains(&address) && said.contains("--listen"), "{said}");
}
