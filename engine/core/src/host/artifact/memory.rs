//! Artifacts in memory: what a confidential VM holds. Nothing of them reaches a disk, and what is replaced is wiped.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use sealbook_crypto::SecretBytes;
use sealbook_model::id::RunId;

use super::{CHUNK, Facts};

/// The artifacts of all runs in this process. Clones share them.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<Kept>>);

/// What each run keeps under which name.
type Kept = HashMap<(RunId, String), (Facts, Pieces)>;

/// Content in pieces of [`CHUNK`] bytes, the last one shorter: growing never leaves a copy behind.
pub(super) type Pieces = Arc<Vec<SecretBytes>>;

/// Content in the making.
#[derive(Default)]
pub(super) struct Draft {
    full: Vec<SecretBytes>,
    last: Vec<u8>,
}

impl Memory {
    pub(super) fn put(&self, run: &RunId, reference: &str, facts: Facts, pieces: Pieces) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.insert((run.clone(), reference.to_owned()), (facts, pieces));
    }

    pub(super) fn get(&self, run: &RunId, reference: &str) -> Option<(Facts, Pieces)> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(&(run.clone(), reference.to_owned())).cloned()
    }
}

impl Draft {
    pub(super) fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.last.capacity() == 0 {
                self.last.reserve_exact(CHUNK);
            }
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK - self.last.len()));
            self.last.extend_from_slice(now);
            bytes = later;
            if self.last.len() == CHUNK {
                self.full.push(SecretBytes::new(std::mem::take(&mut self.last)));
            }
        }
    }

    pub(super) fn finish(mut self) -> Pieces {
        if !self.last.is_empty() {
            self.full.push(SecretBytes::new(std::mem::take(&mut self.last)));
        }
        Arc::new(std::mem::take(&mut self.full))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Wiped as a secret is.
        drop(SecretBytes::new(std::mem::take(&mut self.last)));
    }
}

/// Reads a range that lies within the content.
pub(super) fn read(pieces: &[SecretBytes], range: Range<u64>) -> Vec<u8> {
    let (start, end) = (range.start as usize, range.end as usize);
    let mut out = Vec::with_capacity(end.saturating_sub(start));
    for (i, piece) in pieces.iter().enumerate().skip(start / CHUNK) {
        let at = i * CHUNK;
        if at >= end {
            break;
        }
        let from = start.saturating_sub(at).min(piece.len());
        let to = (end - at).min(piece.len());
        out.extend_from_slice(&piece.expose()[from..to]);
    }
    out
}
