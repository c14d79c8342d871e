//! The one function of the plugin: the config's expressions on the accumulators that they share.

use weir_guest::{
    AggregatePlan, ColumnarAggregate, Columns, Computed, Context, Groups, NewStates, OpenError, Rows, RunError, StateIdentity, States, Timestamp, Type,
};

use crate::accumulator::{Accumulator, Kind};
use crate::cells::Cells;
use crate::codec::Reader;
use crate::expression::{Expression, Function, Outputs};
use crate::numbers::{FloatSum, IntSum, key_to_float};

/// Rises when the meaning of a field's bytes changes.
const STATE_VERSION: u32 = 1;

/// `count`, `sum`, `avg`, `min` and `max`.
#[derive(Debug)]
pub struct Std {
    accumulators: Vec<Accumulator>,
    outputs: Vec<Output>,
}

/// An output column.
#[derive(Debug)]
struct Output {
    expression: Expression,
    accumulator: usize,
    column: OutputColumn,
}

/// Its handle, and so how it is made of the accumulator.
#[derive(Debug, Clone, Copy)]
enum OutputColumn {
    Count(Computed<i64>),
    Sum(Computed<i64>),
    FloatSum(Computed<f64>),
    Average(Computed<f64>),
    Int(Computed<i64>),
    Float(Computed<f64>),
    Time(Computed<Timestamp>),
    Boolean(Computed<bool>),
    Text(Computed<str>),
}

impl ColumnarAggregate for Std {
    const NAME: &'static str = "aggregate";
    const DOC: &'static str = "Each output column is `count(*)`, or `count`, `sum`, `avg`, `min` or `max` of a column.";
    const CONFIG_SCHEMA: &'static str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "description": "Output columns, in order, with what they hold.",
  "type": "object",
  "minProperties": 1,
  "additionalProperties": { "type": "string", "pattern": "^\\s*(count|sum|avg|min|max)\\s*\\(.+\\)\\s*$" },
  "examples": [{ "event_count": "count(*)", "avg_revenue": "avg(revenue)" }]
}"#;
    type Config = Outputs;

    fn open(config: Outputs, plan: &mut AggregatePlan<'_>) -> Result<Self, OpenError> {
        let needed = config.0.iter().map(|(_, expression)| Accumulator::of(expression, plan)).collect::<Result<Vec<_>, _>>()?;
        let mut accumulators = needed.clone();
        accumulators.sort_by(|a, b| a.name.cmp(&b.name));
        accumulators.dedup_by(|a, b| a.name == b.name);

        let names: Vec<_> = accumulators.iter().map(|accumulator| accumulator.name.as_str()).collect();
        plan.state(STATE_VERSION, serde_json::json!(names).to_string());

        let outputs = config.0.into_iter().zip(needed).map(|((name, expression), needed)| {
            let accumulator = accumulators.iter().position(|accumulator| accumulator.name == needed.name).unwrap_or_default();
            let column = OutputColumn::plan(&name, expression.function, needed.kind, plan)?;
            Ok(Output { expression, accumulator, column })
        });
        let outputs = outputs.collect::<Result<_, OpenError>>()?;
        Ok(Self { accumulators, outputs })
    }

    fn accumulate(&self, _: &Context, rows: &Rows<'_>, groups: Groups<'_>, states: &mut NewStates) -> Result<(), RunError> {
        let mut all = self.cells(groups.count());
        for (cells, accumulator) in all.iter_mut().zip(&self.accumulators) {
            cells.add_rows(accumulator.input, rows, groups);
        }
        write(&all, groups.count(), states);
        Ok(())
    }

    fn merge(&self, stored: States<'_>, groups: Groups<'_>, states: &mut NewStates) -> Result<(), RunError> {
        let mut all = self.cells(groups.count());
        for (state, group) in stored.iter().zip(groups.iter()) {
            add_state(&mut all, group, state)?;
        }
        write(&all, groups.count(), states);
        Ok(())
    }

    fn finish(&self, _: &Context, states: States<'_>, out: &mut Columns) -> Result<(), RunError> {
        let mut all = self.cells(states.len());
        for (group, state) in states.iter().enumerate() {
            add_state(&mut all, group, state)?;
        }
        self.outputs.iter().try_for_each(|output| match all.get(output.accumulator) {
            Some(cells) => output.fill(cells, out),
            None => Ok(()),
        })
    }

    fn migrate(&self, identity: &StateIdentity, stored: States<'_>, states: &mut NewStates) -> Result<(), RunError> {
        let names: Vec<String> = if identity.version == STATE_VERSION { serde_json::from_str(&identity.shape).unwrap_or_default() } else { Vec::new() };
        let kinds: Vec<Kind> = names.iter().map_while(|name| Kind::of_name(name)).collect();
        let places = self.accumulators.iter().map(|accumulator| names.iter().position(|name| *name == accumulator.name));
        let places = places.collect::<Option<Vec<_>>>().filter(|_| kinds.len() == names.len());
        let Some(places) = places else {
            let needed: Vec<_> = self.accumulators.iter().map(|accumulator| accumulator.name.as_str()).collect();
            return Err(format!(
                "the stored states (version {}) hold `{}`, but the config needs `{}`: an aggregate can be taken out of the config, but a new one needs a new step or `state_dir`",
                identity.version,
                identity.shape,
                needed.join("`, `")
            ));
        };
        let mut all: Vec<Cells<'_>> = kinds.iter().map(|kind| Cells::new(*kind, stored.len())).collect();
        for (group, state) in stored.iter().enumerate() {
            add_state(&mut all, group, state)?;
        }
        for group in 0..stored.len() {
            states.push_with(|bytes| places.iter().filter_map(|place| all.get(*place)).for_each(|cells| cells.write(group, bytes)));
        }
        Ok(())
    }
}

