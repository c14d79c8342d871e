//! What the config says: an output column and its expression. Knows names and functions, not types.

use std::fmt;

use serde::Deserialize;
use serde::de::{Error, MapAccess, Visitor};

/// The config: output columns with their expressions, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outputs(pub Vec<(String, Expression)>);

/// A function of a column, such as `sum(revenue)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    /// The function.
    pub function: Function,
    /// The column; none: `*`.
    pub column: Option<String>,
}

/// A function that this plugin has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// `count`
    Count,
    /// `sum`
    Sum,
    /// `avg`
    Avg,
    /// `min`
    Min,
    /// `max`
    Max,
}

impl Function {
    const ALL: [Self; 5] = [Self::Count, Self::Sum, Self::Avg, Self::Min, Self::Max];

    /// What an expression calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
        }
    }

    fn named(name: &str) -> Result<Self, String> {
        if let Some(function) = Self::ALL.into_iter().find(|function| function.name() == name) {
            return Ok(function);
        }
        let likeness = |word: &str| strsim::jaro_winkler(&name.to_lowercase(), word);
        let nearest = Self::ALL.into_iter().flat_map(|function| function.words().iter().map(move |word| (likeness(word), function)));
        Err(match nearest.max_by(|a, b| a.0.total_cmp(&b.0)) {
            Some((likeness, nearest)) if likeness > 0.75 => format!("no function `{name}`: did you mean `{}`?", nearest.name()),
            _ => format!("no function `{name}`: there are `count`, `sum`, `avg`, `min` and `max`"),
        })
    }

    /// Words that people may have meant it by, its name first.
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Count => &["count", "number"],
            Self::Sum => &["sum", "total"],
            Self::Avg => &["avg", "average", "mean"],
            Self::Min => &["min", "minimum", "least", "lowest"],
            Self::Max => &["max", "maximum", "greatest", "highest"],
        }
    }
}

impl Expression {
    /// Reads `function(column)`, or `count(*)`.
    ///
    /// # Errors
    /// What is wrong, for a person.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = text.trim().strip_suffix(')').and_then(|text| text.split_once('('));
        let (function, column) = parts.ok_or_else(|| format!("`{text}` is not an expression such as `sum(revenue)` or `count(*)`"))?;
        let (function, column) = (Function::named(function.trim())?, column.trim());
        match (function, column) {
            (_, "") => Err(format!(
                "`{text}` names no column: write `{0}(a column)`{1}",
                function.name(),
                if function == Function::Count { " or `count(*)`" } else { "" }
            )),
            (Function::Count, "*") => Ok(Self { function, column: None }),
            (_, "*") => Err(format!("`{text}`: only `count` takes `*`, `{}` needs a column", function.name())),
            _ => Ok(Self { function, column: Some(column.to_owned()) }),
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.function.name(), self.column.as_deref().unwrap_or("*"))
    }
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
