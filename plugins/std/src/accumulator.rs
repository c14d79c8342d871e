//! What is kept for a group so that the expressions can be answered: what it is called, and which column it is made of. The values themselves are in `cells`.

use weir_guest::{AggregatePlan, Any, Column, OpenError, Timestamp, Type};

use crate::expression::{Expression, Function};

/// Something that is kept for each group.
#[derive(Debug, Clone)]
pub(crate) struct Accumulator {
    /// What the state's shape calls it, such as `sum:float64(revenue)`: all that the bytes depend on.
    pub(crate) name: String,
    /// What is kept.
    pub(crate) kind: Kind,
    /// What it is made of.
    pub(crate) input: Input,
}

/// What is kept, without the column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// How many.
    Count,
    /// Count and sum of integers.
    IntSum,
    /// Count and sum of doubles.
    FloatSum,
    /// The least or the greatest value of this type.
    Extreme(End, Type),
}

/// An end of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// `min`
    Least,
    /// `max`
    Greatest,
}

/// What an accumulator reads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Input {
    /// Nothing: that there is a row is enough.
    Rows,
    /// Whether there is a value.
    Any(Column<Any>),
    /// `int64`
    Int(Column<i64>),
    /// `float64`
    Float(Column<f64>),
    /// `timestamp`
    Time(Column<Timestamp>),
    /// `boolean`
    Boolean(Column<bool>),
    /// `utf8`
    Text(Column<str>),
}

impl Kind {
    /// The part of an accumulator's name before the column.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Count => "count".to_owned(),
            Self::IntSum => "sum:int64".to_owned(),
            Self::FloatSum => "sum:float64".to_owned(),
            Self::Extreme(End::Least, ty) => format!("min:{ty}"),
            Self::Extreme(End::Greatest, ty) => format!("max:{ty}"),
        }
    }

    /// The kind of an accumulator with this name.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        let (kind, _) = name.split_once('(')?;
        match kind.split_once(':') {
            None if kind == "count" => Some(Self::Count),
            Some(("sum", "int64")) => Some(Self::IntSum),
            Some(("sum", "float64")) => Some(Self::FloatSum),
            Some(("min", ty)) => Some(Self::Extreme(End::Least, Type::named(ty)?)),
            Some(("max", ty)) => Some(Self::Extreme(End::Greatest, Type::named(ty)?)),
            _ => None,
        }
    }
}

impl Accumulator {
    /// The accumulator that an expression needs.
    ///
    /// # Errors
    /// There is no such column, or it is of a type that the function does not take.
    pub(crate) fn of(expression: &Expression, plan: &mut AggregatePlan<'_>) -> Result<Self, OpenError> {
        let Some(column) = expression.column.as_deref() else { return Ok(Self::rows()) };
        let field = plan.input.field(column)?;
        let refuse = |accepted: &str| Err(OpenError::input(format!("`{expression}`: column `{column}` is `{}`, not {accepted}", field.data_type)));
        let (kind, input) = match (expression.function, Type::named(&field.data_type)) {
            // A column without nulls need not be read to be counted.
            (Function::Count, _) if !field.nullable => return Ok(Self::rows()),
            (Function::Count, _) => (Kind::Count, Input::Any(plan.input.read_nulls(column)?)),
            (Function::Sum | Function::Avg, Some(Type::Int64)) => (Kind::IntSum, Input::Int(plan.input.read(column)?)),
            (Function::Sum | Function::Avg, Some(Type::Float64)) => (Kind::FloatSum, Input::Float(plan.input.read(column)?)),
            (Function::Sum | Function::Avg, _) => return refuse("`int64` or `float64`"),
            (Function::Min | Function::Max, ty) => {
                let end = if expression.function == Function::Min { End::Least } else { End::Greatest };
                let (ty, input) = match ty {
                    Some(Type::Int64) => (Type::Int64, Input::Int(plan.input.read(column)?)),
                    Some(Type::Float64) => (Type::Float64, Input::Float(plan.input.read(column)?)),
                    Some(Type::Timestamp) => (Type::Timestamp, Input::Time(plan.input.read(column)?)),
                    Some(Type::Boolean) => (Type::Boolean, Input::Boolean(plan.input.read(column)?)),
                    Some(Type::Utf8) => (Type::Utf8, Input::Text(plan.input.read(column)?)),
                    Some(Type::Binary | Type::Json) | None => return refuse("`boolean`, `int64`, `float64`, `timestamp` or `utf8`"),
                };
                (Kind::Extreme(end, ty), input)
            }
        };
        Ok(Self { name: format!("{}({column})", kind.name()), kind, input })
    }

    fn rows() -> Self {
        Self { name: "count(*)".to_owned(), kind: Kind::Count, input: Input::Rows }
    }
}
