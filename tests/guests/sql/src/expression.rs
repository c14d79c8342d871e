//! Expressions: `or`, `and`, comparisons, `is [not] null`, sums, products, `case`, names, literals, and a few functions. Nulls go the way of SQL: what is computed of
//! one is null, `null and false` is false, `null or true` is true.

use crate::value::Value;

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expression {
    Literal(Value),
    Column(String),
    Binary(Operator, Box<Expression>, Box<Expression>),
    IsNull(Box<Expression>, bool),
    /// `case x when a then b .. else c end`
    Case(Box<Expression>, Vec<(Expression, Expression)>, Box<Expression>),
    Call(String, Vec<Expression>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
    Plus,
    Minus,
    Times,
    Modulo,
}

/// Each level binds closer than the one before.
const LEVELS: [&[(&str, Operator)]; 5] = [
    &[("or", Operator::Or)],
    &[("and", Operator::And)],
    &[("=", Operator::Equal), ("<>", Operator::Unequal), ("<=", Operator::AtMost), (">=", Operator::AtLeast), ("<", Operator::Less), (">", Operator::Greater)],
    &[("+", Operator::Plus), ("-", Operator::Minus)],
    &[("*", Operator::Times), ("%", Operator::Modulo)],
];

impl Expression {
    /// Reads an expression.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { words: words(text)?, at: 0 };
        let expression = parser.level(0)?;
        match parser.peek() {
            None => Ok(expression),
            Some(word) => Err(format!("`{word}` in `{text}` is not understood")),
        }
    }

    /// The columns that it names.
    pub(crate) fn columns(&self) -> Vec<String> {
        match self {
            Self::Literal(_) => Vec::new(),
            Self::Column(name) => vec![name.clone()],
            Self::Binary(_, a, b) => [a.columns(), b.columns()].concat(),
            Self::IsNull(of, _) => of.columns(),
            Self::Case(of, arms, other) => {
                let arms = arms.iter().flat_map(|(when, then)| [when.columns(), then.columns()].concat());
                of.columns().into_iter().chain(arms).chain(other.columns()).collect()
            }
            Self::Call(_, arguments) => arguments.iter().flat_map(Self::columns).collect(),
        }
    }

    /// Its value, with the columns' values from `column`.
    pub(crate) fn of(&self, column: &dyn Fn(&str) -> Value) -> Value {
        match self {
            Self::Literal(value) => value.clone(),
            Self::Column(name) => column(name),
            Self::Binary(operator, a, b) => operator.of(&a.of(column), &b.of(column)),
            Self::IsNull(of, yes) => Value::Bool((of.of(column) == Value::Null) == *yes),
            Self::Case(of, arms, other) => {
                let value = of.of(column);
                let arm = arms.iter().find(|(when, _)| value.compare(&when.of(column)).is_some_and(std::cmp::Ordering::is_eq));
                arm.map_or_else(|| other.of(column), |(_, then)| then.of(column))
            }
            Self::Call(name, arguments) => {
                let arguments: Vec<Value> = arguments.iter().map(|argument| argument.of(column)).collect();
                match (name.as_str(), arguments.as_slice()) {
                    ("window_time", [Value::Time(end)]) => Value::Time(end - 1),
                    ("double", [Value::Text(text)]) => text.parse().map_or(Value::Null, Value::Float),
                    ("date_trunc", [Value::Text(unit), Value::Time(time)]) if unit == "minute" => Value::Time(time - time.rem_euclid(60_000_000)),
                    _ => Value::Null,
                }
            }
        }
    }
}

impl Operator {
    fn of(self, a: &Value, b: &Value) -> Value {
        let compared = |holds: fn(std::cmp::Ordering) -> bool| a.compare(b).map_or(Value::Null, |order| Value::Bool(holds(order)));
        match self {
            Self::And if *a == Value::Bool(false) || *b == Value::Bool(false) => Value::Bool(false),
            Self::Or if *a == Value::Bool(true) || *b == Value::Bool(true) => Value::Bool(true),
            Self::And | Self::Or => match (a, b) {
                (Value::Bool(_), Value::Bool(_)) => Value::Bool(self == Self::And),
                _ => Value::Null,
            },
            Self::Equal => compared(std::cmp::Ordering::is_eq),
            Self::Unequal => compared(std::cmp::Ordering::is_ne),
            Self::Less => compared(std::cmp::Ordering::is_lt),
            Self::AtMost => compared(std::cmp::Ordering::is_le),
            Self::Greater => compared(std::cmp::Ordering::is_gt),
            Self::AtLeast => compared(std::cmp::Ordering::is_ge),
            Self::Plus | Self::Minus | Self::Times | Self::Modulo => self.computed(a, b).unwrap_or(Value::Null),
        }
    }

    fn computed(self, a: &Value, b: &Value) -> Option<Value> {
        if let (Value::Int(a), Value::Int(b)) = (a, b) {
            let whole = match self {
                Self::Plus => a.checked_add(*b),
                Self::Minus => a.checked_sub(*b),
                Self::Times => a.checked_mul(*b),
                _ => a.checked_rem(*b),
            };
            return whole.map(Value::Int);
        }
        let (a, b) = (a.number()?, b.number()?);
        Some(Value::Float(match self {
            Self::Plus => a + b,
            Self::Minus => a - b,
            Self::Times => a * b,
            _ => a % b,
        }))
    }
}

struct Parser {
    words: Vec<String>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<&str> {
        self.words.get(self.at).map(String::as_str)
    }

    /// Takes a word, whatever its case.
    fn take(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|next| next.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        if self.take(word) { Ok(()) } else { Err(format!("expected `{word}` before `{}`", self.peek().unwrap_or("the end"))) }
    }

