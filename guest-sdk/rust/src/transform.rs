//! Transforms: the trait that an author writes, and how it is opened and run for a host.

use serde::de::DeserializeOwned;

use crate::config;
use crate::context::Context;
use crate::output::{Made, Output, Rejection};
use crate::plan::{NewField, OutputColumn, TransformPlan};
use crate::rows::Rows;
use crate::types::Type;
use crate::wire::{self, Field, OpenError, RunError};

/// Rows in, rows out: filter, map, flat map, parse.
///
/// A transform is a pure function of rows. The host may cut the rows anywhere, call again with some of them, or use another instance, so `run` gets `&self` and
/// nothing may be remembered between calls.
///
/// ```
/// use weir_guest::{Column, Context, NoConfig, OpenError, Output, Rows, RunError, Transform, TransformPlan};
///
/// struct Paid {
///     revenue: Column<f64>,
/// }
///
/// impl Transform for Paid {
///     const NAME: &'static str = "paid";
///     const DOC: &'static str = "Keeps rows that brought money.";
///     type Config = NoConfig;
///
///     fn open(_: NoConfig, plan: &mut TransformPlan) -> Result<Self, OpenError> {
///         plan.pass_all();
///         Ok(Self { revenue: plan.input.read("revenue")? })
///     }
///
///     fn run(&self, _: &Context, rows: &Rows, out: &mut Output) -> Result<(), RunError> {
///         for (row, revenue) in rows.column(self.revenue).iter().enumerate() {
///             if revenue > Some(0.0) {
///                 out.keep(row);
///             }
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Transform: Sized + 'static {
    /// What a pipeline's step calls it.
    const NAME: &'static str;
    /// What it does, in a line.
    const DOC: &'static str;
    /// A JSON Schema of `Config`; empty: it takes none.
    const CONFIG_SCHEMA: &'static str = "";
    /// Its config, from the step's `config`. Refuse unknown keys with `#[serde(deny_unknown_fields)]`.
    type Config: DeserializeOwned;

    /// Says which columns are read and which come out.
    ///
    /// # Errors
    /// [`OpenError`]: the config or the input is not what the transform needs.
    fn open(config: Self::Config, plan: &mut TransformPlan<'_>) -> Result<Self, OpenError>;

    /// Gives a verdict on every row, and a value of every column made for each row that comes out.
    ///
    /// # Errors
    /// The call can't be served, and would not be if it were tried again. A bad row is better rejected: the others then go on.
    fn run(&self, context: &Context, rows: &Rows<'_>, out: &mut Output) -> Result<(), RunError>;
}

/// A transform that a plugin registers.
#[derive(Clone, Copy)]
pub struct TransformEntry {
    name: &'static str,
    doc: &'static str,
    config_schema: &'static str,
    open: fn(&str, &[Field]) -> Result<OpenTransform, OpenError>,
}

/// A transform that has been opened.
pub struct OpenTransform {
    pub(crate) reads: Vec<u32>,
    pub(crate) output: Vec<OutputColumn>,
    types: Vec<Type>,
    /// In the order of handles.
    fields: Vec<NewField>,
    /// Handles in the order of the output.
    order: Vec<usize>,
    transform: Box<dyn Run>,
}

/// What a call of a transform made, as it crosses the boundary.
#[derive(Debug)]
pub struct Transformed {
    /// The columns made, in the order of the output.
    pub computed: Vec<wire::Column>,
    /// The input row of each output row; none: every input row comes out once.
    pub origin: Option<wire::U32s>,
    /// Rows for the dead letters.
    pub rejected: Vec<Rejection>,
}

trait Run {
    fn run(&self, context: &Context, rows: &Rows<'_>, out: &mut Output) -> Result<(), RunError>;
}

impl<T: Transform> Run for T {
    fn run(&self, context: &Context, rows: &Rows<'_>, out: &mut Output) -> Result<(), RunError> {
        Transform::run(self, context, rows, out)
    }
}

impl TransformEntry {
    /// The entry of `T`.
    #[must_use]
    pub const fn of<T: Transform>() -> Self {
        Self { name: T::NAME, doc: T::DOC, config_schema: T::CONFIG_SCHEMA, open: open::<T> }
    }

    /// The entries as the host lists them.
    #[must_use]
    pub fn list(entries: &[Self]) -> Vec<wire::Function> {
        entries.iter().map(|entry| wire::Function { name: entry.name.into(), doc: entry.doc.into(), config_schema: entry.config_schema.into() }).collect()
    }

    /// Opens the entry of that name.
    ///
    /// # Errors
    /// [`OpenError::UnknownFunction`], or what the transform says.
    pub fn open(entries: &[Self], name: &str, config: &str, input: &[Field]) -> Result<OpenTransform, OpenError> {
        let entry = entries.iter().find(|entry| entry.name == name).ok_or(OpenError::UnknownFunction)?;
        (entry.open)(config, input)
    }
}

impl OpenTransform {
    /// Runs the transform on the columns that it asked for.
    ///
    /// # Errors
    /// What the transform says, or that it filled its output in a way that does not fit.
    pub fn run(&self, context: &Context, input: &wire::Rows) -> Result<Transformed, RunError> {
        let rows = Rows::new(input, &self.types)?;
        let mut out = Output::new(&self.fields, input.count);
        self.transform.run(context, &rows, &mut out)?;
        let Made { mut columns, origin, rejected } = out.finish()?;
        let computed = self.order.iter().filter_map(|handle| columns.get_mut(*handle).map(std::mem::take)).collect();
        Ok(Transformed { computed, origin, rejected })
    }
}

fn open<T: Transform>(config: &str, input: &[Field]) -> Result<OpenTransform, OpenError> {
    let mut plan = TransformPlan::new(input);
    let transform = Box::new(T::open(config::parse(config)?, &mut plan)?);
    let computed = plan.computed();
    let order = computed.iter().map(|(handle, _)| *handle).collect();
    let mut fields = computed;
    fields.sort_by_key(|(handle, _)| *handle);
    Ok(OpenTransform {
        reads: plan.input.reads,
        types: plan.input.types,
        output: plan.output,
        fields: fields.into_iter().map(|(_, field)| field).collect(),
        order,
        transform,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;
    use crate::{Column, Computed, NoConfig, testing};

    /// Makes two columns in another order than that of the output, renames one and leaves one out.
    struct Reshape {
        text: Column<str>,
        number: Column<i64>,
        length: Computed<i64>,
        half: Computed<f64>,
    }

    impl Transform for Reshape {
        const NAME: &'static str = "reshape";
        const DOC: &'static str = "";
        type Config = NoConfig;

        fn open(_: NoConfig, plan: &mut TransformPlan<'_>) -> Result<Self, OpenError> {
            plan.pass_all();
            plan.leave_out("ballast")?;
            let length = plan.compute_required("length")?;
            let half = plan.compute("number")?;
            plan.pass_as("number", "whole")?;
            Ok(Self { text: plan.input.read("text")?, number: plan.input.read("number")?, length, half })
        }

        fn run(&self, _: &Context, rows: &Rows<'_>, out: &mut Output) -> Result<(), RunError> {
            for row in 0..rows.len() {
                for character in rows.get(self.text, row).unwrap_or_default().split(' ') {
                    out.keep(row);
                    out.push(self.length, character.len() as i64);
                    out.push(self.half, rows.get(self.number, row).map(|number| number as f64 / 2.0));
                }
            }
            Ok(())
        }
    }

    #[test]
    fn columns_made_stand_where_the_plan_put_them_whatever_the_order_of_their_handles() {
        let test = testing::transform::<Reshape>(&[("number", "int64?"), ("ballast", "json?"), ("text", "utf8")], "").unwrap();
        let output = [("number", "float64?"), ("text", "utf8"), ("length", "int64"), ("whole", "int64?")];
        assert_eq!(test.output(), output.map(|(name, ty)| (name.to_owned(), ty.to_owned())));
        let made = test.run(&json!([{ "number": 3, "ballast": [1], "text": "ab c" }, { "text": "d" }])).unwrap();
        assert_eq!(
            made.rows,
            vec![
                json!({ "number": 1.5, "text": "ab c", "length": 2, "whole": 3 }),
                json!({ "number": 1.5, "text": "ab c", "length": 1, "whole": 3 }),
                json!({ "number": null, "text": "d", "length": 1, "whole": null }),
            ]
        );
    }

    #[test]
    fn an_unknown_function_is_no_config_error() {
        let opened = TransformEntry::open(&[TransformEntry::of::<Reshape>()], "shape", "{}", &[]);
        assert_eq!(opened.err(), Some(OpenError::UnknownFunction));
        assert_eq!(testing::transform::<Reshape>(&[("a", "int64")], "").err().unwrap().to_string(), "no column `ballast` is passed on that could be left out");
    }

    #[test]
    fn a_type_of_tomorrow_does_no_harm_in_a_column_that_is_not_read() {
        struct Pass;
        impl Transform for Pass {
            const NAME: &'static str = "pass";
            const DOC: &'static str = "";
            type Config = NoConfig;
            fn open(_: NoConfig, plan: &mut TransformPlan<'_>) -> Result<Self, OpenError> {
                plan.pass_all();
                plan.input.read_nulls("a").map(|_| Self)
            }
            fn run(&self, _: &Context, _: &Rows<'_>, out: &mut Output) -> Result<(), RunError> {
                out.keep_all();
                Ok(())
            }
        }
        assert!(testing::transform::<Pass>(&[("a", "int64"), ("b", "decimal(10,2)")], "").is_ok());
        let error = testing::transform::<Pass>(&[("a", "decimal(10,2)")], "").err().unwrap().to_string();
        assert_eq!(error, "column `a` is `decimal(10,2)`, which this plugin does not know: build it with a newer `weir-guest`");
    }
}
