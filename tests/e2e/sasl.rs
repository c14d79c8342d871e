//! Kafka with TLS and SCRAM: rows come through, the password stands nowhere, and a client that is turned away says so and ends.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use weir_tests::broker::{Broker, User, block_on};
use weir_tests::checker::Isolation;
use weir_tests::kill::binary;

use crate::support::{PATIENCE, Trial, numbers, stderr};

const USER: User = User { name: "clicks-reader", password: "correct-horse-battery" };

fn broker() -> &'static Broker {
    static SECURE: LazyLock<Broker> = LazyLock::new(|| Broker::start_secure(USER).unwrap_or_else(|error| panic!("{error:#}")));
    &SECURE
}

/// A pipeline that passes numbers on, with these properties at its source and at its sink.
struct Secure {
    trial: Trial,
    file: PathBuf,
}

impl Secure {
    fn new(what: &str, source: &str, sink: &str) -> Self {
        let trial = Trial::new(what);
        let plain = broker().bootstrap();
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", &plain).create().unwrap();
        let topic = format!("{}.in", trial.name);
        block_on(admin.create_topics(&[NewTopic::new(&topic, 1, TopicReplication::Fixed(1))], &AdminOptions::new())).unwrap();
        let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", &plain).create().unwrap();
        for n in 0..100 {
            let value = format!("{{\"n\":{n}}}");
            producer.send(BaseRecord::<(), _>::to(&topic).partition(0).payload(&value)).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
        let text = r#"
name = "NAME"
state_dir = "state"
trigger = "available-now"
limits = { max_records = 30 }

[[source]]
id = "clicks"
kafka = { brokers = "SECURE", topics = ["NAME.in"], properties = { SOURCE } }
format = "json"
schema = { n = "int64" }

[[sink]]
input = "clicks"
SINK
"#;
        let (secure, _) = broker().secure().unwrap();
        let file = trial.document("secure.toml", &text.replace("SOURCE", source).replace("SINK", sink).replace("SECURE", &secure));
        Self { trial, file }
    }

    /// Runs a verb to its end, which is not far away.
    fn weir(&self, args: &[&str], password: &str) -> Output {
        let began = Instant::now();
        let output = Command::new(binary().unwrap()).args(args).arg(&self.file).env("WEIR_TEST_PASSWORD", password).output().unwrap();
        assert!(began.elapsed() < Duration::from_secs(25), "{args:?}: {:?}\n{}", began.elapsed(), stderr(&output));
        output
    }

    /// Runs the pipeline, which is turned away; gives what it says.
    fn turned_away(&self, password: &str) -> String {
        let output = self.weir(&["run"], password);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(!said.contains(password), "{said}");
        said
    }
}

/// Properties of a client of the secure listener.
fn properties(ca: &Path) -> String {
    let user = USER.name;
    format!(
        r#""security.protocol" = "SASL_SSL", "sasl.mechanism" = "SCRAM-SHA-512", "sasl.username" = "{user}", "sasl.password" = "${{env:WEIR_TEST_PASSWORD}}", "ssl.ca.location" = "{}""#,
        ca.display()
    )
}

fn trusted() -> String {
    properties(&broker().secure().unwrap().1)
}

fn to_topic(properties: &str) -> String {
    format!("kafka = {{ topic = \"NAME.out\", create = {{ partitions = 1, replication = 1 }}, properties = {{ {properties} }} }}")
}

/// All that is in a folder, with what is below it.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            let content = std::fs::read(&path).unwrap();
            files.push((path, content));
        }
    }
    files
}

fn contains(content: &[u8], text: &str) -> bool {
    content.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn rows_pass_over_tls_with_scram_once_and_the_password_is_written_nowhere() {
    // The client's own words about the handshake are wanted, too.
    let secure = Secure::new("sasl", &format!("{}, \"debug\" = \"security,broker\"", trusted()), &to_topic(&trusted()));
    for verb in
        [&["--log", "debug", "run"][..], &["--log", "debug", "--log-format", "json", "run"], &["check"], &["check", "--json"], &["plan"], &["plan", "--json"]]
    {
        let output = secure.weir(verb, USER.password);
        assert!(output.status.success(), "{verb:?}: {}", stderr(&output));
        for said in [&output.stdout, &output.stderr] {
            assert!(!contains(said, USER.password), "{verb:?}: {}", String::from_utf8_lossy(said));
        }
    }
    assert_eq!(numbers(&secure.trial.read_at(&broker().bootstrap(), "out", Isolation::Committed)), (0..100).collect::<Vec<_>>());
    let written = files(secure.trial.folder.path());
    assert!(written.iter().any(|(path, _)| path.ends_with("state/progress.jsonl")) && written.len() > 5, "{} files", written.len());
    for (path, content) in written {
        assert!(!contains(&content, USER.password), "{}", path.display());
    }
}

#[test]
fn a_wrong_password_of_a_sink_ends_the_run_and_names_the_topic_and_the_setting() {
    let secure = Secure::new("sasl-sink", &trusted(), &to_topic(&trusted()));
    let said = secure.turned_away("incorrect-horse");
    for words in [&format!("`{}.out`", secure.trial.name), "authentication failed", "`sasl.password`"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn a_wrong_password_of_a_source_ends_the_run_and_names_the_source_and_the_setting() {
    let right = trusted().replace("${env:WEIR_TEST_PASSWORD}", USER.password);
    let secure = Secure::new("sasl-source", &trusted(), &to_topic(&right));
    let said = secure.turned_away("incorrect-horse");
    for words in ["`clicks`", "authentication failed", "`sasl.password`"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

/// No output topic is looked for at the start: the marker is the first thing that is asked.
#[test]
fn a_wrong_password_ends_the_run_of_a_pipeline_without_an_output_topic() {
    let said = Secure::new("sasl-console", &trusted(), "console = {}").turned_away("incorrect-horse");
    for words in ["authentication failed", "`sasl.password`"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn brokers_with_a_certificate_of_an_unknown_authority_are_not_trusted() {
    // A certificate, and of no authority.
    let other = broker().secure().unwrap().1.with_file_name("server.crt");
    let said = Secure::new("sasl-ca", &properties(&other), &to_topic(&properties(&other))).turned_away(USER.password);
    for words in ["certificate is not trusted", "`ssl.ca.location`"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}
