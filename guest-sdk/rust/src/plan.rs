//! What a function says when it is opened: which input columns it reads and which columns it makes. A plan only records; it is checked against the input's schema as
//! it is written, so a column handle exists only for a column that exists.

use std::marker::PhantomData;

use crate::rows::Column;
use crate::types::layout::Layout;
use crate::types::{Any, DataType, Type};
use crate::wire::{Field, OpenError};

/// The columns that a function is given, and those that it reads.
#[derive(Debug)]
pub struct Input<'a> {
    schema: &'a [Field],
    pub(crate) reads: Vec<u32>,
    pub(crate) types: Vec<Type>,
}

/// The plan of a transform. Nothing is passed on unless the plan says so.
#[derive(Debug)]
pub struct TransformPlan<'a> {
    /// What is there, and what is read of it.
    pub input: Input<'a>,
    pub(crate) output: Vec<OutputColumn>,
}

/// The plan of an aggregate.
#[derive(Debug)]
pub struct AggregatePlan<'a> {
    /// What is there, and what is read of it.
    pub input: Input<'a>,
    pub(crate) output: Vec<NewField>,
    pub(crate) state: StateIdentity,
    pub(crate) order: Order,
}

/// A column that the function makes. Made by `compute` of a plan, filled in a call.
pub struct Computed<T: ?Sized> {
    pub(crate) index: usize,
    of: PhantomData<fn(&T)>,
}

/// What the bytes of a state are. Stored with them; states of another identity are migrated or refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateIdentity {
    /// Rises when the meaning of the bytes changes.
    pub version: u32,
    /// What else the bytes depend on, such as the aggregates in the config; any text.
    pub shape: String,
}

/// In which order the states of a group are merged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// Any: the result does not depend on it.
    #[default]
    Any,
    /// As their rows arrived. Costs more in sliding windows.
    Arrival,
}

/// A column of a transform's output.
#[derive(Debug, Clone)]
pub(crate) enum OutputColumn {
    /// Made in `run`; the columns made are numbered by themselves.
    Computed(NewField, usize),
    /// Taken from the input by the host.
    Passed { name: String, input: u32 },
}

/// The name and type of a column that is made.
#[derive(Debug, Clone)]
pub(crate) struct NewField {
    pub(crate) name: String,
    pub(crate) ty: Type,
    pub(crate) nullable: bool,
}

impl<T: ?Sized> Computed<T> {
    pub(crate) fn new(index: usize) -> Self {
        Self { index, of: PhantomData }
    }
}

impl<'a> Input<'a> {
    pub(crate) fn new(schema: &'a [Field]) -> Self {
        Self { schema, reads: Vec::new(), types: Vec::new() }
    }

    /// The input's columns, in order.
    #[must_use]
    pub fn fields(&self) -> &'a [Field] {
        self.schema
    }

    /// The column of that name.
    ///
    /// # Errors
    /// [`OpenError::Input`] names the columns that there are.
    pub fn field(&self, name: &str) -> Result<&'a Field, OpenError> {
        self.place(name).map(|(_, field)| field)
    }

    /// Asks for a column of type `T`. Asking twice sends it once.
    ///
    /// # Errors
    /// [`OpenError::Input`] if there is no such column or it is of another type.
    pub fn read<T: DataType + ?Sized>(&mut self, name: &str) -> Result<Column<T>, OpenError> {
        let (place, field) = self.place(name)?;
        if field.data_type != T::TYPE.name() {
            return Err(OpenError::input(format!("column `{name}` is `{}`, `{}` is needed", field.data_type, T::TYPE)));
        }
        Ok(self.ask(place, T::TYPE))
    }

    /// Asks for a column of whatever type, to see where it is null.
    ///
    /// # Errors
    /// [`OpenError::Input`] if there is no such column, or if its type is newer than this SDK.
    pub fn read_nulls(&mut self, name: &str) -> Result<Column<Any>, OpenError> {
        let (place, field) = self.place(name)?;
        let ty = Type::named(&field.data_type).ok_or_else(|| {
            OpenError::input(format!("column `{name}` is `{}`, which this plugin does not know: build it with a newer `weir-guest`", field.data_type))
        })?;
        Ok(self.ask(place, ty))
    }

    pub(crate) fn place(&self, name: &str) -> Result<(u32, &'a Field), OpenError> {
        (0..).zip(self.schema).find(|(_, field)| field.name == name).ok_or_else(|| {
            let names: Vec<_> = self.schema.iter().map(|field| format!("`{}`", field.name)).collect();
            let there_are = if names.is_empty() { "the input has no columns".to_owned() } else { format!("the input has {}", names.join(", ")) };
            OpenError::input(format!("no column `{name}`: {there_are}"))
        })
    }

    fn ask<T: Layout + ?Sized>(&mut self, place: u32, ty: Type) -> Column<T> {
        let index = self.reads.iter().position(|read| *read == place).unwrap_or_else(|| {
            self.reads.push(place);
            self.types.push(ty);
            self.reads.len() - 1
        });
        Column::new(index)
    }
}

impl<'a> TransformPlan<'a> {
    pub(crate) fn new(schema: &'a [Field]) -> Self {
        Self { input: Input::new(schema), output: Vec::new() }
    }

    /// Passes every input column on, as it is and at its place: it need not be read, and never crosses the boundary back.
    pub fn pass_all(&mut self) {
        self.output = (0..).zip(self.input.schema).map(|(input, field)| OutputColumn::Passed { name: field.name.clone(), input }).collect();
    }

