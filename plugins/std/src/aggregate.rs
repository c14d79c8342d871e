//! The one function of the plugin: the config's expressions on the accumulators that they share.

use weir_guest::{AggregatePlan, ColumnarAggregate, Columns, Context, Groups, NewStates, OpenError, Rows, RunError, StateIdentity, States};

use crate::accumulator::{Accumulator, Kind};
use crate::cells::{Cells, cells};
use crate::codec::{Reader, Torn};
use crate::expression::Outputs;
use crate::output::Output;

/// Rises when the meaning of a field's bytes changes.
const STATE_VERSION: u32 = 1;

/// The functions of [`Function`](crate::function::Function).
#[derive(Debug)]
pub struct Std {
    accumulators: Vec<Accumulator>,
    outputs: Vec<Output>,
}

impl ColumnarAggregate for Std {
    const NAME: &'static str = "aggregate";
    const DOC: &'static str = "Each output column holds one of the expressions above.";
    const CONFIG_SCHEMA: &'static str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "description": "Output columns, in order, with what they hold.",
  "type": "object",
  "minProperties": 1,
  "additionalProperties": { "type": "string", "pattern": "^\\s*[a-z_]+\\s*\\(.+\\)\\s*$" },
  "examples": [{ "event_count": "count(*)", "avg_revenue": "avg(revenue)", "users": "count(distinct user_id)" }]
}"#;
    type Config = Outputs;

    fn open(config: Outputs, plan: &mut AggregatePlan<'_>) -> Result<Self, OpenError> {
        let needed = config.0.iter().map(|(_, expression)| Accumulator::of(expression, plan)).collect::<Result<Vec<_>, _>>()?;
        let mut accumulators = needed.clone();
        accumulators.sort_by(|a, b| a.name.cmp(&b.name));
        accumulators.dedup_by(|a, b| a.name == b.name);

        let names: Vec<_> = accumulators.iter().map(|accumulator| accumulator.name.as_str()).collect();
        plan.state(STATE_VERSION, serde_json::json!(names).to_string());

        if accumulators.iter().any(|accumulator| accumulator.kind.is_of_arrival()) {
            plan.merge_in_order_of_arrival();
        }
        let outputs = config.0.into_iter().zip(needed).map(|((name, expression), needed)| {
            let accumulator = accumulators.iter().position(|accumulator| accumulator.name == needed.name).unwrap_or_default();
            Output::plan(name, expression, accumulator, &needed.kind, plan)
        });
        let outputs = outputs.collect::<Result<_, OpenError>>()?;
        Ok(Self { accumulators, outputs })
    }

    fn accumulate(&self, _: &Context, rows: &Rows<'_>, groups: Groups<'_>, states: &mut NewStates) -> Result<(), RunError> {
        let mut all = self.cells(groups.count());
        for (cells, accumulator) in all.iter_mut().zip(&self.accumulators) {
            cells.add_rows(&accumulator.inputs, rows, groups);
        }
        write(&mut all, groups.count(), states);
        Ok(())
    }

    fn merge(&self, stored: States<'_>, groups: Groups<'_>, states: &mut NewStates) -> Result<(), RunError> {
        let mut all = self.cells(groups.count());
        for (state, group) in stored.iter().zip(groups.iter()) {
            add_state(&mut all, group, state)?;
        }
        write(&mut all, groups.count(), states);
        Ok(())
    }

    fn finish(&self, _: &Context, states: States<'_>, out: &mut Columns) -> Result<(), RunError> {
        let mut all = self.cells(states.len());
        for (group, state) in states.iter().enumerate() {
            add_state(&mut all, group, state)?;
        }
        self.outputs.iter().try_for_each(|output| match all.get_mut(output.accumulator) {
            Some(cells) => cells.fill(output, out),
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
        let mut all: Vec<_> = kinds.iter().map(|kind| cells(kind, stored.len())).collect();
        for (group, state) in stored.iter().enumerate() {
            add_state(&mut all, group, state)?;
        }
        for group in 0..stored.len() {
            states.push_with(|bytes| {
                for place in &places {
                    if let Some(cells) = all.get_mut(*place) {
                        cells.write(group, bytes);
                    }
                }
            });
        }
        Ok(())
    }
}

impl Std {
    fn cells<'a>(&self, groups: usize) -> Vec<Box<dyn Cells<'a> + 'a>> {
        self.accumulators.iter().map(|accumulator| cells(&accumulator.kind, groups)).collect()
    }
}

fn add_state<'a>(all: &mut [Box<dyn Cells<'a> + 'a>], group: usize, state: &'a [u8]) -> Result<(), RunError> {
    let mut reader = Reader(state);
    for cells in all {
        cells.add_state(group, &mut reader)?;
    }
    if reader.0.is_empty() { Ok(()) } else { Err(Torn.into()) }
}

fn write(all: &mut [Box<dyn Cells<'_> + '_>], groups: usize, states: &mut NewStates) {
    for group in 0..groups {
        states.push_with(|bytes| all.iter_mut().for_each(|cells| cells.write(group, bytes)));
    }
}
