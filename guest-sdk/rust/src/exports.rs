//! The exports of a plugin: the generated traits on one side, the SDK's own entries on the other. One function of a plugin is open at a time, in one instance.

use std::cell::RefCell;

use crate::aggregate::{AggregateEntry, OpenAggregate};
use crate::bindings::aggregate::exports::weir::plugin::aggregate;
use crate::bindings::plugin::exports::weir::plugin::plugin;
use crate::bindings::transform::exports::weir::plugin::transform;
use crate::log::{self, Level};
use crate::plan::{NewField, Order, OutputColumn, StateIdentity};
use crate::register::Plugin;
use crate::transform::{OpenTransform, TransformEntry};
use crate::wire;

// A wasm instance has one thread; `thread_local` is how safe code says so.
thread_local! {
    static TRANSFORM: RefCell<Option<OpenTransform>> = const { RefCell::new(None) };
    static AGGREGATE: RefCell<Option<OpenAggregate>> = const { RefCell::new(None) };
}

impl<P: Plugin> plugin::Guest for P {
    fn describe() -> plugin::Description {
        plugin::Description { name: P::NAME.into(), version: P::VERSION.into(), doc: P::DOC.into(), pipeline: None }
    }
}

impl<P: Plugin> transform::Guest for P {
    fn functions() -> Vec<wire::Function> {
        TransformEntry::list(P::TRANSFORMS)
    }

    fn open(function: String, config: String, input: wire::Schema) -> Result<transform::Opened, wire::OpenError> {
        report_panics();
        let opened = TransformEntry::open(P::TRANSFORMS, &function, &config, &input)?;
        let output = opened.output.iter().map(|column| match column {
            OutputColumn::Computed(field, _) => transform::OutputColumn::Computed(field.to_wire()),
            OutputColumn::Passed { name, input } => transform::OutputColumn::Passed(transform::PassedColumn { name: name.clone(), input: *input }),
        });
        let answer = transform::Opened { reads: opened.reads.clone(), output: output.collect() };
        TRANSFORM.replace(Some(opened));
        Ok(answer)
    }

    fn run(context: wire::Context, input: wire::Rows) -> Result<transform::Transformed, wire::RunError> {
        let transformed = with_open(&TRANSFORM, |open| open.run(&context.into(), &input))?;
        let rejected =
            transformed.rejected.into_iter().map(|rejection| transform::Rejection { row: rejection.row, code: rejection.code, reason: rejection.reason });
        Ok(transform::Transformed { computed: transformed.computed, origin: transformed.origin, rejected: rejected.collect() })
    }
}

impl<P: Plugin> aggregate::Guest for P {
    fn functions() -> Vec<wire::Function> {
        AggregateEntry::list(P::AGGREGATES)
    }

    fn open(function: String, config: String, input: wire::Schema) -> Result<aggregate::Opened, wire::OpenError> {
        report_panics();
        let opened = AggregateEntry::open(P::AGGREGATES, &function, &config, &input)?;
        let answer = aggregate::Opened {
            reads: opened.reads.clone(),
            output: opened.fields.iter().map(NewField::to_wire).collect(),
            state: aggregate::StateIdentity { version: opened.state.version, shape: opened.state.shape.clone() },
            order: match opened.order {
                Order::Any => aggregate::Order::Any,
                Order::Arrival => aggregate::Order::Arrival,
            },
        };
        AGGREGATE.replace(Some(opened));
        Ok(answer)
    }

    fn accumulate(context: wire::Context, input: wire::Rows, group: wire::U32s, groups: u32) -> Result<wire::Blobs, wire::RunError> {
        with_open(&AGGREGATE, |open| open.accumulate(&context.into(), &input, &group, groups))
    }

    fn merge(states: wire::Blobs, group: wire::U32s, groups: u32) -> Result<wire::Blobs, wire::RunError> {
        with_open(&AGGREGATE, |open| open.merge(&states, &group, groups))
    }

    fn finish(context: wire::Context, states: wire::Blobs) -> Result<wire::Rows, wire::RunError> {
        with_open(&AGGREGATE, |open| open.finish(&context.into(), &states))
    }

    fn migrate(stored: aggregate::StateIdentity, states: wire::Blobs) -> Result<wire::Blobs, wire::RunError> {
        let stored = StateIdentity { version: stored.version, shape: stored.shape };
        with_open(&AGGREGATE, |open| open.migrate(&stored, &states))
    }
}

/// A panic ends in a trap, which has a backtrace but no words: they go to the host's log.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| log::write(Level::Error, format_args!("{}", panic.to_string().replace(":\n", ": ")))));
}

fn with_open<F, R>(
    function: &'static std::thread::LocalKey<RefCell<Option<F>>>,
    call: impl FnOnce(&F) -> Result<R, wire::RunError>,
) -> Result<R, wire::RunError> {
    function.with_borrow(|open| call(open.as_ref().ok_or("the host called a function before it opened one")?))
}