impl Std {
    fn cells<'a>(&self, groups: usize) -> Vec<Cells<'a>> {
        self.accumulators.iter().map(|accumulator| Cells::new(accumulator.kind, groups)).collect()
    }
}

impl OutputColumn {
    fn plan(name: &str, function: Function, kind: Kind, plan: &mut AggregatePlan<'_>) -> Result<Self, OpenError> {
        Ok(match kind {
            Kind::Count => Self::Count(plan.compute_required(name)?),
            Kind::IntSum | Kind::FloatSum if function == Function::Avg => Self::Average(plan.compute(name)?),
            Kind::IntSum => Self::Sum(plan.compute(name)?),
            Kind::FloatSum => Self::FloatSum(plan.compute(name)?),
            Kind::Extreme(_, Type::Float64) => Self::Float(plan.compute(name)?),
            Kind::Extreme(_, Type::Timestamp) => Self::Time(plan.compute(name)?),
            Kind::Extreme(_, Type::Boolean) => Self::Boolean(plan.compute(name)?),
            Kind::Extreme(_, Type::Utf8) => Self::Text(plan.compute(name)?),
            Kind::Extreme(..) => Self::Int(plan.compute(name)?),
        })
    }
}

impl Output {
    /// One value for each group.
    fn fill(&self, cells: &Cells<'_>, out: &mut Columns) -> Result<(), RunError> {
        match (self.column, cells) {
            (OutputColumn::Count(column), Cells::Counts(counts)) => out.extend_numbers(column, counts.iter().map(|count| *count as i64)),
            (OutputColumn::Sum(column), Cells::IntSums(sums)) => {
                for sum in sums {
                    out.push(column, self.int_sum(*sum)?);
                }
            }
            (OutputColumn::FloatSum(column), Cells::FloatSums(sums)) => out.extend(column, sums.iter().map(|sum| sum.total())),
            (OutputColumn::Average(column), Cells::FloatSums(sums)) => out.extend(column, sums.iter().map(|sum: &FloatSum| sum.average())),
            (OutputColumn::Average(column), Cells::IntSums(sums)) => out.extend(column, sums.iter().map(|sum| sum.average())),
            (OutputColumn::Int(column), Cells::Extremes(.., cells)) => out.extend(column, cells.iter().copied()),
            (OutputColumn::Float(column), Cells::Extremes(.., cells)) => out.extend(column, cells.iter().map(|cell| cell.map(key_to_float))),
            (OutputColumn::Time(column), Cells::Extremes(.., cells)) => out.extend(column, cells.iter().map(|cell| cell.map(Timestamp))),
            (OutputColumn::Boolean(column), Cells::Extremes(.., cells)) => out.extend(column, cells.iter().map(|cell| cell.map(|key| key != 0))),
            (OutputColumn::Text(column), Cells::TextExtremes(_, cells)) => out.extend(column, cells.iter().copied()),
            // An output's column and its accumulator are made together.
            _ => {}
        }
        Ok(())
    }

    fn int_sum(&self, sum: IntSum) -> Result<Option<i64>, RunError> {
        let fits = i64::try_from(sum.sum).map_err(|_| format!("`{}` is {}, which does not fit `int64`", self.expression, sum.sum))?;
        Ok((sum.count > 0).then_some(fits))
    }
}

fn add_state<'a>(all: &mut [Cells<'a>], group: usize, state: &'a [u8]) -> Result<(), RunError> {
    let mut reader = Reader(state);
    for cells in all {
        cells.add_state(group, &mut reader)?;
    }
    if reader.0.is_empty() { Ok(()) } else { Err(crate::codec::Torn.into()) }
}

fn write(all: &[Cells<'_>], groups: usize, states: &mut NewStates) {
    for group in 0..groups {
        states.push_with(|bytes| all.iter().for_each(|cells| cells.write(group, bytes)));
    }
}
