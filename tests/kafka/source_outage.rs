//! What a source does while the broker is away. Each test has a broker of its own.

use std::time::{Duration, Instant};

use weir::source::{Cut, Source as _, SourceError};
use weir_tests::broker::{Broker, eventually};

use super::support::*;

#[test]
fn an_outage_is_reported_and_reading_goes_on_by_itself() {
    let broker = Broker::start().unwrap();
    let topic = Topic::on(&broker, 2, &[]);
    topic.produce(0, 0..10);
    let mut source = topic.source();
    assert_eq!(read_numbers(&mut source, 10), (0..10).collect::<Vec<_>>());

    broker.stop().unwrap();
    let error = error_of(&mut source, "the outage is noticed");
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("source `in`") && text.contains("waiting for it") && text.contains(&broker.bootstrap()), "{text}");
    let began = Instant::now();
    assert!(matches!(source.offer(), Err(SourceError::Unreachable { .. })));
    assert!(began.elapsed() < Duration::from_millis(500), "an offer waits for nobody: {:?}", began.elapsed());

    broker.start_again().unwrap();
    let began = Instant::now();
    eventually("the broker is back", || match source.offer() {
        Ok(_) => Some(()),
        Err(_) => {
            source.wait(Duration::from_millis(100));
            None
        }
    });
    println!("offers again {:?} after the broker was ready", began.elapsed());
    topic.produce(1, 10..20);
    assert_eq!(read_numbers(&mut source, 10), (10..20).collect::<Vec<_>>());
}

#[test]
fn a_read_that_the_broker_interrupts_is_made_again_in_full() {
    let broker = Broker::start().unwrap();
    let topic = Topic::on(&broker, 1, &[]);
    topic.produce(0, 0..1_000);
    let mut source = topic.source();
    source.offer().unwrap();
    let planned = [range(topic.partition(0), 100, 1_000)];
    broker.stop().unwrap();
    // The plan goes back and forth, so that nothing of it has been fetched.
    let began = Instant::now();
    let error = eventually("the outage is noticed", || source.read(&planned, Cut::default()).err());
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    broker.start_again().unwrap();
    let records = eventually("the broker is back", || source.read(&planned, Cut::default()).ok());
    assert_eq!(numbers(&records), (100..1_000).collect::<Vec<_>>());
}

#[test]
fn a_pipeline_may_be_started_before_its_broker() {
    let broker = Broker::start().unwrap();
    let topic = Topic::on(&broker, 1, &[]);
    topic.produce(0, 0..10);
    broker.stop().unwrap();
    let mut source = topic.source();
    let error = source.offer().unwrap_err();
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
    broker.start_again().unwrap();
    eventually("the broker is there", || source.offer().ok());
    assert_eq!(read_numbers(&mut source, 10), (0..10).collect::<Vec<_>>());
}

/// A partition is not idle because its broker is silent.
#[test]
fn a_broker_that_hangs_confirms_nothing() {
    let broker = Broker::start().unwrap();
    let topic = Topic::on(&broker, 1, &[]);
    topic.produce(0, 0..10);
    let mut source = topic.source();
    assert_eq!(read_numbers(&mut source, 10).len(), 10);
    offers_when(&mut source, "the end is confirmed", |offers| offers[0].confirmed);
    broker.signal("STOP").unwrap();
    eventually("the end is not confirmed any more", || {
        source.wait(Duration::from_millis(200));
        // Long before its silence counts as an outage.
        (!source.offer().unwrap()[0].confirmed).then_some(())
    });
    broker.signal("CONT").unwrap();
    eventually("the end is confirmed again", || {
        source.wait(Duration::from_millis(200));
        source.offer().ok().filter(|offers| offers[0].confirmed)
    });
}
