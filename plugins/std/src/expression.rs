//! What the config says: an output column and its expression. Knows functions and their arguments, not types.

use std::fmt;

use serde::Deserialize;
use serde::de::{Error, MapAccess, Visitor};

use crate::function::{Function, Takes};

/// The config: output columns with their expressions, in the order of the text.
#[derive(Debug, Clone, PartialEq)]
pub struct Outputs(pub Vec<(String, Expression)>);

/// A function of columns, such as `sum(revenue)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    /// The function.
    pub function: Function,
    /// Whether each value counts once.
    pub distinct: bool,
    /// The columns; none: `*`.
    pub columns: Vec<String>,
    /// What follows the columns.
    pub rest: Rest,
    text: String,
}

/// What an expression says besides its columns.
#[derive(Debug, Clone, PartialEq)]
pub enum Rest {
    /// Nothing.
    Nothing,
    /// `ignore_nulls`
    IgnoreNulls,
    /// How many values are kept.
    Limit(Limit),
    /// Parts of one.
    Percentages(Vec<f64>),
}

/// How many values are kept, and what becomes of more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// How many.
    pub values: u32,
    /// More are an error of the group; otherwise they are left out, and a second output column says so.
    pub strict: bool,
}

impl Expression {
    /// Reads `function(column)`, or `count(*)`, and what else the function takes.
    ///
    /// # Errors
    /// What is wrong, for a person.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let parts = text.strip_suffix(')').and_then(|text| text.split_once('('));
        let (function, arguments) = parts.ok_or_else(|| format!("`{text}` is not an expression such as `sum(revenue)` or `count(*)`"))?;
        let (function, arguments) = (Function::named(function.trim())?, arguments.trim());
        let without = arguments.strip_prefix("distinct").filter(|rest| rest.starts_with(char::is_whitespace));
        let distinct = without.is_some();
        if distinct && !function.takes_distinct() {
            return Err(format!("`{text}`: only `count`, `sum`, `try_sum` and `avg` take `distinct`"));
        }
        let mut arguments = split(without.unwrap_or(arguments)).map_err(|why| format!("`{text}`: {why}"))?;
        let more = if arguments.is_empty() { Vec::new() } else { arguments.split_off(1) };
        let mut columns = match arguments.pop() {
            None => return Err(names_no_column(text, function)),
            Some(Argument { text: star, quoted: false }) if star == "*" => match function {
                Function::Count if !distinct && more.is_empty() => Vec::new(),
                Function::Count => return Err(format!("`{text}`: `*` stands alone, as in `count(*)`")),
                _ => return Err(format!("`{text}`: only `count` takes `*`, `{}` needs a column", function.name())),
            },
            Some(column) => vec![column.text],
        };
        let rest = if function == Function::Count && distinct {
            columns.extend(more.into_iter().map(|argument| argument.text));
            Rest::Nothing
        } else {
            rest(function, more, &mut columns).map_err(|why| format!("`{text}`: {why}"))?
        };
        Ok(Self { function, distinct, columns, rest, text: text.to_owned() })
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// An argument; in backticks it is the name of a column, whatever it looks like.
struct Argument {
    text: String,
    quoted: bool,
}

/// Cuts arguments at commas outside of backticks.
fn split(text: &str) -> Result<Vec<Argument>, String> {
    let mut arguments = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (argument, after) = match rest.strip_prefix('`') {
            Some(quoted) => {
                let (name, after) = quoted.split_once('`').ok_or("a backtick is not closed")?;
                (Argument { text: name.to_owned(), quoted: true }, after.trim_start())
            }
            None => {
                let (name, after) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
                (Argument { text: name.trim_end().to_owned(), quoted: false }, after)
            }
        };
        if argument.text.is_empty() {
            return Err("an argument is missing".to_owned());
        }
        arguments.push(argument);
        rest = match after.strip_prefix(',').map(str::trim_start) {
            Some("") => return Err("an argument is missing after the last comma".to_owned()),
            Some(more) => more,
            None if after.is_empty() => "",
            None => return Err(format!("`{after}` follows a column in backticks without a comma")),
        };
    }
    Ok(arguments)
}

/// What follows the first column.
fn rest(function: Function, more: Vec<Argument>, columns: &mut Vec<String>) -> Result<Rest, String> {
    let words: Vec<&str> = more.iter().filter(|argument| !argument.quoted).map(|argument| argument.text.as_str()).collect();
    match (function.takes(), words.as_slice()) {
        (Takes::Column, _) => match <[Argument; 1]>::try_from(more) {
            Ok([column]) => {
                columns.push(column.text);
                Ok(Rest::Nothing)
            }
            Err(more) => Err(format!("`{}` takes two columns, not {}", function.name(), more.len() + 1)),
        },
        _ if words.len() < more.len() => Err(format!("`{}` takes one column", function.name())),
        (Takes::Percentages, []) => Err("name one or several parts of one, such as `approx_percentile(latency, 0.5, 0.99)`".to_owned()),
        (_, []) => Ok(Rest::Nothing),
        (Takes::IgnoreNulls, ["ignore_nulls"]) => Ok(Rest::IgnoreNulls),
        (Takes::IgnoreNulls, [first, ..]) => Err(format!("only `ignore_nulls` may follow the column of `{}`, not `{first}`", function.name())),
        (Takes::Limit, [values]) => Ok(Rest::Limit(Limit { values: limit(values)?, strict: false })),
        (Takes::Limit, [values, "error"]) => Ok(Rest::Limit(Limit { values: limit(values)?, strict: true })),
        (Takes::Limit, _) => Err(format!("only a limit, and `error`, may follow the column of `{0}`: `{0}(x, 100)` or `{0}(x, 100, error)`", function.name())),
        (Takes::Percentages, parts) => parts.iter().map(|part| percentage(part)).collect::<Result<_, _>>().map(Rest::Percentages),
        (Takes::Nothing, _) => Err(format!("`{}` takes one column, not {}", function.name(), more.len() + 1)),
    }
}

fn limit(text: &str) -> Result<u32, String> {
    text.parse().ok().filter(|values| *values > 0).ok_or_else(|| format!("`{text}` is no limit: a number of values, at least 1"))
}

fn percentage(text: &str) -> Result<f64, String> {
    let part = text.parse().ok().filter(|part| (0.0..=1.0).contains(part));
    part.ok_or_else(|| format!("`{text}` is not between 0 and 1, such as 0.99"))
}

fn names_no_column(text: &str, function: Function) -> String {
    let or_rows = if function == Function::Count { " or `count(*)`" } else { "" };
    let columns = if function.takes() == Takes::Column { "a column, another" } else { "a column" };
    format!("`{text}` names no column: write `{}({columns})`{or_rows}", function.name())
}

/// Not a map type: the order of the text is the order of the output's columns.
impl<'de> Deserialize<'de> for Outputs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Outputs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of output columns with their expressions, such as { \"total\": \"sum(revenue)\" }")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Outputs, M::Error> {
                let mut outputs: Vec<(String, Expression)> = Vec::new();
                while let Some((name, expression)) = map.next_entry::<String, Expression>()? {
                    if outputs.iter().any(|(other, _)| *other == name) {
                        return Err(M::Error::custom(format!("two output columns are called `{name}`")));
                    }
                    outputs.push((name, expression));
                }
                if outputs.is_empty() {
                    return Err(M::Error::custom("no output column: name at least one, such as { \"events\": \"count(*)\" }"));
                }
                Ok(Outputs(outputs))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
