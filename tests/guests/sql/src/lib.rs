//! As much of SQL as the oracle's cases use between their windows: conditions, and columns computed of others. `filter` keeps rows for which a condition is true, `add`
//! adds columns.

mod expression;
mod value;

use serde::Deserialize;
use weir_guest::{Computed, Context, OpenError, Output, Rows, RunError, Transform, TransformPlan};

use expression::Expression;
use value::{Reader, Value};

/// Keeps the rows of which a condition is true.
#[derive(Debug)]
pub struct Filter {
    condition: Expression,
    columns: Vec<Reader>,
}

/// The config of [`Filter`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The condition.
    condition: String,
}

/// Adds columns, and leaves others out.
#[derive(Debug)]
pub struct Add {
    made: Vec<(Expression, Made)>,
    columns: Vec<Reader>,
}

/// The config of [`Add`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// Name, data type and expression of each.
    add: Vec<(String, String, String)>,
    /// Which columns stay, each with the name that it gets; all of them unless given.
    pass: Option<Vec<(String, String)>>,
}

#[derive(Debug)]
enum Made {
    Int(Computed<i64>),
    Float(Computed<f64>),
    Bool(Computed<bool>),
    Text(Computed<str>),
    Time(Computed<weir_guest::Timestamp>),
}

impl Transform for Filter {
    const NAME: &'static str = "filter";
    const DOC: &'static str = "Keeps the rows of which a condition is true.";
    type Config = Condition;

    fn open(config: Condition, plan: &mut TransformPlan<'_>) -> Result<Self, OpenError> {
        let condition = Expression::parse(&config.condition).map_err(|message| OpenError::config("/condition", message))?;
        plan.pass_all();
        let columns = value::readers(&mut plan.input, condition.columns())?;
        Ok(Self { condition, columns })
    }

    fn run(&self, _: &Context, rows: &Rows<'_>, out: &mut Output) -> Result<(), RunError> {
        for row in 0..rows.len() {
            if self.condition.of(&|name| value::get(&self.columns, rows, name, row)) == Value::Bool(true) {
                out.keep(row);
            }
        }
        Ok(())
    }
}

impl Transform for Add {
    const NAME: &'static str = "add";
    const DOC: &'static str = "Adds columns, and leaves others out.";
    type Config = Columns;

    fn open(config: Columns, plan: &mut TransformPlan<'_>) -> Result<Self, OpenError> {
        match &config.pass {
            None => plan.pass_all(),
            Some(columns) => columns.iter().try_for_each(|(from, to)| if from == to { plan.pass(from) } else { plan.pass_as(from, to) })?,
        }
        let (mut made, mut names) = (Vec::new(), Vec::new());
        for (name, data_type, expression) in &config.add {
            let expression = Expression::parse(expression).map_err(|message| OpenError::config("/add", message))?;
            names.extend(expression.columns());
            let column = match data_type.as_str() {
                "int64" => Made::Int(plan.compute(name)?),
                "float64" => Made::Float(plan.compute(name)?),
                "boolean" => Made::Bool(plan.compute(name)?),
                "utf8" => Made::Text(plan.compute(name)?),
                "timestamp" => Made::Time(plan.compute(name)?),
                other => return Err(OpenError::config("/add", format!("no column of type `{other}` can be computed"))),
            };
            made.push((expression, column));
        }
        let columns = value::readers(&mut plan.input, names)?;
        Ok(Self { made, columns })
    }

    fn run(&self, _: &Context, rows: &Rows<'_>, out: &mut Output) -> Result<(), RunError> {
        for (expression, column) in &self.made {
            for row in 0..rows.len() {
                let value = expression.of(&|name| value::get(&self.columns, rows, name, row));
                match (column, value) {
                    (Made::Int(column), Value::Int(value)) => out.columns().push(*column, value),
                    (Made::Int(column), _) => out.columns().push(*column, None),
                    (Made::Float(column), Value::Float(value)) => out.columns().push(*column, value),
                    (Made::Float(column), _) => out.columns().push(*column, None),
                    (Made::Bool(column), Value::Bool(value)) => out.columns().push(*column, value),
                    (Made::Bool(column), _) => out.columns().push(*column, None),
                    (Made::Text(column), Value::Text(value)) => out.columns().push(*column, value.as_str()),
                    (Made::Text(column), _) => out.columns().push(*column, None),
                    (Made::Time(column), Value::Time(value)) => out.columns().push(*column, weir_guest::Timestamp(value)),
                    (Made::Time(column), _) => out.columns().push(*column, None),
                }
            }
        }
        out.keep_all();
        Ok(())
    }
}

weir_guest::register! {
    name: "sql",
    doc: "As much of SQL as the oracle's cases use between their windows.",
    transforms: [Filter, Add],
}
