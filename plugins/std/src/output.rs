//! An output column: its handle, and how values of a type get into it.

use weir_guest::{AggregatePlan, Columns, Computed, Json, OpenError, RunError, Timestamp, Type};

use crate::accumulator::Kind;
use crate::codec::Torn;
use crate::expression::{Expression, Limit, Rest};
use crate::function::Function;
use crate::numbers::key_to_float;
use crate::value::Value;

/// An output column, and perhaps a second one that says what was left out of it.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) name: String,
    pub(crate) expression: Expression,
    /// Which of the accumulators it is made of.
    pub(crate) accumulator: usize,
    pub(crate) made: Made,
    pub(crate) left_out: Option<Made>,
}

/// A column that is made, by type.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Made {
    Boolean(Computed<bool>),
    Int(Computed<i64>),
    Float(Computed<f64>),
    Time(Computed<Timestamp>),
    Text(Computed<str>),
    Binary(Computed<[u8]>),
    Json(Computed<Json>),
}

impl Output {
    /// Adds the columns of an expression to the plan.
    pub(crate) fn plan(name: String, expression: Expression, accumulator: usize, kind: &Kind, plan: &mut AggregatePlan<'_>) -> Result<Self, OpenError> {
        let (ty, nullable) = result(&expression, kind);
        let made = Made::plan(&name, ty, nullable, plan)?;
        let left_out = match (&expression.rest, kind) {
            (Rest::Limit(Limit { strict: false, .. }), Kind::List(..)) => Some(Type::Int64),
            (Rest::Limit(Limit { strict: false, .. }), _) => Some(Type::Boolean),
            _ => None,
        };
        let left_out = left_out.map(|ty| Made::plan(&format!("{name}_left_out"), ty, false, plan)).transpose()?;
        Ok(Self { name, expression, accumulator, made, left_out })
    }

    /// An error of a group, which names the column.
    pub(crate) fn error(&self, why: impl std::fmt::Display) -> RunError {
        format!("output column `{}`: `{}` {why}", self.name, self.expression)
    }
}

/// The type of an expression's column, and whether it may be null.
fn result(expression: &Expression, kind: &Kind) -> (Type, bool) {
    use Function as F;
    match expression.function {
        F::Count | F::CountIf | F::ApproxCountDistinct => (Type::Int64, false),
        F::CollectList | F::CollectSet => (Type::Json, false),
        F::ApproxPercentile if matches!(&expression.rest, Rest::Percentages(parts) if parts.len() > 1) => (Type::Json, true),
        F::Avg => (Type::Float64, true),
        _ => match kind {
            Kind::Sum(ty) | Kind::RunningSum(ty) | Kind::Extreme(_, ty) | Kind::Edge(_, ty) | Kind::Beside(_, ty, _) | Kind::Histogram(ty) => (*ty, true),
            Kind::Set(types, _) => (types.first().copied().unwrap_or(Type::Int64), true),
            _ => (Type::Float64, true),
        },
    }
}

impl Made {
    fn plan(name: &str, ty: Type, nullable: bool, plan: &mut AggregatePlan<'_>) -> Result<Self, OpenError> {
        macro_rules! column {
            () => {
                if nullable { plan.compute(name)? } else { plan.compute_required(name)? }
            };
        }
        Ok(match ty {
            Type::Boolean => Self::Boolean(column!()),
            Type::Int64 => Self::Int(column!()),
            Type::Float64 => Self::Float(column!()),
            Type::Timestamp => Self::Time(column!()),
            Type::Utf8 => Self::Text(column!()),
            Type::Binary => Self::Binary(column!()),
            Type::Json => Self::Json(column!()),
        })
    }

    /// Adds a value of the column's type, or a null.
    ///
    /// # Errors
    /// The value came from a state and is no text.
    pub(crate) fn push(self, value: Option<Value<'_>>, out: &mut Columns) -> Result<(), Torn> {
        let (number, bytes) = match value {
            Some(Value::Number(number)) => (Some(number), None),
            Some(Value::Bytes(bytes)) => (None, Some(bytes)),
            None => (None, None),
        };
        match self {
            Self::Boolean(column) => out.push(column, number.map(|number| number != 0)),
            Self::Int(column) => out.push(column, number),
            Self::Float(column) => out.push(column, number.map(key_to_float)),
            Self::Time(column) => out.push(column, number.map(Timestamp)),
            Self::Text(column) => out.push(column, text(bytes)?),
            Self::Binary(column) => out.push(column, bytes),
            Self::Json(column) => out.push(column, text(bytes)?),
        }
        Ok(())
    }

    /// Adds a double, or a null, to a column of doubles.
    pub(crate) fn push_float(self, value: Option<f64>, out: &mut Columns) {
        if let Self::Float(column) = self {
            out.push(column, value);
        }
    }
}

fn text(bytes: Option<&[u8]>) -> Result<Option<&str>, Torn> {
    bytes.map(str::from_utf8).transpose().map_err(|_| Torn)
}
