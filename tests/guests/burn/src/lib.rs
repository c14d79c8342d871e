//! A transform that takes time: for tests of what a pipeline does that has more to do than it can.

use std::hint::black_box;

use serde::Deserialize;
use weir_guest::{Context, OpenError, Output, Rows, RunError, Transform, TransformPlan};

/// Counts for every row, and changes nothing.
#[derive(Debug)]
pub struct Burn {
    config: Config,
}

/// The config of [`Burn`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How far it counts for a row.
    rounds_per_row: u64,
    /// From this moment on, in microseconds since 1970 by the epochs' clock, it costs nothing any more.
    until_us: i64,
}

impl Transform for Burn {
    const NAME: &'static str = "burn";
    const DOC: &'static str = "Takes its time for every row, and passes all of them.";
    type Config = Config;

    fn open(config: Config, plan: &mut TransformPlan<'_>) -> Result<Self, OpenError> {
        plan.pass_all();
        Ok(Self { config })
    }

    fn run(&self, context: &Context, rows: &Rows<'_>, out: &mut Output) -> Result<(), RunError> {
        if context.now.0 < self.config.until_us {
            for _ in 0..rows.len() {
                // Each step waits for the one before, so that no compiler and no processor makes less of it.
                let counted = (0..self.config.rounds_per_row).fold(1_u64, |last, step| last.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(step));
                black_box(counted);
            }
        }
        out.keep_all();
        Ok(())
    }
}

weir_guest::register! {
    name: "burn",
    doc: "Takes time.",
    transforms: [Burn],
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;
    use weir_guest::testing;

    use super::*;

    #[test]
    fn every_row_passes_as_it_is() {
        let rows = json!([{ "id": 1 }, { "id": 2 }]);
        let burn = testing::transform::<Burn>(&[("id", "int64")], json!({ "rounds_per_row": 10, "until_us": i64::MAX })).unwrap();
        let made = burn.run(&rows).unwrap();
        assert_eq!((made.rows.len(), made.all_kept), (2, true));
    }
}
