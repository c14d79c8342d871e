//! The aggregates that come with Weir, as an ordinary plugin: `count(*)`, `count(x)`, `sum(x)`, `avg(x)`, `min(x)` and `max(x)`.
//!
//! The config names each output column and what it holds, in the order in which the columns come out:
//!
//! ```json
//! { "event_count": "count(*)", "avg_revenue": "avg(revenue)", "total_revenue": "sum(revenue)" }
//! ```
//!
//! | expression | of | is | null |
//! |---|---|---|---|
//! | `count(*)` | | `int64`, rows | never |
//! | `count(x)` | any type | `int64`, rows in which `x` has a value | never |
//! | `sum(x)` | `int64` | `int64`; one that does not fit is an error | without any value |
//! | `sum(x)` | `float64` | `float64`, compensated | without any value |
//! | `avg(x)` | `int64`, `float64` | `float64` | without any value |
//! | `min(x)`, `max(x)` | `boolean`, `int64`, `float64`, `timestamp`, `utf8` | the type of `x` | without any value |
//!
//! Types, nulls and NaN are Spark's: NaN is greater than every number and makes a sum NaN, the sum of -0.0 alone is 0.0, text is compared by its UTF-8 bytes. Three
//! things are better than Spark's, which lets the cut into batches show: sums of `float64` are compensated (Neumaier), so the order of rows does not show beyond
//! about one part in 10^15; an average of `int64` is taken of the exact sum; and a sum of `int64` may leave the range on its way as long as it ends in it. Of zeros
//! of both signs, `min` is -0.0 and `max` is 0.0, whichever came first.
//!
//! # State
//!
//! Expressions share what they can: `sum(x)` and `avg(x)` need the same accumulator. The state of a group is one field for each
//! accumulator that the config needs, in the order of their names, and the state's shape is those names as a JSON array, such as
//! `["count(*)","sum:float64(revenue)"]`. So output columns can be renamed, reordered and left out (`migrate` drops what is no longer needed) without losing the state.
//!
//! | accumulator | bytes |
//! |---|---|
//! | `count(*)`, `count(x)` | the count, as LEB128 |
//! | `sum:int64(x)` | the count of values, as LEB128; unless it is 0: the 128-bit sum, zigzag, as LEB128 |
//! | `sum:float64(x)` | the count of values, as LEB128; unless it is 0: sum and compensation, two little-endian doubles |
//! | `min:T(x)`, `max:T(x)` of `int64`, `timestamp`, `float64` | a byte 0; or a byte 1 and the eight little-endian bytes of the value |
//! | `min:boolean(x)`, `max:boolean(x)` | a byte: 0 none, 1 false, 2 true |
//! | `min:utf8(x)`, `max:utf8(x)` | 0; or the length plus 1, as LEB128, and the text |

pub mod expression;

mod accumulator;
mod aggregate;
mod cells;
mod codec;
mod numbers;

pub use aggregate::Std;

weir_guest::register! {
    name: "std",
    doc: "count, sum, avg, min and max",
    aggregates: [Std],
}

#[cfg(test)]
mod tests;
