//! Drops the events of bots and rejects those that can't be true. A filter: it makes no column, so all that it sends back is which rows stay.

use serde::Deserialize;
use weir_guest::{Column, Context, OpenError, Output, Rows, RunError, Transform, TransformPlan};

/// Drops rows whose `user_id` begins with a prefix; rejects those whose `revenue` is below zero.
#[derive(Debug)]
pub struct Clean {
    drop_prefix: String,
    user_id: Column<str>,
    revenue: Column<f64>,
}

/// The config of [`Clean`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How the `user_id` of a bot begins.
    drop_prefix: String,
}

impl Transform for Clean {
    const NAME: &'static str = "clean";
    const DOC: &'static str = "Drops rows whose `user_id` begins with `drop_prefix`, rejects those whose `revenue` is below 0.";
    const CONFIG_SCHEMA: &'static str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "properties": { "drop_prefix": { "type": "string", "minLength": 1, "description": "How the `user_id` of a bot begins." } },
  "required": ["drop_prefix"],
  "additionalProperties": false
}"#;
    type Config = Config;

    fn open(config: Config, plan: &mut TransformPlan<'_>) -> Result<Self, OpenError> {
        if config.drop_prefix.is_empty() {
            return Err(OpenError::config("/drop_prefix", "an empty prefix would drop every row"));
        }
        plan.pass_all();
        Ok(Self { drop_prefix: config.drop_prefix, user_id: plan.input.read("user_id")?, revenue: plan.input.read("revenue")? })
    }

    fn run(&self, _: &Context, rows: &Rows<'_>, out: &mut Output) -> Result<(), RunError> {
        let users = rows.column(self.user_id);
        let revenues = rows.column(self.revenue);
        for (row, (user, revenue)) in users.iter().zip(revenues.iter()).enumerate() {
            if user.is_some_and(|user| user.starts_with(&self.drop_prefix)) {
                continue;
            }
            match revenue {
                Some(revenue) if revenue < 0.0 => out.reject(row, "negative-revenue", format!("revenue is {revenue}, which is below 0")),
                _ => out.keep(row),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use serde_json::json;
    use weir_guest::testing;

    use super::*;

    const SCHEMA: &[(&str, &str)] = &[("event_id", "utf8"), ("user_id", "utf8?"), ("revenue", "float64?")];

    fn clean() -> testing::TransformTest {
        testing::transform::<Clean>(SCHEMA, json!({ "drop_prefix": "BOT" })).unwrap()
    }

    #[test]
    fn bots_are_dropped_and_everyone_else_passes_whole() {
        let rows = json!([
            { "event_id": "1", "user_id": "u1", "revenue": 1.5 },
            { "event_id": "2", "user_id": "BOT-7", "revenue": 1.5 },
            { "event_id": "3", "user_id": "bot-7", "revenue": 0.0 },
            { "event_id": "4", "user_id": "B", "revenue": null },
            { "event_id": "5", "user_id": null, "revenue": -0.0 },
        ]);
        let made = clean().run(&rows).unwrap();
        let stay: Vec<_> = [0, 2, 3, 4].map(|row| rows[row].clone()).into();
        assert_eq!((made.rows, made.rejected), (stay, vec![]));
    }

    #[test]
    fn negative_revenue_goes_to_the_dead_letters_with_its_value_unless_it_is_a_bots() {
        let made = clean().run(&json!([
            { "event_id": "1", "user_id": "u1", "revenue": -0.25 },
            { "event_id": "2", "user_id": "BOT", "revenue": -1.0 },
            { "event_id": "3", "user_id": "u1", "revenue": "NaN" },
        ]));
        let made = made.unwrap();
        assert_eq!(made.rows.len(), 1);
        let [rejection] = made.rejected.as_slice() else { panic!("{:?}", made.rejected) };
        assert_eq!((rejection.row, rejection.code.as_str(), rejection.reason.as_str()), (0, "negative-revenue", "revenue is -0.25, which is below 0"));
    }

    #[test]
    fn rows_that_all_stay_are_not_listed() {
        assert!(clean().run(&json!([{ "event_id": "1", "user_id": "u1", "revenue": 1.0 }])).unwrap().all_kept);
    }

    #[test]
    fn what_is_missing_is_named() {
        let open = |schema: &[(&str, &str)], config: &str| testing::transform::<Clean>(schema, config).err().unwrap().to_string();
        assert_eq!(open(SCHEMA, "{}"), "config: missing field `drop_prefix`");
        assert_eq!(open(SCHEMA, r#"{ "drop_prefix": "" }"#), "config at `/drop_prefix`: an empty prefix would drop every row");
        assert_eq!(open(&[("user_id", "utf8")], r#"{ "drop_prefix": "B" }"#), "no column `revenue`: the input has `user_id`");
        assert_eq!(open(&[("user_id", "utf8"), ("revenue", "utf8")], r#"{ "drop_prefix": "B" }"#), "column `revenue` is `utf8`, `float64` is needed");
    }
}
