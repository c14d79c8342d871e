//! Aggregates: the trait that an author writes, the columnar one for those who want the last factor of speed, and how they are opened and called for a host.

use serde::de::DeserializeOwned;

use crate::config;
use crate::context::Context;
use crate::output::Columns;
use crate::plan::{AggregatePlan, NewField, Order, StateIdentity};
use crate::rows::{Groups, Rows};
use crate::states::{NewStates, States};
use crate::types::Type;
use crate::wire::{self, Field, OpenError, RunError};

/// Rows in, one row a group out. The host owns windows, keys and the states; an aggregate folds rows into a state, merges states, and makes a row of one.
///
/// It must not matter how rows are cut into states, nor when they are merged: `merge` of the states of some rows and of others is the state of all of them.
///
/// ```
/// use weir_guest::{Aggregate, AggregatePlan, Column, Columns, Computed, Context, NoConfig, OpenError, Rows, RunError};
///
/// struct Longest {
///     text: Column<str>,
///     longest: Computed<i64>,
/// }
///
/// impl Aggregate for Longest {
///     const NAME: &'static str = "longest";
///     const DOC: &'static str = "The length of the longest `text`.";
///     type Config = NoConfig;
///     type State = i64;
///
///     fn open(_: NoConfig, plan: &mut AggregatePlan) -> Result<Self, OpenError> {
///         Ok(Self { text: plan.input.read("text")?, longest: plan.compute_required("longest")? })
///     }
///     fn zero(&self) -> i64 {
///         0
///     }
///     fn accumulate(&self, _: &Context, longest: &mut i64, rows: &Rows, row: usize) -> Result<(), RunError> {
///         *longest = (*longest).max(rows.get(self.text, row).map_or(0, str::len) as i64);
///         Ok(())
///     }
///     fn merge(&self, longest: &mut i64, other: i64) -> Result<(), RunError> {
///         *longest = (*longest).max(other);
///         Ok(())
///     }
///     fn finish(&self, _: &Context, longest: i64, out: &mut Columns) -> Result<(), RunError> {
///         out.push(self.longest, longest);
///         Ok(())
///     }
///     fn encode(&self, longest: &i64, bytes: &mut Vec<u8>) {
///         bytes.extend(longest.to_le_bytes());
///     }
///     fn decode(&self, bytes: &[u8]) -> Result<i64, RunError> {
///         Ok(i64::from_le_bytes(bytes.try_into().map_err(|_| "a state is eight bytes")?))
///     }
/// }
/// ```
pub trait Aggregate: Sized + 'static {
    /// What a pipeline's step calls it.
    const NAME: &'static str;
    /// What it does, in a line.
    const DOC: &'static str;
    /// A JSON Schema of `Config`; empty: it takes none.
    const CONFIG_SCHEMA: &'static str = "";
    /// Its config, from the step's `config`. Refuse unknown keys with `#[serde(deny_unknown_fields)]`.
    type Config: DeserializeOwned;
    /// What is known of a group.
    type State;

    /// Says which columns are read, which are made, and what the bytes of a state are.
    ///
    /// # Errors
    /// [`OpenError`]: the config or the input is not what the aggregate needs.
    fn open(config: Self::Config, plan: &mut AggregatePlan<'_>) -> Result<Self, OpenError>;

    /// The state of no rows.
    fn zero(&self) -> Self::State;

    /// Adds row `row` to a state.
    ///
    /// # Errors
    /// The row can't be added.
    fn accumulate(&self, context: &Context, state: &mut Self::State, rows: &Rows<'_>, row: usize) -> Result<(), RunError>;

    /// Adds another state to a state. There is no context: a merge that knew the time would depend on when it ran.
    ///
    /// # Errors
    /// The states can't be put together.
    fn merge(&self, state: &mut Self::State, other: Self::State) -> Result<(), RunError>;

    /// Adds one value to every column made.
    ///
    /// # Errors
    /// The state makes no row.
    fn finish(&self, context: &Context, state: Self::State, out: &mut Columns) -> Result<(), RunError>;

    /// Writes a state.
    fn encode(&self, state: &Self::State, bytes: &mut Vec<u8>);

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// These are not the bytes of a state.
    fn decode(&self, bytes: &[u8]) -> Result<Self::State, RunError>;

    /// Reads a state that was written under another identity.
    ///
    /// # Errors
    /// States of that identity do not fit, as is the case unless you write this.
    fn migrate(&self, stored: &StateIdentity, bytes: &[u8]) -> Result<Self::State, RunError> {
        let _ = bytes;
        Err(misfit(stored))
    }
}

/// An aggregate that works on all groups of a call at a time. Every [`Aggregate`] is one; write this one yourself if the accumulators of many groups can lie densely
/// in vectors, which saves a call and a look-up for each row.
pub trait ColumnarAggregate: Sized + 'static {
    /// What a pipeline's step calls it.
    const NAME: &'static str;
    /// What it does, in a line.
    const DOC: &'static str;
    /// A JSON Schema of `Config`; empty: it takes none.
    const CONFIG_SCHEMA: &'static str = "";
    /// Its config, from the step's `config`.
    type Config: DeserializeOwned;

    /// As [`Aggregate::open`].
    ///
    /// # Errors
    /// [`OpenError`]: the config or the input is not what the aggregate needs.
    fn open(config: Self::Config, plan: &mut AggregatePlan<'_>) -> Result<Self, OpenError>;

    /// Makes one new state for each group, in order, of the rows at hand.
    ///
    /// # Errors
    /// The rows can't be added.
    fn accumulate(&self, context: &Context, rows: &Rows<'_>, groups: Groups<'_>, states: &mut NewStates) -> Result<(), RunError>;

    /// Makes one state for each group, in order, of several.
    ///
    /// # Errors
    /// The states can't be put together.
    fn merge(&self, stored: States<'_>, groups: Groups<'_>, states: &mut NewStates) -> Result<(), RunError>;

    /// Adds one value for each state, in order, to every column made.
    ///
    /// # Errors
    /// A state makes no row.
    fn finish(&self, context: &Context, states: States<'_>, out: &mut Columns) -> Result<(), RunError>;

    /// Writes states of another identity, in order, as this one would have them.
    ///
    /// # Errors
    /// States of that identity do not fit, as is the case unless you write this.
    fn migrate(&self, identity: &StateIdentity, stored: States<'_>, states: &mut NewStates) -> Result<(), RunError> {
        let _ = (stored, states);
        Err(misfit(identity))
    }
}

/// An aggregate that a plugin registers.
#[derive(Clone, Copy)]
pub struct AggregateEntry {
    name: &'static str,
    doc: &'static str,
    config_schema: &'static str,
    open: fn(&str, &[Field]) -> Result<OpenAggregate, OpenError>,
}

/// An aggregate that has been opened.
pub struct OpenAggregate {
    pub(crate) reads: Vec<u32>,
    pub(crate) state: StateIdentity,
    pub(crate) order: Order,
    types: Vec<Type>,
    pub(crate) fields: Vec<NewField>,
    aggregate: Box<dyn Fold>,
}

/// [`ColumnarAggregate`] without what a trait object can't have.
trait Fold {
    fn accumulate(&self, context: &Context, rows: &Rows<'_>, groups: Groups<'_>, states: &mut NewStates) -> Result<(), RunError>;
    fn merge(&self, stored: States<'_>, groups: Groups<'_>, states: &mut NewStates) -> Result<(), RunError>;
    fn finish(&self, context: &Context, states: States<'_>, out: &mut Columns) -> Result<(), RunError>;
    fn migrate(&self, identity: &StateIdentity, stored: States<'_>, states: &mut NewStates) -> Result<(), RunError>;
}

impl<A: Aggregate> ColumnarAggregate for A {
    const NAME: &'static str = A::NAME;
    const DOC: &'static str = A::DOC;
    const CONFIG_SCHEMA: &'static str = A::CONFIG_SCHEMA;
    type Config = A::Config;

    fn open(config: Self::Config, plan: &mut AggregatePlan<'_>) -> Result<Self, OpenError> {
        Aggregate::open(config, plan)
    }

    fn accumulate(&self, context: &Context, rows: &Rows<'_>, groups: Groups<'_>, states: &mut NewStates) -> Result<(), RunError> {
        let mut folded: Vec<_> = (0..groups.count()).map(|_| self.zero()).collect();
        for (row, group) in groups.iter().enumerate() {
            if let Some(state) = folded.get_mut(group) {
                Aggregate::accumulate(self, context, state, rows, row)?;
            }
        }
        folded.iter().for_each(|state| states.push_with(|bytes| self.encode(state, bytes)));
        Ok(())
    }

    fn merge(&self, stored: States<'_>, groups: Groups<'_>, states: &mut NewStates) -> Result<(), RunError> {
        let mut merged: Vec<Option<A::State>> = (0..groups.count()).map(|_| None).collect();
        for (bytes, group) in stored.iter().zip(groups.iter()) {
            let state = self.decode(bytes)?;
            match merged.get_mut(group) {
                Some(Some(first)) => Aggregate::merge(self, first, state)?,
                Some(none) => *none = Some(state),
                None => {}
            }
        }
        for state in merged {
            let state = state.unwrap_or_else(|| self.zero());
            states.push_with(|bytes| self.encode(&state, bytes));
        }
        Ok(())
    }

    fn finish(&self, context: &Context, states: States<'_>, out: &mut Columns) -> Result<(), RunError> {
        states.iter().try_for_each(|bytes| Aggregate::finish(self, context, self.decode(bytes)?, out))
    }

    fn migrate(&self, identity: &StateIdentity, stored: States<'_>, states: &mut NewStates) -> Result<(), RunError> {
        stored.iter().try_for_each(|bytes| {
            let state = Aggregate::migrate(self, identity, bytes)?;
            states.push_with(|bytes| self.encode(&state, bytes));
            Ok(())
        })
    }
}

impl<A: ColumnarAggregate> Fold for A {
    fn accumulate(&self, context: &Context, rows: &Rows<'_>, groups: Groups<'_>, states: &mut NewStates) -> Result<(), RunError> {
        ColumnarAggregate::accumulate(self, context, rows, groups, states)
    }

    fn merge(&self, stored: States<'_>, groups: Groups<'_>, states: &mut NewStates) -> Result<(), RunError> {
        ColumnarAggregate::merge(self, stored, groups, states)
    }

    fn finish(&self, context: &Context, states: States<'_>, out: &mut Columns) -> Result<(), RunError> {
        ColumnarAggregate::finish(self, context, states, out)
    }

    fn migrate(&self, identity: &StateIdentity, stored: States<'_>, states: &mut NewStates) -> Result<(), RunError> {
        ColumnarAggregate::migrate(self, identity, stored, states)
    }
}

impl AggregateEntry {
    /// The entry of `A`.
    #[must_use]
    pub const fn of<A: ColumnarAggregate>() -> Self {
        Self { name: A::NAME, doc: A::DOC, config_schema: A::CONFIG_SCHEMA, open: open::<A> }
    }

    /// The entries as the host lists them.
    #[must_use]
    pub fn list(entries: &[Self]) -> Vec<wire::Function> {
        entries.iter().map(|entry| wire::Function { name: entry.name.into(), doc: entry.doc.into(), config_schema: entry.config_schema.into() }).collect()
    }

    /// Opens the entry of that name.
    ///
    /// # Errors
    /// [`OpenError::UnknownFunction`], or what the aggregate says.
    pub fn open(entries: &[Self], name: &str, config: &str, input: &[Field]) -> Result<OpenAggregate, OpenError> {
        let entry = entries.iter().find(|entry| entry.name == name).ok_or(OpenError::UnknownFunction)?;
        (entry.open)(config, input)
    }
}

impl OpenAggregate {
    /// Makes a state for each group of rows.
    ///
    /// # Errors
    /// What the aggregate says.
    pub fn accumulate(&self, context: &Context, input: &wire::Rows, group: &[u8], groups: u32) -> Result<wire::Blobs, RunError> {
        let rows = Rows::new(input, &self.types)?;
        let groups = Groups::new(group, rows.len(), groups)?;
        let mut made = NewStates::new(groups.count());
        self.aggregate.accumulate(context, &rows, groups, &mut made)?;
        made.finish(groups.count())
    }

    /// Makes a state for each group of states.
    ///
    /// # Errors
    /// What the aggregate says.
    pub fn merge(&self, states: &wire::Blobs, group: &[u8], groups: u32) -> Result<wire::Blobs, RunError> {
        let stored = States::new(states)?;
        let groups = Groups::new(group, stored.len(), groups)?;
        let mut made = NewStates::new(groups.count());
        self.aggregate.merge(stored, groups, &mut made)?;
        made.finish(groups.count())
    }

    /// Makes a row of each state.
    ///
    /// # Errors
    /// What the aggregate says.
    pub fn finish(&self, context: &Context, states: &wire::Blobs) -> Result<wire::Rows, RunError> {
        let states = States::new(states)?;
        let mut columns = Columns::new(&self.fields, states.len());
        self.aggregate.finish(context, states, &mut columns)?;
        Ok(wire::Rows { count: states.len() as u32, columns: columns.finish(states.len())? })
    }

    /// Makes states of this identity of states of another.
    ///
    /// # Errors
    /// What the aggregate says.
    pub fn migrate(&self, identity: &StateIdentity, states: &wire::Blobs) -> Result<wire::Blobs, RunError> {
        let stored = States::new(states)?;
        let mut made = NewStates::new(stored.len());
        self.aggregate.migrate(identity, stored, &mut made)?;
        made.finish(stored.len())
    }
}

fn open<A: ColumnarAggregate>(config: &str, input: &[Field]) -> Result<OpenAggregate, OpenError> {
    let mut plan = AggregatePlan::new(input);
    let aggregate = Box::new(A::open(config::parse(config)?, &mut plan)?);
    Ok(OpenAggregate { reads: plan.input.reads, types: plan.input.types, fields: plan.output, state: plan.state, order: plan.order, aggregate })
}

fn misfit(stored: &StateIdentity) -> RunError {
    format!("states of version {} and shape `{}` do not fit this function", stored.version, stored.shape)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use serde_json::json;

    use super::*;
    use crate::{Column, Computed, NoConfig, testing};

    /// The words of a group in the order in which they came.
    struct Words {
        word: Column<str>,
        words: Computed<str>,
    }

    impl Aggregate for Words {
        const NAME: &'static str = "words";
        const DOC: &'static str = "";
        type Config = NoConfig;
        type State = Vec<String>;

        fn open(_: NoConfig, plan: &mut AggregatePlan<'_>) -> Result<Self, OpenError> {
            plan.merge_in_order_of_arrival();
            plan.state(2, "words");
            Ok(Self { word: plan.input.read("word")?, words: plan.compute("words")? })
        }

        fn zero(&self) -> Vec<String> {
            Vec::new()
        }

        fn accumulate(&self, _: &Context, words: &mut Vec<String>, rows: &Rows<'_>, row: usize) -> Result<(), RunError> {
            words.push(rows.get(self.word, row).ok_or("a word is null")?.to_owned());
            Ok(())
        }

        fn merge(&self, words: &mut Vec<String>, other: Vec<String>) -> Result<(), RunError> {
            words.extend(other);
            Ok(())
        }

        fn finish(&self, _: &Context, words: Vec<String>, out: &mut Columns) -> Result<(), RunError> {
            out.push(self.words, words.join(" ").as_str());
            Ok(())
        }

        fn encode(&self, words: &Vec<String>, bytes: &mut Vec<u8>) {
            bytes.extend(words.join(" ").bytes());
        }

        fn decode(&self, bytes: &[u8]) -> Result<Vec<String>, RunError> {
            let text = str::from_utf8(bytes).map_err(|error| error.to_string())?;
            Ok(text.split(' ').map(str::to_owned).collect())
        }
    }

    fn words() -> testing::AggregateTest {
        testing::aggregate::<Words>(&[("word", "utf8?")], "").unwrap()
    }

    #[test]
    fn a_fold_of_one_group_is_driven_for_all_of_them() {
        let input = json!([{ "word": "a" }, { "word": "b" }, { "word": "c" }, { "word": "d" }]);
        let states = words().accumulate_groups(&input, &[1, 0, 1, 1], 2).unwrap();
        assert_eq!(states, [b"b".to_vec(), b"a c d".to_vec()]);
        assert_eq!(words().run(&[input, json!([{ "word": "e" }])]).unwrap(), json!({ "words": "a b c d e" }));
        assert_eq!((words().order(), words().state().version), (Order::Arrival, 2));
        words().assert_cuts_do_not_show(&json!([{ "word": "a" }, { "word": "b" }, { "word": "c" }, { "word": "d" }, { "word": "e" }])).unwrap();
    }

    #[test]
    fn what_the_author_refuses_is_the_answer() {
        assert_eq!(words().accumulate(&json!([{ "word": null }])).unwrap_err(), "a word is null");
        assert!(words().finish(&[0xff]).is_err());
        let stored = StateIdentity { version: 1, shape: "other".to_owned() };
        assert_eq!(words().migrate(&stored, b"a").unwrap_err(), "states of version 1 and shape `other` do not fit this function");
    }

    /// Counts rows, but forgets the other state when two are merged.
    struct Forgetful(Computed<i64>);

    impl Aggregate for Forgetful {
        const NAME: &'static str = "forgetful";
        const DOC: &'static str = "";
        type Config = NoConfig;
        type State = u8;

        fn open(_: NoConfig, plan: &mut AggregatePlan<'_>) -> Result<Self, OpenError> {
            Ok(Self(plan.compute_required("rows")?))
        }
        fn zero(&self) -> u8 {
            0
        }
        fn accumulate(&self, _: &Context, rows: &mut u8, _: &Rows<'_>, _: usize) -> Result<(), RunError> {
            *rows += 1;
            Ok(())
        }
        fn merge(&self, _: &mut u8, _: u8) -> Result<(), RunError> {
            Ok(())
        }
        fn finish(&self, _: &Context, rows: u8, out: &mut Columns) -> Result<(), RunError> {
            out.push(self.0, i64::from(rows));
            Ok(())
        }
        fn encode(&self, rows: &u8, bytes: &mut Vec<u8>) {
            bytes.push(*rows);
        }
        fn decode(&self, bytes: &[u8]) -> Result<u8, RunError> {
            bytes.first().copied().ok_or_else(|| "no state".to_owned())
        }
    }

    #[test]
    #[should_panic(expected = "but without a cut")]
    fn a_merge_that_loses_rows_is_found() {
        let test = testing::aggregate::<Forgetful>(&[], "").unwrap();
        test.assert_cuts_do_not_show(&json!([{}, {}, {}])).unwrap();
    }
}
