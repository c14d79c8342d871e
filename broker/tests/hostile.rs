//! Whatever a client sends, the broker neither panics nor takes more memory than its bounds say, and it goes on serving others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "tests")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use weir_broker::{Broker, Config, RunningBroker};

/// Counts what is allocated in this process, the broker and its clients together.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static LARGEST: AtomicUsize = AtomicUsize::new(0);
static PANICS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is passed on to the system's allocator as it came; the counters allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise about the layout is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `place` came from `alloc` with this layout, and so from the system.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MEGABYTE: usize = 1 << 20;

/// What a client may make the broker take: requests on the way, batches, the arrays of one message, and metadata of groups and transactions.
const MEMORY_BOUND: usize = 96 * MEGABYTE;

fn small() -> Config {
    Config {
        listen: "127.0.0.1:0".into(),
        retention_bytes: 4 * MEGABYTE as u64,
        max_request_bytes: MEGABYTE,
        max_bytes_in_flight: 8 * MEGABYTE,
        max_fetch_bytes: MEGABYTE,
        request_timeout: Duration::from_millis(300),
        max_partitions: 1_000,
        max_groups: 100,
        max_members: 100,
        max_offsets: 1_000,
        max_transactional_ids: 100,
        initial_rebalance_delay: Duration::ZERO,
        min_session_timeout: Duration::from_millis(1),
        ..Config::default()
    }
}

/// One test at a time: they all count the same memory.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start(config: Config) -> RunningBroker {
    static HOOK: Once = Once::new();
    // A task that panics ends silently: only the hook tells.
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().name() == Some("weir-broker") {
                PANICS.fetch_add(1, Ordering::Relaxed);
            }
            before(info);
        }));
    });
    Broker::bind(config).unwrap().spawn().unwrap()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

fn frame(message: &[u8]) -> Vec<u8> {
    [&u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

/// A request of this kind and version, with nothing in it yet.
fn header(key: i16, version: i16, is_flexible: bool) -> Vec<u8> {
    let tags: &[u8] = if is_flexible { &[0] } else { &[] };
    [&key.to_be_bytes()[..], &version.to_be_bytes(), &7i32.to_be_bytes(), &[0, 1, b'x'], tags].concat()
}

/// Everything that comes until the broker closes.
fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // What was sent and not read makes it a reset.
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => panic!("{error}"),
        _ => answer,
    }
}

fn serves(address: SocketAddr) -> bool {
    let mut stream = connect(address);
    stream.write_all(&frame(&header(18, 0, false))).unwrap();
    let mut answer = [0; 10];
    stream.read_exact(&mut answer).unwrap();
    // Length, correlation, no error.
    answer[4..] == [0, 0, 0, 7, 0, 0]
}

/// Requests of every kind and version that the broker reads, with their bodies.
static REQUESTS: LazyLock<Vec<(i16, i16, Vec<u8>)>> = LazyLock::new(|| {
    let requests = include_str!("../src/wire/golden.txt").lines().map(|line| line.split(' ').collect::<Vec<_>>());
    requests
        .filter(|words| words[1] == "request")
        .map(|words| {
            let bytes = (0..words[3].len() / 2).map(|at| u8::from_str_radix(&words[3][2 * at..2 * at + 2], 16).unwrap());
            (words[0].parse().unwrap(), words[2].parse().unwrap(), bytes.collect())
        })
        .collect()
});

/// A request that is nearly right: bytes changed, cut, or a length made huge.
fn nearly_right() -> impl Strategy<Value = Vec<u8>> {
    let change = prop_oneof![
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        any::<prop::sample::Index>().prop_map(Change::Huge),
        any::<prop::sample::Index>().prop_map(Change::Cut),
    ];
    (any::<prop::sample::Index>(), any::<bool>(), prop::collection::vec(change, 0..4)).prop_map(|(which, is_flexible, changes)| {
        let (key, version, body) = &REQUESTS[which.index(REQUESTS.len())];
        let head = header(*key, *version, is_flexible);
        let mut body = body.clone();
        for change in changes {
            let length = body.len();
            match change {
                _ if body.is_empty() => break,
                Change::Byte(at, byte) => body[at.index(length)] = byte,
                Change::Huge(at) => {
                    let at = at.index(length);
                    let end = (at + 4).min(length);
                    body[at..end].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff][..end - at]);
                }
                Change::Cut(at) => body.truncate(at.index(length)),
            }
        }
        frame(&[head, body].concat())
    })
}

#[derive(Clone, Debug)]
enum Change {
    Byte(prop::sample::Index, u8),
    Huge(prop::sample::Index),
    Cut(prop::sample::Index),
}

fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let random = prop::collection::vec(any::<u8>(), 0..200);
    let framed = prop::collection::vec(any::<u8>(), 0..200).prop_map(|bytes| frame(&bytes));
    let headed = (0i16..70, 0i16..15, any::<bool>(), prop::collection::vec(any::<u8>(), 0..100))
        .prop_map(|(key, version, is_flexible, body)| frame(&[header(key, version, is_flexible), body].concat()));
    prop_oneof![1 => random, 1 => framed, 2 => headed, 6 => nearly_right()]
}

