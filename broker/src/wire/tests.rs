#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "tests")]

use std::fmt::Debug;

use bytes::Buf as _;
use proptest::prelude::*;

use super::*;

/// A message with something in every field, the same in each run.
pub(crate) trait Sample {
    fn sample(version: i16, numbers: &mut Numbers) -> Self;
}

/// What is done with each kind of request.
pub(crate) trait Visit {
    fn visit<R: Request + Sample + Debug + PartialEq>(&mut self, api: Api)
    where
        R::Response: Sample + Debug + PartialEq;
}

/// Numbers that are not in order, so that no two fields can be taken for each other.
#[derive(Debug, Default)]
pub(crate) struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

macro_rules! sampled_numbers {
    ($($type:ident)*) => {$(
        impl Sample for $type {
            fn sample(_: i16, numbers: &mut Numbers) -> Self {
                numbers.next() as $type
            }
        }
    )*};
}

sampled_numbers!(i8 i16 i32 i64);

impl Sample for bool {
    fn sample(_: i16, numbers: &mut Numbers) -> Self {
        numbers.next().is_multiple_of(2)
    }
}

impl Sample for Null {
    fn sample(_: i16, _: &mut Numbers) -> Self {
        Null
    }
}

impl Sample for Uuid {
    fn sample(_: i16, numbers: &mut Numbers) -> Self {
        Uuid::from_u64_pair(numbers.next(), numbers.next())
    }
}

impl Sample for ErrorCode {
    fn sample(version: i16, numbers: &mut Numbers) -> Self {
        i16::sample(version, numbers).into()
    }
}

impl Sample for String {
    fn sample(_: i16, numbers: &mut Numbers) -> Self {
        format!("t{}", numbers.next() % 1_000)
    }
}

impl Sample for Bytes {
    fn sample(_: i16, numbers: &mut Numbers) -> Self {
        Bytes::from(vec![numbers.next() as u8; (numbers.next() % 5) as usize])
    }
}

impl Sample for Records {
    fn sample(version: i16, numbers: &mut Numbers) -> Self {
        Records(vec![Bytes::sample(version, numbers), Bytes::from_static(b"records")])
    }
}

impl<T: Sample> Sample for Vec<T> {
    fn sample(version: i16, numbers: &mut Numbers) -> Self {
        (0..1 + numbers.next() % 2).map(|_| T::sample(version, numbers)).collect()
    }
}

/// Of what may be null, bytes never are here: the oracle that made `golden.txt` reads null records of an answer only.
impl<T: Sample> Sample for Option<T> {
    fn sample(version: i16, numbers: &mut Numbers) -> Self {
        Some(T::sample(version, numbers))
    }
}

fn written(message: &impl Wire, version: i16, is_flexible: bool) -> Bytes {
    let mut writer = Writer::new(version, is_flexible);
    message.write(&mut writer);
    let mut frame = writer.finish();
    let length = frame.get_u32() as usize;
    let bytes = frame.copy_to_bytes(frame.remaining());
    assert_eq!(bytes.len(), length, "the frame says its length");
    bytes
}

struct Golden(String);

impl Golden {
    fn take<M: Wire + Sample + Debug>(&mut self, what: &str, api: Api, version: i16) {
        let is_flexible = api.is_flexible(version);
        let bytes = written(&M::sample(version, &mut Numbers::default()), version, is_flexible);
        // The records of an answer come as one piece: what is compared is what is written again.
        let mut reader = Reader::new(bytes.clone(), version, is_flexible);
        let again = M::read(&mut reader).unwrap_or_else(|why| panic!("{api:?} {what} {version}: {why}"));
        assert!(reader.rest().is_empty(), "{api:?} {what} {version}: something is left");
        assert_eq!(written(&again, version, is_flexible), bytes);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.0 += &format!("{} {what} {version} {hex}\n", api.key());
    }
}

impl Visit for Golden {
    fn visit<R: Request + Sample + Debug + PartialEq>(&mut self, api: Api)
    where
        R::Response: Sample + Debug + PartialEq,
    {
        for version in api.versions() {
            self.take::<R>("request", api, version);
            self.take::<R::Response>("response", api, version);
        }
    }
}

