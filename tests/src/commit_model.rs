//! The commit protocol, explored. Every state is visited that processes, SIGKILLs, lost answers, late and repeated EndTxns,
//! timeouts, torn records, disk errors, expired markers and copies of the state folder can bring about, within bounds. In
//! each process the real `Protocol` says what is done next; only the world around it is a model.
//!
//! ```text
//!  world.rs         what a state of the world is, and what differences between two do not matter
//!  process.rs       a process: action of the protocol -> effect on the world -> outcome to the protocol
//!  surroundings.rs  wire, broker, receiver, operator
//!  explore.rs       breadth first over all worlds, then the way to the end from each
//! ```
//!
//! **Checked in every state.** Kafka: the rows of a transaction were made on exactly what readers have, so none twice, none
//! lost, no other history. Files: what is renamed is there and is the epoch's. Outbox: no row twice at a receiver that knows
//! tokens, no row with two contents, none of an epoch that was not committed, all there when an epoch is finished. State: a
//! delta only on the state that it was made on, and nothing that was not delivered. Starts: the rightful folder is not
//! refused, a marker that never expired is not missed, a start that must be refused fences nobody, a finished epoch is not
//! delivered again. **At the end**: from every state with a rightful folder the last epoch can be finished without further
//! bad luck (where a marker has expired, with the operator's `--assume`).
//!
//! **It shows its teeth.** Each rule of the protocol is left out in turn, by a lie about the world, and a broken promise
//! must come up: see [`rules`].
//!
//! Not covered: power loss, that is the order of fsyncs; locks that do not hold; wrong words of an operator; receivers that
//! forget tokens; manifests; late Produce and TxnOffsetCommit requests, which brokers verify.
#![allow(clippy::indexing_slicing, reason = "slots, folders and numbers of worlds are made here and in range")]
#![allow(clippy::panic, reason = "a protocol that does not take an outcome is what is looked for")]

mod explore;
mod files;
mod process;
mod setup;
mod surroundings;
mod world;

use weir::epoch::recovery::CommitPoint;

pub use explore::{Report, Verdict, explore};
pub use setup::{Outbox, Rule, Second, Setup};

/// One process, one Kafka sink, two epochs of up to one row.
const KAFKA: Setup = Setup {
    point: CommitPoint::Transaction,
    two_sinks: false,
    files: false,
    outbox: Outbox::None,
    second: Second::None,
    epochs: 2,
    rows: 2,
    rows_per_epoch: 1,
    kills: 2,
    expiries: 0,
    disk_errors: 0,
    renewal: false,
    late_commit: false,
    without: None,
};

/// No Kafka, so PREPARED is the commit point.
const NO_KAFKA: Setup = Setup { point: CommitPoint::Prepared, outbox: Outbox::Dedup, ..KAFKA };

/// The pipelines whose protocol must hold, with their second process or folder.
#[must_use]
pub fn pipelines() -> Vec<(&'static str, Setup)> {
    let sinks = [
        ("Kafka", KAFKA),
        ("two Kafka sinks", Setup { two_sinks: true, ..KAFKA }),
        ("Kafka and files", Setup { files: true, ..KAFKA }),
        ("Kafka and outbox", Setup { outbox: Outbox::Dedup, ..KAFKA }),
        ("Kafka and outbox, at least once", Setup { outbox: Outbox::Plain, ..KAFKA }),
        ("Kafka, files and outbox", Setup { files: true, outbox: Outbox::Dedup, ..KAFKA }),
        ("no Kafka", NO_KAFKA),
    ];
    let mut runs = Vec::new();
    for (name, sinks) in sinks {
        let expiries = u8::from(sinks.point == CommitPoint::Transaction);
        runs.push((name, Setup { disk_errors: 1, expiries, renewal: true, ..sinks }));
        runs.push((name, Setup { second: Second::SameFolder, ..sinks }));
    }
    let longer = Setup { epochs: 3, rows: 3, rows_per_epoch: 2, kills: 3, disk_errors: 1, ..KAFKA };
    let copied = Setup { second: Second::Copy, rows: 1, kills: 1, ..KAFKA };
    let empty = Setup { second: Second::Empty, ..copied };
    runs.extend([
        ("Kafka", Setup { expiries: 1, renewal: true, ..longer }),
        ("Kafka", Setup { second: Second::SameFolder, expiries: 1, ..KAFKA }),
        ("Kafka, late EndTxn", Setup { late_commit: true, ..KAFKA }),
        ("Kafka", copied),
        ("Kafka", Setup { second: Second::TornCopy, ..copied }),
        ("Kafka", empty),
        ("Kafka", Setup { epochs: 1, expiries: 1, ..empty }),
        ("Kafka", Setup { second: Second::Reset, ..KAFKA }),
        ("Kafka and files", Setup { files: true, ..copied }),
        ("Kafka and outbox", Setup { outbox: Outbox::Dedup, ..copied }),
        ("Kafka and outbox", Setup { outbox: Outbox::Dedup, second: Second::Reset, ..KAFKA }),
        ("no Kafka", Setup { point: CommitPoint::Prepared, outbox: Outbox::Dedup, ..longer }),
    ]);
    runs
}

