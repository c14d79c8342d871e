//! From one cluster to another: the offsets of the one can't join the transaction of the other, so marker and COMMITTED alone say how far it came.

use weir_tests::broker::shared;
use weir_tests::checker::Isolation;
use weir_tests::kill::Death;

use crate::support::{PATIENCE, Passing, Trial, committed, numbers, second};

#[test]
fn from_one_cluster_to_another_every_row_arrives_once_through_kills_around_the_commit() {
    let other = second();
    let trial = Trial::new("clusters");
    trial.send_numbers(0..200);
    let sink = format!(", brokers = \"{}\"", other.bootstrap());
    let settings = "trigger = \"available-now\"\nlimits = { max_records = 10 }";
    let host = trial.passing(Passing { state: "state", settings, sink: &sink, ..Passing::default() });
    for (point, pass) in [("staged", 2), ("prepared", 1), ("marked", 2), ("committed", 1), ("committed", 3), ("applied", 1)] {
        host.die_at(Death { point, pass }, PATIENCE).unwrap();
    }
    host.finish(PATIENCE).unwrap();
    let delivered = |isolation| numbers(&trial.read_at(&other.bootstrap(), "out", isolation));
    assert_eq!(delivered(Isolation::Committed), (0..200).collect::<Vec<_>>());
    assert!(delivered(Isolation::Uncommitted).len() > 200, "a kill has left rows that were never committed");

    let (positions, marker) = (format!("weir.{}", trial.name), format!("weir-epoch.{}", trial.name));
    let (input, output) = (format!("{}.in", trial.name), format!("{}.out", trial.name));
    for cluster in [shared(), other] {
        assert_eq!(committed(&cluster.bootstrap(), &positions, &input), None, "no transaction spans two clusters");
    }
    let epochs = trial.progress("state").last().unwrap()["batchId"].as_i64().unwrap();
    assert_eq!(committed(&other.bootstrap(), &marker, &output).unwrap().0, epochs, "the marker is where the rows are");
}
