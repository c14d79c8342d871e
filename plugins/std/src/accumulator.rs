//! What is kept for a group so that the expressions can be answered: what it is called, and which columns it is made of. The values themselves are in `cells`.

use weir_guest::{AggregatePlan, Field, OpenError, Type};

use crate::expression::{Expression, Rest};
use crate::function::Function;
use crate::value::Input;

/// Something that is kept for each group.
#[derive(Debug, Clone)]
pub(crate) struct Accumulator {
    /// What the state's shape calls it, such as `sum:float64(revenue)`: all that the bytes depend on.
    pub(crate) name: String,
    /// What is kept.
    pub(crate) kind: Kind,
    /// What it is made of; nothing: that there is a row is enough.
    pub(crate) inputs: Vec<Input>,
}

/// What is kept, without the columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// How many.
    Count,
    /// How many are true.
    CountIf,
    /// Count and sum of numbers of this type.
    Sum(Type),
    /// The same, and the least and the greatest sum on the way.
    RunningSum(Type),
    /// The least or the greatest value of this type.
    Extreme(End, Type),
    /// The first or the last value of this type.
    Edge(Edge, Type),
    /// The value of the first type in the row in which the second has its least or its greatest.
    Beside(End, Type, Type),
    /// Values in order of arrival, up to a number.
    List(Type, Option<u32>),
    /// Different values, or combinations of values, up to a number.
    Set(Vec<Type>, Option<u32>),
    /// Count and sums of powers, up to this one.
    Moments(u8),
    /// Count and sums of products of two columns.
    Comoments,
    /// The registers of HyperLogLog++ over values of this type.
    Registers(Type),
    /// How often which value was there, exactly or rounded.
    Histogram(Type),
}

/// An end of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// `min`
    Least,
    /// `max`
    Greatest,
}

/// An end of the order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edge {
    /// `first`
    First,
    /// `first` of the values that are not null.
    FirstValue,
    /// `last`
    Last,
    /// `last` of the values that are not null.
    LastValue,
}

impl Kind {
    /// The part of an accumulator's name before the columns.
    pub(crate) fn name(&self) -> String {
        let with_limit = |name: String, limit: &Option<u32>| limit.map_or(name.clone(), |limit| format!("{name}:{limit}"));
        match self {
            Self::Count => "count".to_owned(),
            Self::CountIf => "count_if".to_owned(),
            Self::Sum(ty) => format!("sum:{ty}"),
            Self::RunningSum(ty) => format!("running_sum:{ty}"),
            Self::Extreme(end, ty) => format!("{}:{ty}", end.name()),
            Self::Edge(edge, ty) => format!("{}:{ty}", edge.name()),
            Self::Beside(end, ty, by) => format!("{}_by:{ty}:{by}", end.name()),
            Self::List(ty, limit) => with_limit(format!("list:{ty}"), limit),
            Self::Set(types, limit) => with_limit(format!("set:{}", types.iter().map(Type::to_string).collect::<Vec<_>>().join("+")), limit),
            Self::Moments(degree) => format!("moments:{degree}"),
            Self::Comoments => "comoments".to_owned(),
            Self::Registers(ty) => format!("registers:{ty}"),
            Self::Histogram(ty) => format!("histogram:{ty}"),
        }
    }

