//! The plugin of this pipeline: one transform, `visit`. `cargo test` tries it without WebAssembly, `./build.sh` makes the file that the pipeline uses.

use serde::Deserialize;
use weir_guest::{Column, Computed, Context, OpenError, Output, Rows, RunError, Transform, TransformPlan};

/// Makes a visit of a number: which page it was, and for how long.
#[derive(Debug)]
pub struct Visit {
    pages: Vec<String>,
    // What it reads,
    value: Column<i64>,
    // and what it makes.
    page: Computed<str>,
    seconds: Computed<f64>,
}

/// What the pipeline writes at `config`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The pages that there are.
    pages: Vec<String>,
}

impl Transform for Visit {
    const NAME: &'static str = "visit";
    const DOC: &'static str = "Makes a visit of `value`: the columns `page` and `seconds`. Rejects those that are too long to be true.";
    type Config = Config;

    /// Once, with the config and the columns of the input. What is wrong is refused here, by `weir check`, before a row is read.
    fn open(config: Config, plan: &mut TransformPlan<'_>) -> Result<Self, OpenError> {
        if config.pages.is_empty() {
            return Err(OpenError::config("/pages", "there must be at least one page"));
        }
        // The columns of the input stay as they are; they do not even come here, unless they are read.
        plan.pass_all();
        Ok(Self { pages: config.pages, value: plan.input.read("value")?, page: plan.compute_required("page")?, seconds: plan.compute_required("seconds")? })
    }

    /// For each chunk of rows. There is nothing to remember between two calls, no clock, no file and no network.
    fn run(&self, _: &Context, rows: &Rows<'_>, out: &mut Output) -> Result<(), RunError> {
        for (row, value) in rows.column(self.value).iter().enumerate() {
            let value = value.unwrap_or(0).unsigned_abs();
            let seconds = (value % 97) as f64 / 2.0;
            if seconds > 45.0 {
                out.reject(row, "too-long", format!("a visit of {seconds} seconds"));
                continue;
            }
            let page = self.pages.get(value as usize % self.pages.len()).map_or("", String::as_str);
            out.push(self.page, page);
            out.push(self.seconds, seconds);
            out.keep(row);
        }
        Ok(())
    }
}

weir_guest::register! {
    name: "starter",
    doc: "What a first pipeline needs.",
    transforms: [Visit],
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;
    use weir_guest::testing;

    use super::*;

    #[test]
    fn a_number_becomes_a_visit_of_a_page() {
        let visit = testing::transform::<Visit>(&[("value", "int64")], json!({ "pages": ["home", "cart"] })).unwrap();
        let made = visit.run(&json!([{ "value": 4 }, { "value": 96 }, { "value": 5 }])).unwrap();
        assert_eq!(made.rows, vec![json!({ "value": 4, "page": "home", "seconds": 2.0 }), json!({ "value": 5, "page": "cart", "seconds": 2.5 })]);
        assert_eq!(made.rejected.len(), 1, "a visit of 48 seconds");
    }
}
