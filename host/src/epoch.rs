//! The life of an epoch. `driver` is the line; what it obeys is decided next to it, with values in and values out: when an epoch begins (`trigger`), how far it reads
//! (`limits`, `plan`), how much the pipeline can take (`rate`), in which order it becomes fact (`commit`) and what a start makes of what it finds (`recovery`).

pub mod clock;
pub mod commit;
pub mod driver;
pub mod graph;
mod lanes;
mod letters;
pub mod limits;
pub mod plan;
pub mod rate;
pub mod recovery;
pub mod stage;
pub mod trigger;

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of an epoch, one micro-batch of a pipeline. Epoch 0 is the empty beginning; the first rows are epoch 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
