//! Different values: `count(distinct x)`, `sum(distinct x)`, `avg(distinct x)`, `collect_set(x)`. In a state they are sorted, so that states merge in one pass, and stand
//! one after the other without an index, so that a state is no longer than the rows it was made of.
//!
//! With a limit, the least values are kept: which these are does not depend on the order of rows or merges.

use weir_guest::{Columns, Groups, Rows, RunError, Type};

use super::lists::push_json;
use super::sums::int_sum;
use super::{Cells, try_with, with};
use crate::codec::{Reader, Torn, write_unsigned};
use crate::expression::Rest;
use crate::function::Function;
use crate::numbers::{FloatSum, IntSum, key_to_float};
use crate::output::{Made, Output};
use crate::value::{Input, Value};

/// Different values of one column.
pub(crate) struct Sets<'a> {
    ty: Type,
    limit: usize,
    cells: Vec<Set<'a>>,
}

/// Values, sorted and different after [`Set::settle`], and whether there were more than the limit.
#[derive(Default, Clone)]
struct Set<'a> {
    members: Vec<Member<'a>>,
    beyond: bool,
    settled: bool,
}

/// A value that compares fast: numbers, and most texts, differ in the first eight bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Member<'a> {
    prefix: u64,
    bytes: &'a [u8],
}

/// Different combinations of the values of several columns.
pub(crate) struct Combinations {
    types: Vec<Type>,
    /// Combinations as bytes, end to end.
    bytes: Vec<u8>,
    /// Where those of each group are.
    cells: Vec<Vec<std::ops::Range<usize>>>,
}

impl<'a> Member<'a> {
    #[inline]
    fn of(value: Value<'a>) -> Self {
        match value {
            Value::Number(number) => Self { prefix: number as u64 ^ 1 << 63, bytes: &[] },
            Value::Bytes(bytes) => {
                let mut prefix = [0; 8];
                prefix.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                Self { prefix: u64::from_be_bytes(prefix), bytes }
            }
        }
    }

    fn value(self, ty: Type) -> Value<'a> {
        if is_number(ty) { Value::Number((self.prefix ^ 1 << 63) as i64) } else { Value::Bytes(self.bytes) }
    }
}

impl Sets<'_> {
    pub(crate) fn new(ty: Type, limit: Option<u32>, groups: usize) -> Self {
        Self { ty, limit: limit.map_or(usize::MAX, |limit| limit as usize), cells: vec![Set::default(); groups] }
    }
}

impl Set<'_> {
    /// The values become different ones, sorted.
    fn settle(&mut self, limit: usize) {
        if self.settled {
            return;
        }
        // A stable sort finds the runs that states are, and merges them.
        self.members.sort();
        self.members.dedup();
        self.beyond |= self.members.len() > limit;
        self.members.truncate(limit);
        self.settled = true;
    }
}

impl<'a> Cells<'a> for Sets<'a> {
    fn add_rows(&mut self, inputs: &[Input], rows: &Rows<'a>, groups: Groups<'_>) {
        let Some(values) = inputs.first().map(|input| input.values(rows)) else { return };
        for (row, group) in groups.iter().enumerate() {
            if let Some(value) = values.get(row) {
                let member = Member::of(value.normal(self.ty));
                with(&mut self.cells, group, |set| set.members.push(member));
            }
        }
    }

    fn add_state(&mut self, group: usize, state: &mut Reader<'a>) -> Result<(), Torn> {
        let header = state.unsigned()?;
        let ty = self.ty;
        try_with(&mut self.cells, group, |set| {
            set.beyond |= header & 1 == 1;
            for _ in 0..header >> 1 {
                set.members.push(Member::of(Value::read(ty, state).ok()?));
            }
            Some(())
        })
    }

    fn write(&mut self, group: usize, bytes: &mut Vec<u8>) {
        let Some(set) = self.cells.get_mut(group) else { return write_unsigned(0, bytes) };
        set.settle(self.limit);
        write_unsigned((set.members.len() as u64) << 1 | u64::from(set.beyond), bytes);
        set.members.iter().for_each(|member| member.value(self.ty).write(self.ty, bytes));
    }

    fn fill(&mut self, output: &Output, out: &mut Columns) -> Result<(), RunError> {
        for set in &mut self.cells {
            set.settle(self.limit);
            match (output.made, output.expression.function) {
                (Made::Int(column), Function::Count) => out.push(column, set.members.len() as i64),
                (Made::Json(_), _) => fill_set(set, self.ty, output, out)?,
                (made, function) => {
                    let total = total(set, self.ty, function, output)?;
                    made.push(total, out)?;
                }
            }
        }
        Ok(())
    }
}

