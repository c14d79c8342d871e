//! What a record costs on its way out to Kafka and in from it. Needs a broker: `WEIR_BENCH_BROKERS=localhost:9092 cargo bench --bench consume`.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use weir::sink::kafka::{CreateTopic, DEFAULT_TIMEOUT, KafkaTransaction, KafkaTransactionOptions, OutputTopic};
use weir::sink::{Encoded, Marker, Transaction as _};
use weir::source::kafka::{KafkaSource, KafkaSourceOptions, OnDataLoss, StartingOffsets};
use weir::source::{Bytes, Cut, Offset, OffsetRange, Positions, Source as _};

const RECORDS: usize = 2_000_000;
/// As the default of `max_epoch_bytes`.
const EPOCH_BYTES: u64 = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> anyhow::Result<()> {
    let Ok(brokers) = std::env::var("WEIR_BENCH_BROKERS") else {
        println!("consume: skipped, because `WEIR_BENCH_BROKERS` names no broker");
        return Ok(());
    };
    for compression in ["none", "lz4"] {
        let topic = format!("bench-{compression}-{}", std::process::id());
        produce(&brokers, &topic, compression)?;
        consume(&brokers, &topic, compression)?;
    }
    Ok(())
}

fn produce(brokers: &str, topic: &str, compression: &str) -> anyhow::Result<()> {
    let mut transaction = KafkaTransaction::new(KafkaTransactionOptions {
        pipeline: topic.to_owned(),
        brokers: brokers.to_owned(),
        topics: vec![OutputTopic { name: topic.to_owned(), keyed: false, create: Some(CreateTopic { partitions: Some(4), replication: Some(1) }) }],
        marker_topic: topic.to_owned(),
        with_positions: false,
        timeout: DEFAULT_TIMEOUT,
        properties: vec![("compression.type".to_owned(), compression.to_owned())],
    })?;
    transaction.ensure_topics(PATIENCE)?;
    transaction.fence(PATIENCE)?;
    transaction.begin()?;
    let batch = ad_events(1_000);
    let measure = Measure::begin();
    for _ in 0..RECORDS / 1_000 {
        transaction.send(topic, batch.clone())?;
    }
    transaction.flush(PATIENCE)?;
    measure.end(&format!("produce {compression}"), RECORDS, batch.values.data.len() * RECORDS / 1_000);
    transaction.mark(&Marker { epoch: 1, identity: "bench".to_owned() }, &Positions::new(), PATIENCE)?;
    Ok(transaction.commit(PATIENCE)?)
}

fn consume(brokers: &str, topic: &str, compression: &str) -> anyhow::Result<()> {
    let mut source = KafkaSource::new(KafkaSourceOptions {
        id: "bench".to_owned(),
        brokers: brokers.to_owned(),
        topics: vec![topic.to_owned()],
        starting_offsets: StartingOffsets::Earliest,
        on_data_loss: OnDataLoss::Fail,
        want_keys: false,
        want_headers: false,
        properties: vec![],
        group: topic.to_owned(),
    })?;
    let measure = Measure::begin();
    let (mut records, mut bytes) = (0, 0);
    while records < RECORDS {
        let ranges = plan(&mut source)?;
        if ranges.is_empty() {
            source.wait(PATIENCE);
        }
        for run in source.read(&ranges, Cut::default())? {
            records += run.len();
            bytes += run.values.data.len();
        }
    }
    measure.end(&format!("consume {compression}"), records, bytes);
    Ok(())
}

/// An epoch within its limit, the same number of records of each partition.
fn plan(source: &mut KafkaSource) -> anyhow::Result<Vec<OffsetRange>> {
    let offers = source.offer()?;
    let partitions = i64::try_from(offers.len())?.max(1);
    Ok(offers
        .into_iter()
        .map(|offer| {
            let records = i64::try_from(EPOCH_BYTES / u64::from(offer.mean_record_bytes.max(200))).unwrap_or(i64::MAX) / partitions;
            let to = Offset(offer.end.0.min(offer.position.0.saturating_add(records)));
            OffsetRange { partition: offer.partition, from: offer.position, to }
        })
        .filter(|range| range.span() > 0)
        .collect())
}

fn ad_events(count: usize) -> Encoded {
    let mut values = Bytes::new();
    for i in 0..count {
        let event = format!(
            "{{\"event_id\":\"e-{:016x}\",\"timestamp\":\"2026-01-01T00:{:02}:{:02}.{:03}Z\",\"user_id\":\"user-{}\",\"campaign_id\":\"campaign-{}\",\
             \"ad_format\":\"banner\",\"country\":\"DE\",\"device\":\"mobile\",\"event_type\":\"click\",\"revenue\":{}.25}}",
            i.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            i / 60 % 60,
            i % 60,
            i % 1_000,
            i * 7919 % 100_000,
            i % 50,
            i % 9
        );
        values.push(Some(event.as_bytes()));
    }
    Encoded { values, ..Encoded::default() }
}

/// Wall and CPU time; the CPU time is that of all threads, librdkafka's included.
struct Measure {
    began: Instant,
    cpu: Duration,
}

impl Measure {
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
    fn begin() -> Self {
        Self { began: Instant::now(), cpu: cpu() }
    }

    fn end(self, what: &str, records: usize, bytes: usize) {
        let (wall, cpu) = (self.began.elapsed(), cpu() - self.cpu);
        let (millions, wall_s) = (records as f64 / 1e6, wall.as_secs_f64());
        println!(
            "{what:>13}: {records} records of {} bytes in {wall_s:.2} s: {:.2} M/s, {:.0} MB/s, {:.3} us of CPU a record, peak {} MB resident",
            bytes / records.max(1),
            millions / wall_s,
            bytes as f64 / 1e6 / wall_s,
            cpu.as_secs_f64() / millions,
            peak_resident_mb().unwrap_or(0)
        );
    }
}

fn cpu() -> Duration {
    // SAFETY: all zeroes are a valid `rusage`, which the call fills.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let time = |time: libc::timeval| Duration::from_micros(u64::try_from(time.tv_sec * 1_000_000 + time.tv_usec).unwrap_or(0));
    time(usage.ru_utime) + time(usage.ru_stime)
}

fn peak_resident_mb() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? >> 10)
}
