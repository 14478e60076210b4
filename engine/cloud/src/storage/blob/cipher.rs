//! Encryption at rest: AES-256-GCM chunks under the account's data encryption key.
//!
//! Every ciphertext names its place in its associated data: account, container, blob, upload and position. A chunk
//! that was moved, swapped or cut off does not open. The places are made of ids that are never used twice, so bytes
//! of a deleted account, container or blob don't open in its successor of the same name either.

use std::collections::HashMap;

use sealbook_crypto::{SealKey, SecretBytes};
use serde::{Deserialize, Serialize};

use super::Open;
use super::rows::{self, Blob, Block, Container};
use crate::cx::Cx;
use crate::refusal::Refusal;

/// Bytes of plaintext per chunk.
pub(super) const CHUNK: usize = 1 << 20;

/// One block of a blob, as the blob's sealed manifest lists it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Part {
    /// Row of the block.
    pub row: i64,
    /// Id of the upload.
    pub uid: String,
    /// The client's id.
    pub block: String,
    /// Bytes of plaintext.
    pub length: u64,
}

impl From<&Block> for Part {
    fn from(block: &Block) -> Self {
        Self { row: block.id, uid: block.uid.clone(), block: block.block.clone(), length: block.length }
    }
}

impl Open {
    /// Place of something in a blob. Ids have a fixed length, so the blob's name can only be the name.
    fn place(&self, what: &str, container: &Container, id: &str, blob: &str) -> Vec<u8> {
        format!("{what}|{}|{}|{id}|{blob}", self.account.uid, container.uid).into_bytes()
    }

    fn chunk_place(&self, container: &Container, part: &Part, blob: &str, chunk: u32) -> Vec<u8> {
        let id = format!("{}|{:016x}|{chunk:08x}", part.uid, part.length);
        self.place("blob-chunk", container, &id, blob)
    }

    /// Encrypts an upload into chunks.
    pub(super) fn store(
        &self,
        cx: &Cx<'_>,
        container: &Container,
        blob: &str,
        block: &Block,
        bytes: &[u8],
    ) -> Result<(), Refusal> {
        let part = Part::from(block);
        for (chunk, plaintext) in (0u32..).zip(bytes.chunks(CHUNK)) {
            let sealed = self.dek.seal(&self.chunk_place(container, &part, blob, chunk), plaintext);
            rows::add_chunk(cx.tx, block.id, chunk, &sealed)?;
        }
        Ok(())
    }

    /// Decrypts `length` bytes from `start` on, and only the chunks they lie in.
    pub(super) fn load(
        &self,
        cx: &Cx<'_>,
        container: &Container,
        blob: &Blob,
        start: u64,
        length: u64,
    ) -> Result<Vec<u8>, Refusal> {
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
        let end = start + length;
        let mut position = 0;
        for part in self.manifest(container, blob)? {
            let (first, last) = (start.max(position), end.min(position + part.length));
            if first < last {
                self.load_part(cx, container, &blob.name, &part, first - position..last - position, &mut bytes)?;
            }
            position += part.length;
        }
        Ok(bytes)
    }

    /// Encrypts a blob's content anew for another place, one chunk in memory at a time; `each` sees all of it in order.
    pub(super) fn copy(
        &self,
        cx: &Cx<'_>,
        (source, blob): (&Container, &Blob),
        (target, name): (&Container, &str),
        mut each: impl FnMut(&[u8]),
    ) -> Result<Vec<Part>, Refusal> {
        let mut made: HashMap<i64, Part> = HashMap::new();
        let mut parts = Vec::new();
        for part in self.manifest(source, blob)? {
            // A blob may name a block twice; its copy does so, too.
            let known = made.get(&part.row).cloned();
            let copy = match &known {
                Some(copy) => copy.clone(),
                None => Part::from(&rows::add_block(cx, target, name, &part.block, part.length, false)?),
            };
            let chunks = part.length.div_ceil(CHUNK as u64);
            for chunk in 0..u32::try_from(chunks).map_err(Refusal::internal)? {
                let plain = self.load_chunk(cx, source, &blob.name, &part, chunk)?;
                each(plain.expose());
                if known.is_none() {
                    let sealed = self.dek.seal(&self.chunk_place(target, &copy, name, chunk), plain.expose());
                    rows::add_chunk(cx.tx, copy.row, chunk, &sealed)?;
                }
            }
            made.insert(part.row, copy.clone());
            parts.push(copy);
        }
        Ok(parts)
    }

    fn load_chunk(
        &self,
        cx: &Cx<'_>,
        container: &Container,
        blob: &str,
        part: &Part,
        chunk: u32,
    ) -> Result<SecretBytes, Refusal> {
        let sealed = rows::chunk(cx.tx, part.row, chunk)?
            .ok_or_else(|| Refusal::internal(format!("chunk {chunk} of block {} is missing", part.uid)))?;
        open(&self.dek, &self.chunk_place(container, part, blob, chunk), &sealed)
    }

    fn load_part(
        &self,
        cx: &Cx<'_>,
        container: &Container,
        blob: &str,
        part: &Part,
        range: std::ops::Range<u64>,
        into: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let size = CHUNK as u64;
        for chunk in range.start / size..range.end.div_ceil(size) {
            let index = u32::try_from(chunk).map_err(Refusal::internal)?;
            let plain = self.load_chunk(cx, container, blob, part, index)?;
            let from = range.start.saturating_sub(chunk * size).min(size);
            let to = (range.end - chunk * size).min(size);
            let (from, to) = (usize::try_from(from).unwrap_or_default(), usize::try_from(to).unwrap_or_default());
            let wanted = plain.expose().get(from..to);
            into.extend_from_slice(
                wanted.ok_or_else(|| Refusal::internal(format!("chunk {chunk} of block {} is short", part.uid)))?,
            );
        }
        Ok(())
    }

    /// Seals the list of blocks that a blob's content is made of.
    pub(super) fn seal_manifest(
        &self,
        container: &Container,
        blob: &str,
        version: &str,
        parts: &[Part],
    ) -> Result<Vec<u8>, Refusal> {
        let place = self.place("blob-manifest", container, version, blob);
        Ok(self.dek.seal(&place, &serde_json::to_vec(parts)?))
    }

    /// The blocks that a blob's content is made of.
    pub(super) fn manifest(&self, container: &Container, blob: &Blob) -> Result<Vec<Part>, Refusal> {
        let place = self.place("blob-manifest", container, &blob.version, &blob.name);
        Ok(serde_json::from_slice(open(&self.dek, &place, &blob.manifest)?.expose())?)
    }

    /// Seals a blob's metadata; the place is bound to the entity tag, which changes with the metadata.
    pub(super) fn seal_metadata(
        &self,
        container: &Container,
        blob: &str,
        etag: &str,
        metadata: &[(String, String)],
    ) -> Result<Vec<u8>, Refusal> {
        let place = self.place("blob-metadata", container, etag, blob);
        Ok(self.dek.seal(&place, &serde_json::to_vec(metadata)?))
    }

    /// A blob's metadata.
    pub(super) fn metadata(&self, container: &Container, blob: &Blob) -> Result<Vec<(String, String)>, Refusal> {
        let place = self.place("blob-metadata", container, &blob.etag, &blob.name);
        Ok(serde_json::from_slice(open(&self.dek, &place, &blob.metadata)?.expose())?)
    }
}

fn open(dek: &SealKey, place: &[u8], sealed: &[u8]) -> Result<SecretBytes, Refusal> {
    dek.open(place, sealed).map_err(|_| {
        Refusal::internal(format!("{} does not open: it was changed or moved", String::from_utf8_lossy(place)))
    })
}
