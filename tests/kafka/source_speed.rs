//! How quickly a source wakes up, and how little it needs. Each measurement runs in a process of its own, where no other test disturbs it.

use std::process::Command;
use std::time::{Duration, Instant};

use rdkafka::producer::{BaseRecord, Producer as _};
use weir::source::kafka::{KafkaSource, KafkaSourceOptions};
use weir::source::{Cut, Offset, OffsetRange, Source as _};
use weir_tests::broker::shared_of;

use super::support::*;

/// Runs one of the ignored tests below alone, on our broker, with a topic of ours and what else it wants to know.
fn alone(test: &str, arguments: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &test_name(module_path!(), test), "--ignored", "--nocapture"])
        .env("WEIR_TEST_SOURCE", format!("{} {arguments}", shared_of(super::KIND).bootstrap()))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    text.lines().filter(|line| line.starts_with("measured")).for_each(|line| println!("{line}"));
}

/// The source of a child, and the arguments it was given: brokers, topic, what else there is.
fn source() -> Option<(KafkaSource, Vec<String>)> {
    let arguments: Vec<_> = std::env::var("WEIR_TEST_SOURCE").ok()?.split(' ').map(str::to_owned).collect();
    let [brokers, topic, ..] = &arguments[..] else { panic!("{arguments:?}") };
    let options = KafkaSourceOptions {
        id: "in".into(),
        brokers: brokers.into(),
        topics: vec![topic.into()],
        starting_offsets: weir::source::kafka::StartingOffsets::Earliest,
        on_data_loss: weir::source::kafka::OnDataLoss::Fail,
        want_keys: false,
        want_headers: false,
        properties: vec![],
        group: unique("group"),
    };
    Some((KafkaSource::new(options).unwrap(), arguments))
}

#[test]
fn a_record_wakes_the_source() {
    alone("wake_up", &Topic::new(4).name);
}

#[test]
#[ignore = "measured in a process of its own"]
fn wake_up() {
    let Some((mut source, arguments)) = source() else { return };
    let (brokers, topic) = (&arguments[0], &arguments[1]);
    let producer: rdkafka::producer::ThreadedProducer<rdkafka::producer::DefaultProducerContext> =
        rdkafka::ClientConfig::new().set("bootstrap.servers", brokers).set("linger.ms", "0").set("acks", "1").create().unwrap();
    let mut times = Vec::new();
    for i in 0..400 {
        source.offer().unwrap();
        // At any moment of the source's own rhythm.
        source.wait(Duration::from_millis(i % 37));
        let began = Instant::now();
        producer.send(BaseRecord::<(), _>::to(topic).partition(i as i32 % 4).payload("x")).map_err(|(error, _)| error).unwrap();
        let ranges = loop {
            let ranges = ranges(&source.offer().unwrap());
            if !ranges.is_empty() {
                break ranges;
            }
            source.wait(Duration::from_secs(1));
        };
        assert_eq!(source.read(&ranges, Cut::default()).unwrap().len(), 1);
        times.push(began.elapsed());
    }
    times.drain(..20);
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!("measured: from send to read, p50 {:?}, p90 {:?}, p99 {:?}, max {:?}", at(50), at(90), at(99), at(100));
    // Without the wake-up a record waits for the next look, seconds later; how many milliseconds it takes is for the benchmarks to say.
    assert!(at(50) < Duration::from_secs(1), "{:?}", at(50));
}

#[test]
fn an_idle_source_needs_next_to_nothing() {
    let topic = Topic::new(4);
    topic.produce(0, 0..100);
    alone("idle", &topic.name);
}

#[test]
#[ignore = "measured in a process of its own"]
fn idle() {
    let Some((mut source, ..)) = source() else { return };
    read_numbers(&mut source, 100);
    let (began, cpu) = (Instant::now(), cpu());
    let mut turns = 0;
    while began.elapsed() < Duration::from_secs(6) {
        assert!(ranges(&source.offer().unwrap()).is_empty());
        source.wait(Duration::from_secs(1));
        turns += 1;
    }
    let share = (cpu_since(cpu)).as_secs_f64() / began.elapsed().as_secs_f64();
    println!("measured: idle, {turns} turns in 6 s, {:.2} % of a core", share * 100.0);
    assert!(share < 0.02 && turns < 60, "{share}, {turns} turns");
}

#[test]
fn memory_is_flat_whatever_the_backlog() {
    // A producer's batches of a megabyte, of which several of each partition are in memory at a time, are the worst case for many partitions.
    for (partitions, at_most_mb) in [(2, 60), (32, 130)] {
        let topic = Topic::new(partitions);
        let producer = producer(topic.broker, &[("compression.type", "lz4"), ("linger.ms", "20"), ("queue.buffering.max.kbytes", "65536")]);
        // A gigabyte of records of the usual size, which compress as JSON does.
        let filler =
            "\"campaign_id\":\"campaign-12\",\"ad_format\":\"banner\",\"country\":\"DE\",\"device\":\"mobile\",\"event_type\":\"click\",\"revenue\":0.25}";
        for i in 0..4_000_000_u64 {
            let value = format!("{{\"event_id\":\"{:016x}{:016x}{:016x}\",\"user_id\":\"{i}\",{filler}{filler}", i.wrapping_mul(0x9e37_79b9_7f4a_7c15), !i, i);
            let mut record = BaseRecord::<(), _>::to(&topic.name).partition(i as i32 % partitions).payload(&value);
            while let Err((_, back)) = producer.send(record) {
                record = back;
                producer.flush(PATIENCE).unwrap();
            }
        }
        producer.flush(PATIENCE).unwrap();
        alone("backlog", &format!("{} {at_most_mb}", topic.name));
        topic.delete();
    }
}

#[test]
#[ignore = "measured in a process of its own"]
fn backlog() {
    let Some((mut source, arguments)) = source() else { return };
    let at_most_mb: u64 = arguments[2].parse().unwrap();
    let before_kb = resident_kb("VmRSS:");
    let (mut records, mut bytes) = (0, 0);
    let (began, cpu) = (Instant::now(), cpu());
    while records < 4_000_000 {
        let offers = source.offer().unwrap();
        // Small epochs: what grows is not theirs.
        let share = 8_000 / offers.len() as i64;
        let planned: Vec<_> = offers
            .into_iter()
            .map(|offer| OffsetRange { to: Offset(offer.end.0.min(offer.position.0 + share)), from: offer.position, partition: offer.partition })
            .filter(|range| range.span() > 0)
            .collect();
        for run in source.read(&planned, Cut::default()).unwrap() {
            records += run.len();
            bytes += run.values.data.len();
        }
    }
    let (wall, cpu) = (began.elapsed(), cpu_since(cpu));
    let more_mb = (resident_kb("VmHWM:") - before_kb) >> 10;
    println!(
        "measured: {records} records, {} MB in {wall:.1?}: {:.2} us of CPU a record, {more_mb} MB more resident at most",
        bytes >> 20,
        cpu.as_secs_f64() * 1e6 / records as f64
    );
    assert!(more_mb < at_most_mb, "{more_mb} MB");
}

fn resident_kb(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().find_map(|line| line.strip_prefix(what)).unwrap().trim().trim_end_matches(" kB").parse().unwrap()
}

/// Ticks of CPU time of this process, all threads.
fn cpu() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// A tick is 10 ms on every Linux that this runs on.
fn cpu_since(ticks: u64) -> Duration {
    Duration::from_millis((cpu() - ticks) * 10)
}
