//! The output topics: whether they exist, whether they are empty, and making those that are missing.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, OwnedResourceSpecifier, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::error::of_query;
use super::{CreateTopic, KafkaTransactionOptions, OutputTopic};
use crate::sink::TransactionError;
use crate::source::kafka::{Consumer, Context as ClientContext, Secrets, ask, create, now};

/// Makes what is missing and may be made.
pub(super) fn ensure(options: &KafkaTransactionOptions, deadline: Instant) -> anyhow::Result<()> {
    let client = query_client(options)?;
    for topic in &options.topics {
        if partitions(options, &client, &topic.name, deadline)?.is_some() {
            continue;
        }
        let Some(settings) = topic.create else {
            bail!(
                "output topic `{}` does not exist at `{}`: create it, or let it be made with `create = {{ partitions = .., replication = .. }}`",
                topic.name,
                options.brokers
            );
        };
        create_topic(options, topic, settings, deadline)?;
        // A topic that was just made is not known everywhere at once.
        while partitions(options, &client, &topic.name, deadline)?.is_none() {
            if now() >= deadline {
                bail!("output topic `{}` was made, but the brokers still don't know it", topic.name);
            }
        }
    }
    Ok(())
}

/// What the brokers say of the output topics' settings; none: they don't say. A user that may write to a topic may not be allowed to see its settings.
pub(super) fn settings(options: &KafkaTransactionOptions, deadline: Instant) -> Option<Settings> {
    let admin = admin_client(options).ok()?;
    let names: BTreeSet<&str> = options.topics.iter().map(|topic| topic.name.as_str()).collect();
    let names: Vec<_> = names.into_iter().map(ResourceSpecifier::Topic).collect();
    let limits = AdminOptions::new().request_timeout(Some(left(deadline)));
    let found = block_on(admin.describe_configs(&names, &limits)).ok()?;
    let of = |topic: &OutputTopic, name: &str| {
        let named = |found: &&ConfigResource| matches!(&found.specifier, OwnedResourceSpecifier::Topic(found) if *found == topic.name);
        found.iter().flatten().find(named)?.get(name)?.value.clone()
    };
    let bytes = options.topics.iter().filter_map(|topic| of(topic, "max.message.bytes")?.parse::<u32>().ok()).min();
    let compacts = |topic: &&OutputTopic| of(topic, "cleanup.policy").is_some_and(|policy| policy.split(',').any(|word| word.trim() == "compact"));
    // Room for the framing of the batch.
    Some(Settings { max_batch_bytes: bytes.map(|bytes| bytes - bytes / 16), compacted: options.topics.iter().filter(compacts).cloned().collect() })
}

/// What matters of the output topics' settings.
pub(super) struct Settings {
    /// The largest batch that every one takes.
    pub(super) max_batch_bytes: Option<u32>,
    /// Those that keep only the last record of a key.
    pub(super) compacted: Vec<OutputTopic>,
}

/// Whether every output topic is missing or has never held a record.
pub(super) fn all_empty(options: &KafkaTransactionOptions, timeout: Duration) -> Result<bool, TransactionError> {
    let deadline = now() + timeout;
    let failed = |error: anyhow::Error| TransactionError::Failed { reason: format!("{error:#}") };
    let client = query_client(options).map_err(failed)?;
    for topic in &options.topics {
        let metadata = ask(&client, deadline, |client, turn| client.fetch_metadata(Some(&topic.name), turn)).map_err(|error| of_query(&error, &client))?;
        for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
            // IMPORTANT: with read_uncommitted, so that an open transaction counts.
            let (_, end) = client.fetch_watermarks(&topic.name, partition.id(), left(deadline)).map_err(|error| of_query(&error, &client))?;
            if end > 0 {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// The id of the cluster.
pub(super) fn cluster_id(options: &KafkaTransactionOptions, timeout: Duration) -> anyhow::Result<String> {
    let client = query_client(options)?;
    let none = || KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut);
    ask(&client, now() + timeout, |client, turn| client.client().fetch_cluster_id(turn).ok_or_else(none))
        .map_err(|error| asked(&error, &client))
        .with_context(|| format!("ask `{}` for the id of the cluster", options.brokers))
}

/// Why a question has no answer, in words.
fn asked(error: &KafkaError, client: &Consumer) -> anyhow::Error {
    anyhow!("{}", client.context().denied().unwrap_or_else(|| client.context().redact(&error.to_string())))
}

/// How many partitions the topic has; none: it does not exist.
fn partitions(options: &KafkaTransactionOptions, client: &Consumer, topic: &str, deadline: Instant) -> anyhow::Result<Option<usize>> {
    let metadata = ask(client, deadline, |client, turn| client.fetch_metadata(Some(topic), turn))
        .map_err(|error| asked(&error, client))
        .with_context(|| format!("look for output topic `{topic}` at `{}`", options.brokers))?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return Ok(None) };
    match found.error().map(RDKafkaErrorCode::from) {
        None => Ok(Some(found.partitions().len()).filter(|count| *count > 0)),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::LeaderNotAvailable) => Ok(None),
        Some(code) => bail!("output topic `{topic}` at `{}`: {code}", options.brokers),
    }
}

fn create_topic(options: &KafkaTransactionOptions, topic: &OutputTopic, settings: CreateTopic, deadline: Instant) -> anyhow::Result<()> {
    let admin = admin_client(options)?;
    let new = NewTopic::new(&topic.name, settings.partitions.unwrap_or(-1), TopicReplication::Fixed(settings.replication.unwrap_or(-1)));
    let limits = AdminOptions::new().request_timeout(Some(left(deadline))).operation_timeout(Some(left(deadline)));
    let results = block_on(admin.create_topics([&new], &limits))
        .map_err(|error| anyhow!("{}", Secrets::of(&options.properties).redact(&error.to_string())))
        .with_context(|| format!("create output topic `{}`", topic.name))?;
    for result in results {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => bail!("output topic `{}` can't be made: {code}", topic.name),
        }
    }
    Ok(())
}

/// A client for questions. It sees the ends of partitions as they are, open transactions included.
fn query_client(options: &KafkaTransactionOptions) -> anyhow::Result<Consumer> {
    let defaults = [("client.id", "weir"), ("reconnect.backoff.max.ms", "500")];
    let fixed = [("isolation.level", "read_uncommitted"), ("allow.auto.create.topics", "false")];
    create(&options.pipeline, &options.brokers, &defaults, &options.properties, &fixed)
}

fn admin_client(options: &KafkaTransactionOptions) -> anyhow::Result<AdminClient<ClientContext>> {
    create(&options.pipeline, &options.brokers, &[("client.id", "weir")], &options.properties, &[])
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(now())
}

/// Waits for the one future that the client's admin calls are; there is no runtime on the data path.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        thread::park();
    }
}