/// `collect_set(x)`
fn fill_set(set: &Set<'_>, ty: Type, output: &Output, out: &mut Columns) -> Result<(), RunError> {
    if let (true, Rest::Limit(limit)) = (set.beyond, &output.expression.rest)
        && limit.strict
    {
        return Err(output.error(format_args!("has more different values than its limit of {}; without `error` they would be left out", limit.values)));
    }
    let values: Vec<_> = set.members.iter().map(|member| member.value(ty)).collect();
    push_json(&values, ty, output, out)?;
    if let Some(Made::Boolean(column)) = output.left_out {
        out.push(column, set.beyond);
    }
    Ok(())
}

/// `sum(distinct x)`, `try_sum(distinct x)` and `avg(distinct x)`
fn total(set: &Set<'_>, ty: Type, function: Function, output: &Output) -> Result<Option<Value<'static>>, RunError> {
    let numbers = set.members.iter().filter_map(|member| if let Value::Number(number) = member.value(ty) { Some(number) } else { None });
    let float = |number: f64| Value::Number(crate::numbers::float_to_key(number));
    if ty == Type::Float64 {
        let mut sum = FloatSum::default();
        numbers.for_each(|number| sum.add(key_to_float(number), 1));
        return Ok(if function == Function::Avg { sum.average() } else { sum.total() }.map(float));
    }
    let sum = numbers.fold(IntSum::default(), |sum, number| IntSum { count: sum.count + 1, sum: sum.sum + i128::from(number) });
    Ok(if function == Function::Avg { sum.average().map(float) } else { int_sum(sum, output)?.map(Value::Number) })
}

fn is_number(ty: Type) -> bool {
    !matches!(ty, Type::Utf8 | Type::Binary | Type::Json)
}

impl Combinations {
    pub(crate) fn new(types: Vec<Type>, groups: usize) -> Self {
        Self { types, bytes: Vec::new(), cells: vec![Vec::new(); groups] }
    }

    fn of<'b>(bytes: &'b [u8], range: &std::ops::Range<usize>) -> &'b [u8] {
        bytes.get(range.clone()).unwrap_or_default()
    }

    /// Sorts a group's combinations and leaves each once.
    fn settle(&mut self, group: usize) -> &[std::ops::Range<usize>] {
        let Self { bytes, cells, .. } = self;
        let Some(set) = cells.get_mut(group) else { return &[] };
        set.sort_by(|a, b| Self::of(bytes, a).cmp(Self::of(bytes, b)));
        set.dedup_by(|a, b| Self::of(bytes, a) == Self::of(bytes, b));
        set
    }
}

impl<'a> Cells<'a> for Combinations {
    /// As in Spark, a row in which one of the columns is null does not count.
    fn add_rows(&mut self, inputs: &[Input], rows: &Rows<'a>, groups: Groups<'_>) {
        let columns: Vec<_> = inputs.iter().map(|input| input.values(rows)).zip(self.types.clone()).collect();
        for (row, group) in groups.iter().enumerate() {
            let start = self.bytes.len();
            let complete = columns.iter().all(|(values, ty)| match values.get(row) {
                Some(value) => {
                    value.normal(*ty).write(*ty, &mut self.bytes);
                    true
                }
                None => false,
            });
            let end = self.bytes.len();
            if complete {
                with(&mut self.cells, group, |set| set.push(start..end));
            } else {
                self.bytes.truncate(start);
            }
        }
    }

    fn add_state(&mut self, group: usize, state: &mut Reader<'a>) -> Result<(), Torn> {
        for _ in 0..state.unsigned()? {
            let start = self.bytes.len();
            for ty in self.types.iter().copied() {
                Value::read(ty, state)?.write(ty, &mut self.bytes);
            }
            let end = self.bytes.len();
            with(&mut self.cells, group, |set| set.push(start..end));
        }
        Ok(())
    }

    fn write(&mut self, group: usize, bytes: &mut Vec<u8>) {
        let set = self.settle(group).to_vec();
        write_unsigned(set.len() as u64, bytes);
        set.iter().for_each(|range| bytes.extend_from_slice(Self::of(&self.bytes, range)));
    }

    fn fill(&mut self, output: &Output, out: &mut Columns) -> Result<(), RunError> {
        if let Made::Int(column) = output.made {
            for group in 0..self.cells.len() {
                let count = self.settle(group).len();
                out.push(column, count as i64);
            }
        }
        Ok(())
    }
}
