#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;

use super::*;

fn record() -> EpochRecord {
    let clock = PartitionClock { newest_event_us: Some(-1), quiet_since_us: None, idle: true };
    let event_time = EventTimeRecord { watermark: Watermark(60_000), partitions: BTreeMap::from([("ad-events/0".into(), clock)]) };
    let partition = PartitionRecord { from: 10, to: 25 };
    EpochRecord {
        epoch: 7,
        attempt: u64::MAX - 1,
        base: "3fd4.../6/0000000000000001/0000000000000002".into(),
        clock_us: 1_700_000_000_000_000,
        eviction_watermark_ms: Some(60_000),
        late_watermark_ms: None,
        sources: BTreeMap::from([("events".into(), SourceRecord { rows: 14, partitions: BTreeMap::from([("ad-events/0".into(), partition)]) })]),
        event_times: BTreeMap::from([("events".into(), event_time)]),
        plugins: BTreeMap::from([("clean".into(), "ab12".into())]),
        staged_files: vec![StagedFile { sink: "out".into(), staged: ".7.tmp".into(), published: "7.json".into(), rows: 3 }],
        counts: EpochCounts { late_rows: 12, rejected: BTreeMap::from([("json-syntax".into(), 3)]), ..EpochCounts::default() },
        ..EpochRecord::beginning("3fd4d6f6-0d2c-4f4e-9a55-0f6a4a2f5d11".into())
    }
}

fn prepared() -> Prepared {
    let mut delta = Delta::new();
    delta.push(Op::Put { key: b"key", value: b"value" });
    delta.push(Op::DeleteRange { from: b"a", to: b"b" });
    let deltas = BTreeMap::from([("by_format".to_owned(), delta), ("empty".to_owned(), Delta::new())]);
    let outbox =
        [OutboxPart { sink: "webhook", bytes: b"{}" }, OutboxPart { sink: "webhook", bytes: b"" }, OutboxPart { sink: "console", bytes: &[0xFF; 500] }];
    Prepared::new(record(), &deltas, &outbox).unwrap()
}

#[test]
fn a_record_reads_back_as_it_was_made_with_the_same_identity() {
    let made = prepared();
    let read = Prepared::decode(made.as_bytes().to_vec()).unwrap();
    assert_eq!(read, made);
    assert_eq!(read.record(), &record());
    assert_eq!(read.outbox().map(|part| (part.sink, part.bytes.len())).collect::<Vec<_>>(), [("webhook", 2), ("webhook", 0), ("console", 500)]);
    let deltas: Vec<(String, usize)> = read.deltas().map(|(step, ops)| (step.to_owned(), ops.count())).collect();
    assert_eq!(deltas, [("by_format".to_owned(), 2), ("empty".to_owned(), 0)]);
    assert_eq!(read.identity(), format!("3fd4d6f6-0d2c-4f4e-9a55-0f6a4a2f5d11/7/fffffffffffffffe/{:016x}", made.checksum()));
}

/// A change here is a change of the format.
#[test]
fn the_frame_is_pinned() {
    let mut delta = Delta::new();
    delta.push(Op::Put { key: b"k", value: b"v" });
    delta.push(Op::Delete { key: b"d" });
    delta.push(Op::DeleteRange { from: b"f", to: b"t" });
    let record = EpochRecord::beginning("l".into());
    let made = Prepared::new(record, &BTreeMap::from([("s".to_owned(), delta)]), &[OutboxPart { sink: "o", bytes: b"out" }]).unwrap();
    let header = concat!(
        r#"{"lineage":"l","epoch":0,"attempt":"0000000000000000","base":"","clock_us":0,"eviction_watermark_ms":null,"late_watermark_ms":null,"#,
        r#""sources":{},"event_times":{},"plugins":{},"staged_files":[],"#,
        r#""counts":{"output_rows":0,"late_rows":0,"null_event_time_rows":0,"lossy_values":0,"rejected":{}}}"#
    );
    let mut expected = b"weirPREP".to_vec();
    varint::write(header.len() as u64, &mut expected);
    expected.extend_from_slice(header.as_bytes());
    expected.extend_from_slice(b"\x01\x01s\x0d\x01\x01k\x01v\x02\x01d\x03\x01f\x01t\x01\x01o\x03out");
    expected.extend_from_slice(&xxh3_64(&expected).to_le_bytes());
    assert_eq!(made.as_bytes(), expected);
}

#[test]
fn the_identity_covers_rows_and_states_and_not_only_the_header() {
    let identity = |value: &[u8], outbox: &[u8]| {
        let mut delta = Delta::new();
        delta.push(Op::Put { key: b"key", value });
        let part = OutboxPart { sink: "webhook", bytes: outbox };
        Prepared::new(record(), &BTreeMap::from([("step".to_owned(), delta)]), &[part]).unwrap().identity()
    };
    assert_eq!(identity(b"a", b"x"), identity(b"a", b"x"));
    assert_ne!(identity(b"a", b"x"), identity(b"b", b"x"));
    assert_ne!(identity(b"a", b"x"), identity(b"a", b"y"));
}

#[test]
fn every_truncation_and_every_flipped_bit_is_detected() {
    let whole = prepared().as_bytes().to_vec();
    for len in 0..whole.len() {
        assert!(Prepared::decode(whole[..len].to_vec()).is_err(), "cut to {len} bytes");
    }
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Prepared::decode(flipped).is_err(), "bit {bit} flipped");
    }
}

/// What a checksum does not catch: bytes that someone has given a fitting one.
fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = xxh3_64(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

#[test]
fn a_header_with_a_field_of_tomorrow_is_refused_and_not_half_understood() {
    let header = serde_json::to_string(&record()).unwrap().replacen('{', "{\"tomorrow\":1,", 1);
    let mut bytes = MAGIC.to_vec();
    varint::write_bytes(header.as_bytes(), &mut bytes);
    bytes.extend_from_slice(&[0, 0]);
    let error = Prepared::decode(with_checksum(bytes)).unwrap_err().to_string();
    assert!(error.ends_with("expected a header of this format"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_bytes_under_a_fitting_checksum_never_panic(
        tail in prop::collection::vec(prop_oneof![0..4_u8, any::<u8>()], 0..60),
        magic in any::<bool>(),
        header in any::<bool>(),
    ) {
        let mut bytes = if magic { MAGIC.to_vec() } else { Vec::new() };
        if header {
            varint::write_bytes(&serde_json::to_vec(&record()).unwrap(), &mut bytes);
        }
        bytes.extend_from_slice(&tail);
        if let Ok(read) = Prepared::decode(with_checksum(bytes)) {
            // Whatever was accepted can be applied and delivered.
            prop_assert!(read.deltas().map(|(_, ops)| ops.count()).sum::<usize>() <= tail.len());
            prop_assert!(read.outbox().map(|part| part.bytes.len()).sum::<usize>() <= tail.len());
        }
    }

    #[test]
    fn damage_of_any_run_of_bytes_is_detected(at in any::<prop::sample::Index>(), noise in prop::collection::vec(any::<u8>(), 1..40)) {
        let whole = prepared().as_bytes().to_vec();
        let at = at.index(whole.len());
        let mut damaged = whole.clone();
        for (byte, noise) in damaged[at..].iter_mut().zip(&noise) {
            *byte = *noise;
        }
        prop_assert_eq!(Prepared::decode(damaged.clone()).is_ok(), damaged == whole);
    }
}