    fn level(&mut self, level: usize) -> Result<Expression, String> {
        let Some(operators) = LEVELS.get(level) else { return self.primary() };
        let mut left = self.level(level + 1)?;
        loop {
            if level == 2 && self.take("is") {
                let yes = !self.take("not");
                self.expect("null")?;
                left = Expression::IsNull(Box::new(left), yes);
                continue;
            }
            let Some((_, operator)) = operators.iter().find(|(word, _)| self.take(word)) else { return Ok(left) };
            left = Expression::Binary(*operator, Box::new(left), Box::new(self.level(level + 1)?));
        }
    }

    fn primary(&mut self) -> Result<Expression, String> {
        let word = self.peek().ok_or("expected a value")?.to_owned();
        self.at += 1;
        if word == "(" {
            let inner = self.level(0)?;
            self.expect(")")?;
            return Ok(inner);
        }
        if word == "-" {
            return Ok(Expression::Binary(Operator::Minus, Box::new(Expression::Literal(Value::Int(0))), Box::new(self.primary()?)));
        }
        if let Some(text) = word.strip_prefix('\'') {
            return Ok(Expression::Literal(Value::Text(text.to_owned())));
        }
        if word.starts_with(|first: char| first.is_ascii_digit()) {
            let value = word.parse().map(Value::Int).or_else(|_| word.parse().map(Value::Float));
            return value.map(Expression::Literal).map_err(|_| format!("`{word}` is no number"));
        }
        match word.to_ascii_lowercase().as_str() {
            "null" => Ok(Expression::Literal(Value::Null)),
            "true" => Ok(Expression::Literal(Value::Bool(true))),
            "false" => Ok(Expression::Literal(Value::Bool(false))),
            "timestamp" if self.peek().is_some_and(|next| next.starts_with('\'')) => {
                let text = self.peek().unwrap_or_default().trim_start_matches('\'').to_owned();
                self.at += 1;
                moment(&text).map(|us| Expression::Literal(Value::Time(us))).ok_or_else(|| format!("`{text}` is no time"))
            }
            "case" => self.case(),
            _ if self.take("(") => {
                let mut arguments = Vec::new();
                while !self.take(")") {
                    arguments.push(self.level(0)?);
                    self.take(",");
                }
                Ok(Expression::Call(word.to_ascii_lowercase(), arguments))
            }
            _ => Ok(Expression::Column(word)),
        }
    }

    fn case(&mut self) -> Result<Expression, String> {
        let of = self.level(0)?;
        let mut arms = Vec::new();
        while self.take("when") {
            let when = self.level(0)?;
            self.expect("then")?;
            arms.push((when, self.level(0)?));
        }
        let other = if self.take("else") { self.level(0)? } else { Expression::Literal(Value::Null) };
        self.expect("end")?;
        Ok(Expression::Case(Box::new(of), arms, Box::new(other)))
    }
}

/// Cuts a text into words; a string keeps its opening quote.
fn words(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut rest) = (Vec::new(), text.trim_start());
    while let Some(first) = rest.chars().next() {
        let length = if first == '\'' {
            1 + rest.chars().skip(1).position(|character| character == '\'').ok_or_else(|| format!("a quote in `{text}` is not closed"))?
        } else if first.is_alphanumeric() || first == '_' {
            rest.find(|character: char| !(character.is_alphanumeric() || "_.".contains(character))).unwrap_or(rest.len())
        } else if ["<>", "<=", ">="].iter().any(|operator| rest.starts_with(operator)) {
            2
        } else {
            first.len_utf8()
        };
        let (word, after) = rest.split_at(length);
        words.push(word.to_owned());
        rest = after.strip_prefix('\'').filter(|_| first == '\'').unwrap_or(after).trim_start();
    }
    Ok(words)
}

/// Microseconds since 1970 of `2024-01-01 00:01:40`, in UTC (days from the civil date, by H. Hinnant's algorithm).
fn moment(text: &str) -> Option<i64> {
    let (date, time) = text.split_once([' ', 'T']).unwrap_or((text, "0:0:0"));
    let numbers = |text: &str, by: char| text.split(by).map(|part| part.parse::<i64>().ok()).collect::<Option<Vec<i64>>>();
    let (date, time) = (numbers(date, '-')?, numbers(time, ':')?);
    let (&[year, month, day], &[hour, minute, second]) = (date.as_slice(), time.as_slice()) else { return None };
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn of(text: &str) -> Value {
        let column = |name: &str| match name {
            "v" => Value::Int(7),
            "s" => Value::Text("a".to_owned()),
            "t" => Value::Time(1_704_067_300_000_000),
            _ => Value::Null,
        };
        Expression::parse(text).unwrap().of(&column)
    }

    #[test]
    fn expressions_mean_what_they_mean_in_sql() {
        for (text, value) in [
            ("v > 3 AND s <> 'b'", Value::Bool(true)),
            ("v % 2 = 0 OR v * 10 = 70", Value::Bool(true)),
            ("n IS NULL AND v IS NOT NULL", Value::Bool(true)),
            ("n > 1", Value::Null),
            ("n > 1 AND v < 0", Value::Bool(false)),
            ("t = timestamp'2024-01-01 00:01:40'", Value::Bool(true)),
            ("CASE s WHEN 'a' THEN '5 seconds' ELSE '1 second' END", Value::Text("5 seconds".to_owned())),
            ("CASE v WHEN 1 THEN 2 END", Value::Null),
            ("double('NaN') = double('NaN')", Value::Bool(true)),
            ("1 + 2 * (3 - 1)", Value::Int(5)),
        ] {
            assert_eq!(of(text), value, "{text}");
        }
        assert!(Expression::parse("v >").is_err() && Expression::parse("v 3").is_err());
    }
}
