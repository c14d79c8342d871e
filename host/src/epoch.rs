//! The life of an epoch: what is decided about it here, with values in and values out. This module owns the number of an
//! epoch; it may not touch a broker, a disk or a clock.

pub mod commit;
pub mod recovery;
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