    /// The kind of an accumulator with this name.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        let mut words = name.split_once('(')?.0.split(':');
        let (word, mut argument) = (words.next()?, || words.next());
        Some(match word {
            "count" => Self::Count,
            "count_if" => Self::CountIf,
            "sum" => Self::Sum(Type::named(argument()?)?),
            "running_sum" => Self::RunningSum(Type::named(argument()?)?),
            "min" => Self::Extreme(End::Least, Type::named(argument()?)?),
            "max" => Self::Extreme(End::Greatest, Type::named(argument()?)?),
            "min_by" => Self::Beside(End::Least, Type::named(argument()?)?, Type::named(argument()?)?),
            "max_by" => Self::Beside(End::Greatest, Type::named(argument()?)?, Type::named(argument()?)?),
            "list" => Self::List(Type::named(argument()?)?, argument().map(str::parse).transpose().ok()?),
            "set" => Self::Set(argument()?.split('+').map(Type::named).collect::<Option<_>>()?, argument().map(str::parse).transpose().ok()?),
            "moments" => Self::Moments(argument()?.parse().ok().filter(|degree| (2..=4).contains(degree))?),
            "comoments" => Self::Comoments,
            "registers" => Self::Registers(Type::named(argument()?)?),
            "histogram" => Self::Histogram(Type::named(argument()?)?),
            edge => Self::Edge(Edge::named(edge)?, Type::named(argument()?)?),
        })
    }

    /// Whether the states of a group must be merged as their rows arrived.
    pub(crate) fn is_of_arrival(&self) -> bool {
        matches!(self, Self::RunningSum(_) | Self::Edge(..) | Self::Beside(..) | Self::List(..))
    }

    /// What an expression needs, of columns of these types.
    ///
    /// # Errors
    /// The types that the function takes.
    fn of(expression: &Expression, columns: &[Type]) -> Result<Self, &'static str> {
        use Function as F;
        let limit = match &expression.rest {
            Rest::Limit(limit) => Some(limit.values),
            _ => None,
        };
        let edge = |of_rows, of_values| if expression.rest == Rest::IgnoreNulls { of_values } else { of_rows };
        Ok(match (expression.function, columns) {
            (F::Count, types) if expression.distinct => Self::Set(types.to_vec(), None),
            (F::Count, _) => Self::Count,
            (F::CountIf, [Type::Boolean]) => Self::CountIf,
            (F::BoolAnd, [Type::Boolean]) => Self::Extreme(End::Least, Type::Boolean),
            (F::BoolOr, [Type::Boolean]) => Self::Extreme(End::Greatest, Type::Boolean),
            (F::CountIf | F::BoolAnd | F::BoolOr, _) => return Err("`boolean`"),
            (F::Sum | F::TrySum | F::Avg, [ty @ (Type::Int64 | Type::Float64)]) => match expression.function {
                _ if expression.distinct => Self::Set(vec![*ty], None),
                // A sum of doubles has no bounds.
                F::TrySum if *ty != Type::Float64 => Self::RunningSum(*ty),
                _ => Self::Sum(*ty),
            },
            (F::ApproxPercentile, [ty @ (Type::Int64 | Type::Float64)]) => Self::Histogram(*ty),
            (F::Stddev | F::StddevPop | F::Variance | F::VarPop, [Type::Int64 | Type::Float64]) => Self::Moments(2),
            (F::Skewness, [Type::Int64 | Type::Float64]) => Self::Moments(3),
            (F::Kurtosis, [Type::Int64 | Type::Float64]) => Self::Moments(4),
            (F::Corr | F::CovarSamp | F::CovarPop, [Type::Int64 | Type::Float64, Type::Int64 | Type::Float64]) => Self::Comoments,
            (F::Min, [ty]) if is_ordered(*ty) => Self::Extreme(End::Least, *ty),
            (F::Max, [ty]) if is_ordered(*ty) => Self::Extreme(End::Greatest, *ty),
            (F::MinBy, [ty, by]) if is_ordered(*by) => Self::Beside(End::Least, *ty, *by),
            (F::MaxBy, [ty, by]) if is_ordered(*by) => Self::Beside(End::Greatest, *ty, *by),
            (F::Min | F::Max | F::MinBy | F::MaxBy, _) => return Err("`boolean`, `int64`, `float64`, `timestamp`, `utf8` or `binary`"),
            (F::First | F::AnyValue, [ty]) => Self::Edge(edge(Edge::First, Edge::FirstValue), *ty),
            (F::Last, [ty]) => Self::Edge(edge(Edge::Last, Edge::LastValue), *ty),
            (F::CollectList, [ty]) => Self::List(*ty, limit),
            (F::CollectSet, [ty]) => Self::Set(vec![*ty], limit),
            (F::ApproxCountDistinct, [ty]) => Self::Registers(*ty),
            _ => return Err("`int64` or `float64`"),
        })
    }
}

impl End {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Least => "min",
            Self::Greatest => "max",
        }
    }
}

impl Edge {
    const ALL: [Self; 4] = [Self::First, Self::FirstValue, Self::Last, Self::LastValue];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::FirstValue => "first_value",
            Self::Last => "last",
            Self::LastValue => "last_value",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|edge| edge.name() == name)
    }

    pub(crate) fn is_last(self) -> bool {
        matches!(self, Self::Last | Self::LastValue)
    }

    pub(crate) fn ignores_nulls(self) -> bool {
        matches!(self, Self::FirstValue | Self::LastValue)
    }
}

impl Accumulator {
    /// The accumulator that an expression needs.
    ///
    /// # Errors
    /// There is no such column, or it is of a type that the function does not take.
    pub(crate) fn of(expression: &Expression, plan: &mut AggregatePlan<'_>) -> Result<Self, OpenError> {
        let fields = expression.columns.iter().map(|column| plan.input.field(column)).collect::<Result<Vec<_>, _>>()?;
        // A column without nulls need not be read to be counted.
        if expression.function == Function::Count && !expression.distinct && fields.iter().all(|field| !field.nullable) {
            return Ok(Self { name: "count(*)".to_owned(), kind: Kind::Count, inputs: Vec::new() });
        }
        if let (Function::Count, false, [column]) = (expression.function, expression.distinct, expression.columns.as_slice()) {
            let input = Input::Any(plan.input.read_nulls(column)?);
            return Ok(Self { name: format!("count({column})"), kind: Kind::Count, inputs: vec![input] });
        }
        let types = fields.iter().map(|field| known(expression, field)).collect::<Result<Vec<_>, _>>()?;
        let kind = Kind::of(expression, &types).map_err(|accepted| {
            // Of two columns the second is the one that a function is particular about, unless both must be numbers.
            let refused = fields.iter().rev().find(|field| !accepted.contains(&format!("`{}`", field.data_type)));
            refused.map_or_else(
                || OpenError::input(format!("`{expression}` takes columns of type {accepted}")),
                |field| OpenError::input(format!("`{expression}`: column `{}` is `{}`, not {accepted}", field.name, field.data_type)),
            )
        })?;
        let inputs = expression.columns.iter().zip(types).map(|(column, ty)| Input::read(column, ty, &mut plan.input)).collect::<Result<_, _>>()?;
        Ok(Self { name: format!("{}({})", kind.name(), expression.columns.join(",")), kind, inputs })
    }
}

/// The type of a column.
fn known(expression: &Expression, field: &Field) -> Result<Type, OpenError> {
    Type::named(&field.data_type)
        .ok_or_else(|| OpenError::input(format!("`{expression}`: column `{}` is `{}`, which this plugin does not know", field.name, field.data_type)))
}

/// Whether values of a type have a least and a greatest.
fn is_ordered(ty: Type) -> bool {
    ty != Type::Json
}