#[test]
fn nothing_that_a_client_sends_makes_the_broker_panic_or_take_more_than_its_bounds() {
    let _alone = alone();
    let broker = start(small());
    let address = broker.address();
    let before = ALLOCATED.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() });
    let outcome = runner.run(&prop::collection::vec(hostile(), 1..6), |messages| {
        let mut stream = connect(address);
        stream.set_read_timeout(Some(Duration::from_millis(3))).unwrap();
        for message in messages {
            // It may be closed by now; and an answer may never come, as for a join that waits for others.
            if stream.write_all(&message).is_err() {
                break;
            }
            drop(stream.read(&mut [0; 4096]));
        }
        prop_assert_eq!(PANICS.load(Ordering::Relaxed), 0);
        Ok(())
    });
    outcome.unwrap();
    assert!(serves(address));
    let peak = PEAK.load(Ordering::Relaxed) - before;
    assert!(peak < MEMORY_BOUND, "{} MB at the peak", peak / MEGABYTE);
    let largest = LARGEST.load(Ordering::Relaxed);
    assert!(largest <= 17 * MEGABYTE, "{} MB in one piece", largest / MEGABYTE);
    assert!(broker.stats().kept_bytes <= 4 * MEGABYTE as u64);
}

#[test]
fn a_version_question_from_the_future_is_answered_in_the_oldest_form() {
    let _alone = alone();
    let broker = start(small());
    let mut stream = connect(broker.address());
    stream.write_all(&frame(&header(18, 99, true))).unwrap();
    let mut answer = [0; 10];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[4..], [0, 0, 0, 7, 0, 35]);
}

#[test]
fn what_is_no_request_closes_the_connection_and_no_other() {
    let _alone = alone();
    let broker = start(small());
    for (what, bytes) in [
        ("an unknown request", frame(&header(999, 0, false))),
        ("a version that is not spoken", frame(&header(3, 99, true))),
        ("a negative length", vec![0xff; 20]),
        ("a length beyond the limit", [0x7f, 0xff, 0xff, 0xff, 1, 2, 3].to_vec()),
        ("an empty request", frame(&[])),
        ("a request that ends in its header", frame(&header(3, 1, false)[..6])),
        ("another protocol", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
    ] {
        let mut stream = connect(broker.address());
        stream.write_all(&bytes).unwrap();
        assert_eq!(until_closed(&mut stream), Vec::<u8>::new(), "{what}");
        assert!(serves(broker.address()), "{what}");
    }
}

#[test]
fn half_a_request_is_not_waited_for_long() {
    let _alone = alone();
    let broker = start(small());
    for half in [&[0u8, 0][..], &[0, 0, 1, 0, 0, 18], &[0, 0x0f, 0, 0, 1, 2, 3]] {
        let mut stream = connect(broker.address());
        let began = Instant::now();
        stream.write_all(half).unwrap();
        assert_eq!(until_closed(&mut stream), Vec::<u8>::new());
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        // And a client that goes in the middle is no trouble.
        let mut stream = connect(broker.address());
        stream.write_all(half).unwrap();
        stream.shutdown(Shutdown::Both).unwrap();
    }
    assert!(serves(broker.address()));
}

/// Each of them may take the whole limit; together they must not.
#[test]
fn long_requests_of_many_clients_wait_for_each_other() {
    let _alone = alone();
    let broker = start(Config { max_request_bytes: 8 * MEGABYTE, max_bytes_in_flight: 16 * MEGABYTE, request_timeout: Duration::from_secs(5), ..small() });
    let before = ALLOCATED.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let clients: Vec<TcpStream> = (0..30)
        .map(|_| {
            let mut stream = connect(broker.address());
            stream.write_all(&[0, 0x7f, 0xff, 0xf0, 1, 2, 3]).unwrap();
            stream
        })
        .collect();
    // That nothing is taken has no event to wait for.
    std::thread::sleep(Duration::from_millis(300));
    let peak = PEAK.load(Ordering::Relaxed) - before;
    assert!(peak < 40 * MEGABYTE, "{} MB for 30 requests of 8 MB", peak / MEGABYTE);
    drop(clients);
    assert!(serves(broker.address()));
}

/// Waits until the broker has heard of so many connections.
fn await_connections(broker: &RunningBroker, count: usize) {
    let began = Instant::now();
    while broker.stats().connections != count {
        assert!(began.elapsed() < Duration::from_secs(10), "there are {} connections, not {count}", broker.stats().connections);
        std::thread::yield_now();
    }
}

#[test]
fn there_are_never_more_connections_than_allowed() {
    let _alone = alone();
    let broker = start(Config { max_connections: 3, ..small() });
    let held: Vec<TcpStream> = (0..3).map(|_| connect(broker.address())).collect();
    await_connections(&broker, 3);
    assert_eq!(until_closed(&mut connect(broker.address())), Vec::<u8>::new());
    assert_eq!(broker.stats().connections, 3);
    drop(held);
    await_connections(&broker, 0);
    assert!(serves(broker.address()));
}

/// It has no other way to hear of it.
#[test]
fn a_producer_that_wants_no_answer_is_told_of_an_error_by_a_closed_connection() {
    let _alone = alone();
    let broker = start(small());
    // No transaction, acks 0, a timeout; topic `t`, partition 0, and a byte that is no batch.
    let body = [0xff, 0xff, 0, 0, 0, 0, 0x03, 0xe8, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 9].to_vec();
    let mut stream = connect(broker.address());
    stream.write_all(&frame(&[header(0, 3, false), body].concat())).unwrap();
    assert_eq!(until_closed(&mut stream), Vec::<u8>::new());
}