/// Every rule with a pipeline that needs it, and the beginning of the promise that is broken without it.
#[must_use]
pub fn rules() -> Vec<(Rule, Setup, &'static str)> {
    let plain = Setup { kills: 1, ..KAFKA };
    let copied = Setup { second: Second::Copy, rows: 1, ..plain };
    let files = Setup { files: true, ..copied };
    let outbox = Setup { outbox: Outbox::Dedup, ..plain };
    let torn_copy = Setup { second: Second::TornCopy, ..plain };
    let mut rules = vec![
        (Rule::Lock, Setup { second: Second::SameFolder, ..plain }, "state: "),
        (Rule::Peek, copied, "a start that had to be refused went on to fence"),
        (Rule::FenceBeforeAsking, copied, "Kafka: rows delivered twice"),
        (Rule::MarkerEquality, plain, "state: holds rows that were not delivered"),
        (Rule::RandomAttempt, files, "file: the staged file of a committed epoch is gone"),
        (Rule::AttemptAndChecksum, copied, "state: holds rows that were not delivered"),
        (Rule::AskWhenUnknown, plain, "Kafka: rows delivered twice"),
        (Rule::ForwardBeforeNext, outbox, "outbox: a finished epoch's rows never reached the receiver"),
        (Rule::MarkerInTransaction, plain, "Kafka: rows delivered twice"),
        (Rule::PrepareBeforeCommit, plain, "stuck"),
        (Rule::OutboxAfterCommit, outbox, "outbox: rows of an epoch that was not committed"),
        (Rule::RecordChecksum, Setup { kills: 1, ..NO_KAFKA }, "state: a torn record was applied"),
        (Rule::Poison, Setup { disk_errors: 1, ..plain }, "state: "),
        (Rule::FirstMarker, plain, "refused: the marker is missing"),
        (Rule::UntouchedSinks, Setup { second: Second::Empty, expiries: 1, ..plain }, "Kafka: rows delivered twice"),
        (Rule::Base, torn_copy, "state: the delta was applied to a state that it was not made on"),
        (Rule::ForwardedNeedsRecord, Setup { outbox: Outbox::Dedup, ..torn_copy }, "outbox: a finished epoch's rows never"),
        (Rule::ForwardedMark, outbox, "a start delivers a finished epoch again"),
        (Rule::FreshProducerAfterRepeat, Setup { late_commit: true, ..plain }, "Kafka: rows committed without their marker"),
        (Rule::FreshProducerAfterAbort, plain, "Kafka: a transaction was begun inside of another"),
        (Rule::DeleteOnlyNamed, files, "file: the staged file of a committed epoch is gone"),
        (Rule::LineageInToken, Setup { second: Second::Reset, ..outbox }, "outbox: a finished epoch's rows never reached"),
        (Rule::AbsoluteDelta, plain, "state: the delta was applied twice"),
    ];
    for (rule, setup, _) in &mut rules {
        setup.without = Some(*rule);
    }
    rules
}
