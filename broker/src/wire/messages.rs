//! The messages of the protocol, as tables. Where a field says no version, it is in all that this broker speaks. What a field means is said where it is used.

mod cluster;
mod groups;
mod records;
mod topics;
mod transactions;

pub(crate) use cluster::*;
pub(crate) use groups::*;
pub(crate) use records::*;
pub(crate) use topics::*;
pub(crate) use transactions::*;
