//! Rounds doubles to so many decimals, as Spark's `round` does: by what the number looks like in decimal, halves away from zero. So 2.675 to two decimals is 2.68,
//! though the double is a little less than that; people who see 2.675 in one column expect 2.68 in the next.

use serde::Deserialize;
use weir_guest::{Column, Computed, Context, OpenError, Output, Rows, RunError, Transform, TransformPlan, Type};

/// Rounds columns; the others pass, and all keep their places.
#[derive(Debug)]
pub struct Round {
    digits: u8,
    columns: Vec<(Column<f64>, Computed<f64>)>,
}

/// The config of [`Round`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How many decimals stay.
    digits: u8,
    /// Which columns; every `float64` column unless given.
    columns: Option<Vec<String>>,
}

/// A double has at most 17 digits that mean something.
const MAX_DIGITS: u8 = 15;

impl Transform for Round {
    const NAME: &'static str = "round";
    const DOC: &'static str = "Rounds `float64` columns to `digits` decimals, halves away from zero.";
    const CONFIG_SCHEMA: &'static str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "properties": {
    "digits": { "type": "integer", "minimum": 0, "maximum": 15, "description": "How many decimals stay." },
    "columns": { "type": "array", "items": { "type": "string" }, "description": "Which columns; every `float64` column unless given." }
  },
  "required": ["digits"],
  "additionalProperties": false
}"#;
    type Config = Config;

    fn open(config: Config, plan: &mut TransformPlan<'_>) -> Result<Self, OpenError> {
        if config.digits > MAX_DIGITS {
            return Err(OpenError::config("/digits", format!("{} decimals are more than a double holds: at most {MAX_DIGITS}", config.digits)));
        }
        plan.pass_all();
        let doubles = plan.input.fields().iter().filter(|field| field.data_type == Type::Float64.name());
        let names = config.columns.unwrap_or_else(|| doubles.map(|field| field.name.clone()).collect());
        let columns = names.iter().map(|name| {
            let computed = if plan.input.field(name)?.nullable { plan.compute(name)? } else { plan.compute_required(name)? };
            Ok((plan.input.read(name)?, computed))
        });
        Ok(Self { digits: config.digits, columns: columns.collect::<Result<_, OpenError>>()? })
    }

    fn run(&self, _: &Context, rows: &Rows<'_>, out: &mut Output) -> Result<(), RunError> {
        let power = power(self.digits);
        for (column, rounded) in &self.columns {
            let values = rows.column(*column);
            if values.has_nulls() {
                out.columns().extend(*rounded, values.iter().map(|value| value.map(|value| round(value, self.digits, power))));
            } else {
                out.columns().extend_numbers(*rounded, values.numbers().map(|value| round(value, self.digits, power)));
            }
        }
        out.keep_all();
        Ok(())
    }
}

/// How many units of the last decimal are one.
fn power(digits: u8) -> f64 {
    10_f64.powi(digits.into())
}

/// Rounds a number. NaN and the infinities stay what they are; a zero loses its sign, as decimal numbers have none.
#[inline]
fn round(value: f64, digits: u8, power: f64) -> f64 {
    let scaled = value.abs() * power;
    let (whole, rest) = (scaled.trunc(), scaled.fract());
    // The product is off by less than this, and so is the number from what it looks like; only near a half that matters.
    let doubt = scaled * f64::EPSILON * 2.0;
    if scaled < 4_503_599_627_370_496.0 && (rest - 0.5).abs() > doubt {
        // A whole number below 2^53 and a power of ten up to 10^22 are exact, so the quotient is the double nearest to the decimal.
        let rounded = (whole + f64::from(u8::from(rest > 0.5))) / power;
        return if value < 0.0 && rounded != 0.0 { -rounded } else { rounded };
    }
    if value.is_finite() { round_text(value, digits) } else { value }
}

