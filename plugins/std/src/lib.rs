//! The aggregates that come with Weir, as an ordinary plugin. What each function takes, makes and keeps is in `docs/std.md`.
//!
//! The config names each output column and what it holds, in the order in which the columns come out:
//!
//! ```json
//! { "event_count": "count(*)", "avg_revenue": "avg(revenue)", "users": "count(distinct user_id)" }
//! ```
//!
//! Text to [`expression`], which knows [`function`]s; expression and input schema to `accumulator`, what is kept; `cells`, a module for each family, keeps it for
//! all groups of a call and makes output columns of it.
//!
//! # State
//!
//! Expressions share what they can: `sum(x)` and `avg(x)` need the same accumulator. The state of a group is one field for each
//! accumulator that the config needs, in the order of their names, and the state's shape is those names as a JSON array, such as
//! `["count(*)","sum:float64(revenue)"]`. So output columns can be renamed, reordered and left out (`migrate` drops what is no longer needed) without losing the state.
//!
//! Numbers are LEB128, those that may be negative zigzag. A **value** is eight little-endian bytes of an `int64`, a `timestamp` or a `float64`, a byte of a `boolean`, and
//! otherwise its length and its bytes.
//!
//! | accumulator | bytes |
//! |---|---|
//! | `count(*)`, `count(x)`, `count_if(x)` | the count |
//! | `sum:int64(x)` | the count of values; unless it is 0: the 128-bit sum |
//! | `sum:float64(x)` | the count of values; unless it is 0: sum and compensation, two little-endian doubles |
//! | `running_sum:int64(x)` | the count of values; unless it is 0: the sum, and the least and the greatest sum on the way, of 128 bits |
//! | `min:T(x)`, `max:T(x)` of `int64`, `timestamp`, `float64` | a byte 0; or a byte 1 and the value |
//! | `min:boolean(x)`, `max:boolean(x)` | a byte: 0 none, 1 false, 2 true |
//! | `min:T(x)`, `max:T(x)` of `utf8`, `binary` | 0; or the length plus 1, and the bytes |
//! | `first:T(x)`, `first_value:T(x)`, `last:T(x)`, `last_value:T(x)` | a byte: 0 no row, 1 null, 2 and the value |
//! | `min_by:T:U(x,y)`, `max_by:T:U(x,y)` | a byte: 0 no row, 1 and `y`, 2 and `y` and `x` |
//! | `list:T(x)`, `list:T:limit(x)` | how many there were; as many of them as are kept |
//! | `set:T(x)`, `set:T:limit(x)` | twice how many are kept, plus 1 if there were more; the values, rising |
//! | `set:T+U(x,y)` | how many; the combinations, rising by their bytes |
//! | `moments:N(x)` | the count of values; unless it is 0: N sums of powers, each of two little-endian doubles |
//! | `comoments(x,y)` | the count of rows; unless it is 0: sums of x, y, xx, yy and xy, each of two little-endian doubles |
//! | `registers:T(x)` | how many registers are set; up to 192: each as two little-endian bytes, the index times 64 plus the rank; of more: 512 ranks of six bits |
//! | `histogram:T(x)` | twice how many, or that plus 1 if they are rounded; each value, or by how much its rounded form is greater than the one before, and how often |

pub mod expression;
pub mod function;

mod accumulator;
mod aggregate;
mod cells;
mod codec;
mod double_double;
mod numbers;
mod output;
mod value;

pub use aggregate::Std;

weir_guest::register! {
    name: "std",
    doc: include_str!("functions.txt"),
    aggregates: [Std],
}

#[cfg(test)]
mod tests;
