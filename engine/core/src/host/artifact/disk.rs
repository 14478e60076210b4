//! Artifacts on disk: sealed with the run's key, in chunks, so that any part can be read without opening the rest.
//!
//! File: `magic (8) ‖ id (16) ‖ sealed chunk… ‖ sealed facts ‖ length of the sealed facts (4, little endian)`. Every
//! chunk but the last holds [`CHUNK`] bytes. The associated data of each part names run, reference, file and place, so
//! that parts can be neither moved, nor swapped, nor dropped: the facts hold the length and the SHA-256 of the whole.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use sealbook_crypto::{random, sha256};
use sealbook_model::id::RunId;

use super::{CHUNK, Facts, damaged};
use crate::files;
use crate::journal::RunVault;

const MAGIC: &[u8; 8] = b"SBART\0\0\x01";
pub(super) const HEADER: u64 = 24;
/// What sealing adds: nonce and tag.
pub(super) const OVERHEAD: u64 = 28;

/// A run's folder of artifacts, and the key that they are sealed with.
#[derive(Clone)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) run: RunId,
    pub(super) vault: Arc<RunVault>,
}

/// A finished file.
#[derive(Clone)]
pub(super) struct Sealed {
    folder: Folder,
    reference: String,
    path: PathBuf,
    id: [u8; 16],
}

/// A file in the making. Dropped unfinished, it leaves nothing behind.
pub(super) struct Draft {
    folder: Folder,
    reference: String,
    path: PathBuf,
    file: std::fs::File,
    id: [u8; 16],
    buffer: Vec<u8>,
    chunks: u64,
}

impl Folder {
    /// Starts a file.
    pub(super) fn create(&self, reference: &str) -> std::io::Result<Draft> {
        files::private_folder(&self.path)?;
        let path = files::draft(&self.path);
        let id = random::<16>();
        let mut file = files::private().read(true).write(true).create_new(true).open(&path)?;
        file.write_all(MAGIC)?;
        file.write_all(&id)?;
        let reference = reference.to_owned();
        Ok(Draft { folder: self.clone(), reference, path, file, id, buffer: Vec::new(), chunks: 0 })
    }

    /// Opens a file and its facts.
    pub(super) fn open(&self, reference: &str) -> std::io::Result<(Sealed, Facts)> {
        let path = self.file(reference);
        let mut file = std::fs::File::open(&path)?;
        let mut header = [0; HEADER as usize];
        file.read_exact(&mut header)?;
        let (magic, id) = header.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(std::io::Error::other("it has another format"));
        }
        let id: [u8; 16] = id.try_into().map_err(std::io::Error::other)?;
        let end = file.seek(SeekFrom::End(-4))?;
        let mut length = [0; 4];
        file.read_exact(&mut length)?;
        let length = u64::from(u32::from_le_bytes(length));
        let start = end.checked_sub(length).filter(|s| *s >= HEADER).ok_or_else(damaged)?;
        file.seek(SeekFrom::Start(start))?;
        let mut sealed = vec![0; usize::try_from(length).map_err(std::io::Error::other)?];
        file.read_exact(&mut sealed)?;
        let facts = self.vault.key().open(&self.place(reference, &id, "facts"), &sealed).map_err(|_| damaged())?;
        let facts: Facts = serde_json::from_slice(facts.expose())?;
        Ok((Sealed { folder: self.clone(), reference: reference.to_owned(), path, id }, facts))
    }

    /// The file of a reference. A digest, because file systems have rules about names and references have others.
    pub(super) fn file(&self, reference: &str) -> PathBuf {
        self.path.join(format!("{}.sealed", hex::encode(&sha256(reference.as_bytes())[..16])))
    }

    fn place(&self, reference: &str, id: &[u8; 16], what: &str) -> Vec<u8> {
        format!("sealbook-artifact-1 {} {reference} {} {what}", self.run, hex::encode(id)).into_bytes()
    }
}

impl Draft {
    pub(super) fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        while self.buffer.len() >= CHUNK {
            let rest = self.buffer.split_off(CHUNK);
            let chunk = std::mem::replace(&mut self.buffer, rest);
            self.seal_chunk(&chunk)?;
        }
        Ok(())
    }

    fn seal_chunk(&mut self, chunk: &[u8]) -> std::io::Result<()> {
        let place = self.folder.place(&self.reference, &self.id, &self.chunks.to_string());
        self.file.write_all(&self.folder.vault.key().seal(&place, chunk))?;
        self.chunks += 1;
        Ok(())
    }

    /// Seals the last chunk and the facts, and puts the file into its place.
    pub(super) fn finish(mut self, facts: &Facts) -> std::io::Result<Sealed> {
        let rest = std::mem::take(&mut self.buffer);
        if !rest.is_empty() {
            self.seal_chunk(&rest)?;
        }
        let place = self.folder.place(&self.reference, &self.id, "facts");
        let sealed = self.folder.vault.key().seal(&place, &serde_json::to_vec(facts)?);
        let length = u32::try_from(sealed.len()).map_err(std::io::Error::other)?;
        self.file.write_all(&sealed)?;
        self.file.write_all(&length.to_le_bytes())?;
        // The journal will say that the step succeeded: what it made must be there after a power cut, too.
        self.file.sync_all()?;
        let path = self.folder.file(&self.reference);
        std::fs::rename(&self.path, &path)?;
        if let Some(folder) = path.parent() {
            std::fs::File::open(folder)?.sync_all()?;
        }
        let (folder, reference) = (self.folder.clone(), self.reference.clone());
        Ok(Sealed { folder, reference, path, id: self.id })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Gone already when it was finished.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Sealed {
    /// Reads a range that lies within the `total` bytes of the whole.
    pub(super) fn read(&self, total: u64, range: Range<u64>) -> std::io::Result<Vec<u8>> {
        let mut file = std::fs::File::open(&self.path)?;
        let mut out = Vec::with_capacity((range.end - range.start) as usize);
        let chunk = CHUNK as u64;
        let mut at = range.start;
        while at < range.end {
            let index = at / chunk;
            let start = index * chunk;
            let length = chunk.min(total - start);
            file.seek(SeekFrom::Start(HEADER + index * (chunk + OVERHEAD)))?;
            let mut sealed = vec![0; (length + OVERHEAD) as usize];
            file.read_exact(&mut sealed)?;
            let place = self.folder.place(&self.reference, &self.id, &index.to_string());
            let plain = self.folder.vault.key().open(&place, &sealed).map_err(|_| damaged())?;
            let until = range.end.min(start + length);
            out.extend_from_slice(&plain.expose()[(at - start) as usize..(until - start) as usize]);
            at = until;
        }
        Ok(out)
    }
}
