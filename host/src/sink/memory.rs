//! A sink that the program reads: fixtures and tests look at what came out without a broker. It deduplicates by token, so what it holds is exactly-once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::{DeliveryError, Outbox, Token};
use crate::format::row_json;
use crate::rows::Chunk;

/// What has come out; clones see the same rows.
#[derive(Debug, Clone, Default)]
pub struct Collected {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    tokens: BTreeSet<Token>,
    rows: Vec<serde_json::Value>,
}

/// The sink that fills a [`Collected`].
#[derive(Debug)]
pub struct Memory {
    collected: Collected,
}

impl Collected {
    /// A sink that fills this.
    #[must_use]
    pub fn sink(&self) -> Memory {
        Memory { collected: self.clone() }
    }

    /// Every row so far, as JSON, in the order of delivery.
    #[must_use]
    pub fn rows(&self) -> Vec<serde_json::Value> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).rows.clone()
    }

    /// Every row since the last call, and forgets them.
    #[must_use]
    pub fn take(&self) -> Vec<serde_json::Value> {
        std::mem::take(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner).rows)
    }
}

impl Outbox for Memory {
    fn encode(&self, _epoch: u64, chunks: &[Chunk]) -> anyhow::Result<Vec<u8>> {
        let rows = chunks.iter().flat_map(|chunk| (0..chunk.rows.num_rows()).map(|row| row_json(&chunk.rows, row)));
        Ok(rows.collect::<Vec<_>>().join("\n").into_bytes())
    }

    fn deliver(&mut self, token: &Token, part: &[u8]) -> Result<(), DeliveryError> {
        let mut inner = self.collected.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.tokens.insert(token.clone()) {
            for row in serde_json::Deserializer::from_slice(part).into_iter() {
                inner.rows.push(row.map_err(anyhow::Error::from)?);
            }
        }
        Ok(())
    }

    fn description(&self) -> String {
        "memory".to_owned()
    }

    fn deduplicates(&self) -> bool {
        true
    }
}
