//! A real Apache Kafka: one node, from Maven jars, stopped with the process.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, bail};

/// A process.
#[derive(Debug)]
pub(super) struct Apache {
    dir: PathBuf,
    port: u16,
    secure: Option<Secure>,
}

/// A listener with SASL_SSL, and the user that it knows.
#[derive(Debug)]
struct Secure {
    port: u16,
    user: User,
}

/// Who may use a listener with SASL_SSL.
#[derive(Debug, Clone, Copy)]
pub struct User {
    /// The name.
    pub name: &'static str,
    /// The password, by SCRAM-SHA-512.
    pub password: &'static str,
}

impl Apache {
    /// Starts a broker of its own, with an empty data folder, and waits until it is ready.
    pub(super) fn start(user: Option<User>) -> anyhow::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("weir-kafka-{}-{number}", std::process::id()));
        let mut last = None;
        // Between the search for free ports and their use somebody else may take them.
        for _ in 0..5 {
            let secure = user.map(|user| Ok::<_, anyhow::Error>(Secure { port: free_port_pair()?, user })).transpose()?;
            let broker = Self { dir: dir.clone(), port: free_port_pair()?, secure };
            match broker.launch() {
                Ok(()) => return Ok(broker),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("no attempt")?)
    }

    /// What a client is to be given.
    pub(super) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What a client of the listener with SASL_SSL is to be given, and the file with the authority that it is to trust.
    pub(super) fn secure(&self) -> anyhow::Result<(String, PathBuf)> {
        let secure = self.secure.as_ref().context("this broker has no listener with SASL_SSL")?;
        Ok((format!("127.0.0.1:{}", secure.port), self.dir.join("ca.pem")))
    }

    /// Stops it as an operator does; what it holds stays.
    pub(super) fn stop(&self) -> anyhow::Result<()> {
        script(["stop".as_ref(), self.dir.as_path()], None, false).map(drop)
    }

    /// Starts it again with what it holds, on the same port.
    pub(super) fn start_again(&self) -> anyhow::Result<()> {
        self.launch()
    }

    /// Sends the broker's process a signal, such as `STOP` or `CONT`.
    pub(super) fn signal(&self, name: &str) -> anyhow::Result<()> {
        let pid = std::fs::read_to_string(self.dir.join("pid"))?;
        let status = Command::new("kill").arg(format!("-{name}")).arg(pid.trim()).status()?;
        if status.success() { Ok(()) } else { bail!("kill -{name} {}: {status}", pid.trim()) }
    }

    fn launch(&self) -> anyhow::Result<()> {
        let secure = self.secure.as_ref().map(|Secure { port, user }| format!("{port}:{}:{}", user.name, user.password));
        script([self.dir.as_path(), self.port.to_string().as_ref()], secure.as_deref(), true).map(drop)
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        // The process that watches us would do it, too, a little later.
        if self.signal("KILL").is_ok() {
            drop(std::fs::remove_dir_all(&self.dir));
        }
    }
}

/// Runs the start script and gives what it prints; an error has its last words, which name what is missing.
fn script<const N: usize>(arguments: [&Path; N], secure: Option<&str>, wait_for_ready: bool) -> anyhow::Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("kafka/start-kafka.sh");
    let output = Command::new(&path)
        .args(arguments)
        .env("KAFKA_PARENT", std::process::id().to_string())
        .env("KAFKA_REMOVE", "1")
        .env("KAFKA_SECURE", secure.unwrap_or_default())
        .output()
        .with_context(|| format!("run `{}`", path.display()))?;
    if !output.status.success() {
        bail!(
            "{}: {}",
            if wait_for_ready { "Apache Kafka, which this test needs, does not start" } else { "Apache Kafka does not stop" },
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A free port whose successor is free, too: the second one is the controller's.
fn free_port_pair() -> anyhow::Result<u16> {
    for _ in 0..100 {
        let first = TcpListener::bind(("127.0.0.1", 0))?;
        let port = first.local_addr()?.port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no two free ports in a row")
}