/// Each line of `golden.txt` was read and written again, byte for byte, by an implementation of the protocol that knows nothing of this one (crate `kafka-protocol`).
/// When the tables change, make the file anew with `WEIR_GOLDEN=<file>`, and have it checked in the same way.
#[test]
fn every_message_of_every_version_is_as_another_implementation_has_it() {
    let mut golden = Golden(String::new());
    api::for_each(&mut golden);
    if let Some(path) = std::env::var_os("WEIR_GOLDEN") {
        std::fs::write(path, &golden.0).unwrap();
        return;
    }
    let expected = include_str!("golden.txt");
    let differing = golden.0.lines().zip(expected.lines()).find(|(ours, theirs)| ours != theirs);
    assert_eq!(differing, None);
    assert_eq!(golden.0.lines().count(), expected.lines().count());
}

/// Regression: a codec that knows each field in some versions only refused to write an answer with a value in another one, and the client waited in vain.
#[test]
fn a_field_that_a_version_does_not_have_is_left_out_whatever_its_value() {
    let response = messages::ProduceResponse {
        topics: vec![messages::ProducedTopic {
            name: "t".into(),
            partitions: vec![messages::ProducedPartition { log_start_offset: 7, error_message: Some("why".into()), ..messages::ProducedPartition::default() }],
        }],
        ..messages::ProduceResponse::default()
    };
    let lengths: Vec<usize> = [3, 5, 8].map(|version| written(&response, version, false).len()).into();
    assert_eq!(lengths, [37, 45, 54]);
}

#[test]
fn lengths_beyond_the_message_are_refused_before_anything_is_allocated() {
    let malformed = |bytes: &'static [u8], is_flexible| {
        let mut reader = Reader::new(Bytes::from_static(bytes), 0, is_flexible);
        Vec::<i32>::read(&mut reader).is_err()
    };
    assert!(malformed(&[0x7f, 0xff, 0xff, 0xff, 0, 0], false));
    assert!(malformed(&[0xff, 0xff, 0xff, 0xff], false), "null where there must be something");
    assert!(malformed(&[0xff, 0xff, 0xff, 0xfe], false));
    assert!(malformed(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0], true));
    assert!(malformed(&[0xff, 0xff, 0xff, 0xff, 0xff, 0x0f], true));
    assert!(!malformed(&[0, 0, 0, 1, 0, 0, 0, 9], false));
    // A million partitions fit the bytes, and not what they would take.
    let mut long = vec![0u8, 0x0f, 0x42, 0x40];
    long.resize(4_000_004, 0);
    assert!(Vec::<i32>::read(&mut Reader::new(long.into(), 0, false)).is_err());
}

#[test]
fn a_frame_gives_its_parts_in_order_however_it_is_read() {
    let large = Bytes::from(vec![7; 5_000]);
    let message = messages::FetchedPartition { records: Records(vec![large.clone(), Bytes::from_static(b"small"), large]), ..Default::default() };
    let mut writer = Writer::new(12, true);
    message.write(&mut writer);
    let mut frame = writer.finish();
    let whole: Vec<u8> = {
        let mut slices = [std::io::IoSlice::new(&[]); 8];
        let count = frame.chunks_vectored(&mut slices);
        slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect()
    };
    assert_eq!(whole.len(), frame.remaining());
    let mut pieces = Vec::new();
    while frame.has_remaining() {
        let step = frame.chunk().len().min(1_777);
        pieces.extend_from_slice(&frame.chunk()[..step]);
        frame.advance(step);
    }
    assert_eq!(pieces, whole);
}

struct ReadAll<'a> {
    message: &'a Bytes,
    count: usize,
}

impl Visit for ReadAll<'_> {
    fn visit<R: Request + Sample + Debug + PartialEq>(&mut self, api: Api)
    where
        R::Response: Sample + Debug + PartialEq,
    {
        for version in api.versions() {
            let mut reader = Reader::new(self.message.clone(), version, api.is_flexible(version));
            self.count += usize::from(R::read(&mut reader).is_ok());
        }
    }
}

proptest! {
    /// Never a panic, whatever comes, for any request in any version.
    #[test]
    fn any_bytes_are_a_request_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let message = Bytes::from(bytes);
        let mut read_all = ReadAll { message: &message, count: 0 };
        api::for_each(&mut read_all);
        prop_assert!(read_all.count <= 200);
    }
}
