//! The plugin of the pipeline `user-events`: a filter after an aggregation.

use serde::Deserialize;
use weir_guest::{Column, Context, OpenError, Output, Rows, RunError, Transform, TransformPlan};

/// Keeps the rows in which a number is more than another.
#[derive(Debug)]
pub struct MoreThan {
    column: Column<i64>,
    than: i64,
}

/// The config of [`MoreThan`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// An `int64` column.
    column: String,
    /// What it must be more than.
    than: i64,
}

impl Transform for MoreThan {
    const NAME: &'static str = "more_than";
    const DOC: &'static str = "Keeps the rows in which `column` is more than `than`; a null is not.";
    type Config = Config;

    fn open(config: Config, plan: &mut TransformPlan<'_>) -> Result<Self, OpenError> {
        plan.pass_all();
        Ok(Self { column: plan.input.read(&config.column)?, than: config.than })
    }

    fn run(&self, _: &Context, rows: &Rows<'_>, out: &mut Output) -> Result<(), RunError> {
        for (row, value) in rows.column(self.column).iter().enumerate() {
            if value > Some(self.than) {
                out.keep(row);
            }
        }
        Ok(())
    }
}

weir_guest::register! {
    name: "user-events",
    doc: "Filters of user events.",
    transforms: [MoreThan],
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;
    use weir_guest::testing;

    use super::*;

    #[test]
    fn only_what_is_more_is_kept_and_a_null_is_not() {
        let rows = json!([{ "n": 6 }, { "n": 5 }, { "n": null }, { "n": 7 }]);
        let more = testing::transform::<MoreThan>(&[("n", "int64?")], json!({ "column": "n", "than": 5 })).unwrap();
        assert_eq!(more.run(&rows).unwrap().rows, [json!({ "n": 6 }), json!({ "n": 7 })]);
    }
}
