//! The native floor: the same consumer call and the same decoder, and a hash map. No WebAssembly, no state on disk, no transaction, one thread.

use std::collections::HashMap;
use std::time::Duration;

use arrow_array::Array as _;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use weir::format::{JsonDecoder, OnBadField, Values};
use weir::source::kafka::{KafkaSource, KafkaSourceOptions, OnDataLoss, StartingOffsets};
use weir::source::{Cut, Offset, OffsetRange, Source as _};

/// As much as an epoch reads.
const ROUND_BYTES: i64 = 64_000_000;
const RECORD_BYTES: i64 = 209;
const MINUTE_US: i64 = 60_000_000;

type Group = (i64, String, String, String);

pub(crate) fn run(brokers: &str, topic: &str) -> anyhow::Result<()> {
    let mut source = KafkaSource::new(KafkaSourceOptions {
        id: "floor".to_owned(),
        brokers: brokers.to_owned(),
        topics: vec![topic.to_owned()],
        starting_offsets: StartingOffsets::Earliest,
        on_data_loss: OnDataLoss::Fail,
        want_keys: false,
        want_headers: false,
        properties: Vec::new(),
        group: "floor".to_owned(),
    })?;
    let utf8 = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let timestamp = Field::new("timestamp", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false);
    let fields = vec![
        utf8("event_id", false),
        timestamp,
        utf8("user_id", false),
        utf8("campaign_id", false),
        utf8("ad_format", false),
        utf8("country", false),
        utf8("device", true),
        utf8("event_type", false),
        Field::new("revenue", DataType::Float64, true),
    ];
    let decoder = JsonDecoder::new(&Schema::new(fields), OnBadField::Reject)?;
    let mut groups: HashMap<Group, (u64, f64)> = HashMap::new();
    let (mut rows, mut key) = (0_u64, (0, String::new(), String::new(), String::new()));
    loop {
        let offers = source.offer()?;
        let share = ROUND_BYTES / RECORD_BYTES / i64::try_from(offers.len().max(1))?;
        let range = |offer: &weir::source::Offer| OffsetRange {
            partition: offer.partition.clone(),
            from: offer.position,
            to: Offset((offer.position.0 + share).min(offer.end.0)),
        };
        let ranges: Vec<_> = offers.iter().map(range).filter(|range| range.from < range.to).collect();
        if ranges.is_empty() {
            if offers.iter().all(|offer| offer.confirmed) && !offers.is_empty() {
                break;
            }
            source.wait(Duration::from_millis(100));
            continue;
        }
        for run in source.read(&ranges, Cut::default())? {
            let values = Values { data: &run.values.data, offsets: &run.values.offsets, nulls: None };
            let decoded = decoder.decode(&values).rows;
            let text = |column: usize| decoded.column(column).as_string::<i32>();
            let (user, format, country, event) = (text(2), text(4), text(5), text(7));
            let (time, revenue) = (decoded.column(1).as_primitive::<TimestampMicrosecondType>(), decoded.column(8).as_primitive::<Float64Type>());
            for row in 0..decoded.num_rows() {
                let revenue = (!revenue.is_null(row)).then(|| revenue.value(row));
                if user.value(row).starts_with("BOT") || revenue.is_some_and(|revenue| revenue < 0.0) {
                    continue;
                }
                key.0 = time.value(row).div_euclid(MINUTE_US);
                for (place, value) in [(&mut key.1, event.value(row)), (&mut key.2, country.value(row)), (&mut key.3, format.value(row))] {
                    place.clear();
                    place.push_str(value);
                }
                let group = match groups.get_mut(&key) {
                    Some(group) => group,
                    None => groups.entry(key.clone()).or_default(),
                };
                group.0 += 1;
                group.1 += revenue.unwrap_or_default();
                rows += 1;
            }
        }
    }
    let counted: u64 = groups.values().map(|group| group.0).sum();
    anyhow::ensure!(counted == rows && rows > 0, "counted {counted} of {rows} rows");
    println!("floor: {rows} rows in {} groups", groups.len());
    Ok(())
}