    /// Passes one input column on, under its name.
    ///
    /// # Errors
    /// [`OpenError::Input`] if there is no such column, or there is already one of that name in the output.
    pub fn pass(&mut self, name: &str) -> Result<(), OpenError> {
        self.pass_as(name, name)
    }

    /// Passes one input column on, under another name.
    ///
    /// # Errors
    /// [`OpenError::Input`] if there is no such column, or there is already one called `new_name` in the output.
    pub fn pass_as(&mut self, name: &str, new_name: &str) -> Result<(), OpenError> {
        let (input, _) = self.input.place(name)?;
        if self.output.iter().any(|column| column.name() == new_name) {
            return Err(OpenError::input(format!("the output would have two columns `{new_name}`")));
        }
        self.output.push(OutputColumn::Passed { name: new_name.to_owned(), input });
        Ok(())
    }

    /// Leaves out a column that [`Self::pass_all`] would pass.
    ///
    /// # Errors
    /// [`OpenError::Input`] if no column of that name is passed.
    pub fn leave_out(&mut self, name: &str) -> Result<(), OpenError> {
        let passed = |column: &OutputColumn| column.computed().is_none() && column.name() == name;
        let place = self.output.iter().position(passed).ok_or_else(|| OpenError::input(format!("no column `{name}` is passed on that could be left out")))?;
        self.output.remove(place);
        Ok(())
    }

    /// Makes a column that may hold nulls. One that is passed under the same name is replaced, at its place; otherwise it becomes the last.
    ///
    /// # Errors
    /// [`OpenError::Input`] if a column of that name is already made.
    pub fn compute<T: DataType + ?Sized>(&mut self, name: &str) -> Result<Computed<T>, OpenError> {
        self.make(name, true)
    }

    /// As [`Self::compute`], of a column that never holds a null.
    ///
    /// # Errors
    /// [`OpenError::Input`] if a column of that name is already made.
    pub fn compute_required<T: DataType + ?Sized>(&mut self, name: &str) -> Result<Computed<T>, OpenError> {
        self.make(name, false)
    }

    /// The columns that are made, in the order of the output, with the number of their handles.
    pub(crate) fn computed(&self) -> Vec<(usize, NewField)> {
        self.output.iter().filter_map(OutputColumn::computed).map(|(index, field)| (index, field.clone())).collect()
    }

    fn make<T: DataType + ?Sized>(&mut self, name: &str, nullable: bool) -> Result<Computed<T>, OpenError> {
        let index = self.output.iter().filter(|column| column.computed().is_some()).count();
        let made = OutputColumn::Computed(NewField { name: name.to_owned(), ty: T::TYPE, nullable }, index);
        match self.output.iter_mut().find(|column| column.name() == name) {
            Some(OutputColumn::Computed(..)) => return Err(OpenError::input(format!("the output would have two columns `{name}`"))),
            Some(passed) => *passed = made,
            None => self.output.push(made),
        }
        Ok(Computed::new(index))
    }
}

impl<'a> AggregatePlan<'a> {
    pub(crate) fn new(schema: &'a [Field]) -> Self {
        Self { input: Input::new(schema), output: Vec::new(), state: StateIdentity { version: 1, shape: String::new() }, order: Order::Any }
    }

    /// Makes a column that may hold nulls.
    ///
    /// # Errors
    /// [`OpenError::Input`] if a column of that name is already made.
    pub fn compute<T: DataType + ?Sized>(&mut self, name: &str) -> Result<Computed<T>, OpenError> {
        self.make(name, true)
    }

    /// Makes a column that never holds a null.
    ///
    /// # Errors
    /// [`OpenError::Input`] if a column of that name is already made.
    pub fn compute_required<T: DataType + ?Sized>(&mut self, name: &str) -> Result<Computed<T>, OpenError> {
        self.make(name, false)
    }

    /// Says what the bytes of the states are; without it they are version 1 of an empty shape.
    pub fn state(&mut self, version: u32, shape: impl Into<String>) {
        self.state = StateIdentity { version, shape: shape.into() };
    }

    /// Asks for the states of a group in the order in which their rows arrived.
    pub fn merge_in_order_of_arrival(&mut self) {
        self.order = Order::Arrival;
    }

    fn make<T: DataType + ?Sized>(&mut self, name: &str, nullable: bool) -> Result<Computed<T>, OpenError> {
        if self.output.iter().any(|field| field.name == name) {
            return Err(OpenError::input(format!("the output would have two columns `{name}`")));
        }
        self.output.push(NewField { name: name.to_owned(), ty: T::TYPE, nullable });
        Ok(Computed::new(self.output.len() - 1))
    }
}

impl OutputColumn {
    fn name(&self) -> &str {
        match self {
            Self::Computed(field, _) => &field.name,
            Self::Passed { name, .. } => name,
        }
    }

    fn computed(&self) -> Option<(usize, &NewField)> {
        match self {
            Self::Computed(field, index) => Some((*index, field)),
            Self::Passed { .. } => None,
        }
    }
}

impl NewField {
    pub(crate) fn to_wire(&self) -> Field {
        Field { name: self.name.clone(), data_type: self.ty.name().to_owned(), nullable: self.nullable }
    }
}

// Derived, these would ask the same of `T`.
impl<T: ?Sized> Clone for Computed<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T: ?Sized> Copy for Computed<T> {}
impl<T: ?Sized> std::fmt::Debug for Computed<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Computed({})", self.index)
    }
}
