//! What keeps records. The fold and the run loop know only this.

use sealbook_model::id::RunId;
use sealbook_model::journal::Entry;
use sealbook_model::problem::Problem;

use super::chain;

/// Keeps the records of one run.
pub trait RecordStore: Send {
    /// What the journal says of itself.
    fn header(&self) -> &Header;

    /// Appends an entry, whose `seq` is one more than the last one's. Returns once it is durable.
    ///
    /// # Errors
    /// SB0504. The caller must then stop: whether the entry is there is known only after opening the journal again.
    fn append(&mut self, entry: &Entry) -> Result<(), Problem>;

    /// The hash of the last record, which covers all before it.
    fn head(&self) -> [u8; 32];

    /// Signs the head with the home's key.
    ///
    /// # Errors
    /// SB0504.
    fn seal(&mut self) -> Result<(), Problem>;
}

/// What a journal says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Version of the format.
    pub format: u32,
    /// The home that wrote it.
    pub home: String,
    /// The run it belongs to.
    pub run: RunId,
    /// The run's sealing key, wrapped by the home's.
    pub key: Vec<u8>,
}

/// A signed head: this home recorded the chain up to here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// The record it covers, with all before it.
    pub seq: u64,
    /// That record's hash.
    pub hash: [u8; 32],
    /// Ed25519 over the head.
    pub signature: Vec<u8>,
    /// The home's public key.
    pub public: Vec<u8>,
}

impl Seal {
    /// Whether this is a signature by `public` over the chain of `run` whose records have these hashes.
    #[must_use]
    pub fn covers(&self, run: &RunId, public: &[u8], hashes: &[[u8; 32]]) -> bool {
        let covered = usize::try_from(self.seq).ok().and_then(|seq| hashes.get(seq.checked_sub(1)?));
        covered == Some(&self.hash)
            && self.public == public
            && sealbook_crypto::verify(public, &chain::head(run, self.seq, &self.hash), &self.signature).is_ok()
    }
}

/// A journal as it was hashed and signed.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// What it says of itself.
    pub header: Header,
    /// The records.
    pub entries: Vec<Entry>,
    /// The same records as the texts that were hashed, each with its hash.
    pub records: Vec<(String, [u8; 32])>,
    /// The signatures, oldest first.
    pub seals: Vec<Seal>,
}