/// Rounds a number by its digits.
#[cold]
fn round_text(value: f64, digits: u8) -> f64 {
    let text = value.abs().to_string();
    let Some((whole, decimals)) = text.split_once('.') else { return value };
    let Some((kept, dropped)) = decimals.split_at_checked(digits.into()).filter(|(_, dropped)| !dropped.is_empty()) else { return value };
    // At most 17 digits: they fit.
    let units = format!("{whole}{kept}").parse::<u64>().map(|units| units + u64::from(dropped.starts_with(|digit| digit >= '5')));
    let rounded = units.ok().and_then(|units| format!("{units}e-{digits}").parse::<f64>().ok()).unwrap_or(value.abs());
    if value < 0.0 && rounded != 0.0 { -rounded } else { rounded }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;
    use serde_json::json;
    use weir_guest::testing;

    use super::*;

    fn rounded(value: f64, digits: u8) -> f64 {
        round(value, digits, power(digits))
    }

    #[test]
    fn halves_go_away_from_zero_by_what_the_number_looks_like() {
        let cases = [
            (2.675, 2, 2.68),
            (-2.675, 2, -2.68),
            (1.005, 2, 1.01),
            (0.5, 0, 1.0),
            (2.5, 0, 3.0),
            (-0.5, 0, -1.0),
            (0.49999999999999994, 0, 0.0),
            (0.00005, 4, 0.0001),
            (0.00004999, 4, 0.0),
            (12.3456, 4, 12.3456),
            (1.0 / 3.0, 4, 0.3333),
            (0.285, 2, 0.29),
            (8.325, 2, 8.33),
            (1e300, 4, 1e300),
            (123_456_789.123_45, 4, 123_456_789.123_5),
            (4_503_599_627_370_497.5, 0, 4_503_599_627_370_498.0),
            (5e-324, 15, 0.0),
        ];
        for (value, digits, expected) in cases {
            assert_eq!(rounded(value, digits), expected, "{value} to {digits} decimals");
        }
        assert!(rounded(f64::NAN, 2).is_nan());
        assert_eq!(rounded(f64::NEG_INFINITY, 2), f64::NEG_INFINITY);
        assert!(rounded(-0.001, 2).is_sign_positive());
    }

    #[test]
    fn rounded_columns_stay_at_their_place_and_the_others_pass() {
        let schema = [("a", "float64?"), ("name", "utf8"), ("b", "float64"), ("count", "int64")];
        let rows = json!([{ "a": null, "name": "x", "b": 1.26, "count": 3 }, { "a": 0.05, "name": "y", "b": -1.25, "count": 4 }]);
        let all = testing::transform::<Round>(&schema, json!({ "digits": 1 })).unwrap();
        assert_eq!(all.output(), schema.map(|(name, ty)| (name.to_owned(), ty.to_owned())));
        let made = all.run(&rows).unwrap();
        assert_eq!(made.rows, vec![json!({ "a": null, "name": "x", "b": 1.3, "count": 3 }), json!({ "a": 0.1, "name": "y", "b": -1.3, "count": 4 })]);
        assert!(made.all_kept);

        let one = testing::transform::<Round>(&schema, json!({ "digits": 1, "columns": ["b"] })).unwrap();
        assert_eq!(
            one.run(&rows).unwrap().rows,
            vec![json!({ "a": null, "name": "x", "b": 1.3, "count": 3 }), json!({ "a": 0.05, "name": "y", "b": -1.3, "count": 4 })]
        );
    }

    #[test]
    fn what_can_not_be_rounded_is_named() {
        let open = |config| testing::transform::<Round>(&[("name", "utf8")], config).err().unwrap().to_string();
        assert_eq!(open(json!({ "digits": 16 })), "config at `/digits`: 16 decimals are more than a double holds: at most 15");
        assert_eq!(open(json!({ "digits": 1, "columns": ["name"] })), "column `name` is `utf8`, `float64` is needed");
        assert_eq!(open(json!({ "digits": 1, "column": [] })), "config at `/column`: unknown field `column`, expected `digits` or `columns`");
    }

    proptest! {
        #[test]
        fn the_fast_way_and_the_way_by_digits_agree(whole in -1_000_000_000_i64..1_000_000_000, places in 0_u8..12, digits in 0_u8..8) {
            // Decimal numbers with few digits, so that halves are common.
            let value: f64 = format!("{whole}e-{places}").parse().unwrap();
            prop_assert_eq!(rounded(value, digits), round_text(value, digits));
        }

        #[test]
        fn the_same_holds_for_any_double(value in any::<f64>(), digits in 0_u8..=15) {
            prop_assert_eq!(rounded(value, digits), round_text(value, digits));
        }
    }
}
