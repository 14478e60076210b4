//! Artifacts on disk: sealed with the run's key, in chunks, so that any part can be read without opening the rest.
//!
//! File: `magic (8) ‖ id (16) ‖ sealed chunk… ‖ sealed facts ‖ length of the sealed facts (4, little endian)`. Every
//! chunk but the last holds [`CHUNK`] bytes. The associated data of each part names run, reference, file and place, so
//! that parts can be neither moved, nor swapped, nor dropped: the facts hold the length and the SHA-256 of the whole.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use sealbook_crypto::{SealKey, SecretBytes, Sha256, random, sha256};
use sealbook_model::id::{RunId, StepPath};
use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::handle::is_name;
use crate::files;
use crate::journal::RunVault;
use crate::step::{Failure, StepError};

/// Bytes of plaintext in one chunk, and the most that crosses the sandbox in one call.
pub(crate) const CHUNK: usize = 1 << 20;
/// Largest artifact, in bytes.
const ARTIFACT_MAX: u64 = 4 << 30;
const MAGIC: &[u8; 8] = b"SBART\0\0\x01";
const HEADER: u64 = 24;
/// What sealing adds: nonce and tag.
const OVERHEAD: u64 = 28;

/// Where a run keeps its artifacts.
#[derive(Clone)]
pub(crate) struct Shelf {
    folder: PathBuf,
    run: RunId,
    vault: Arc<RunVault>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Facts {
    length: u64,
    sha256: String,
    /// Whether it came from a secret: then no plugin may read it.
    secret: bool,
}

/// A finished artifact, or a secret input that is used like one.
pub(crate) struct Sealed {
    pub(crate) reference: String,
    facts: Facts,
    content: Content,
}

enum Content {
    Disk { path: PathBuf, id: [u8; 16], shelf: Shelf },
    Memory(SecretBytes),
}

/// An artifact in the making. Dropped unfinished, it leaves nothing behind.
pub(crate) struct Writer {
    open: Option<Open>,
}

struct Open {
    shelf: Shelf,
    reference: String,
    draft: PathBuf,
    file: std::fs::File,
    id: [u8; 16],
    buffer: Vec<u8>,
    chunks: u64,
    length: u64,
    hash: Sha256,
    secret: bool,
}

impl Shelf {
    pub(crate) fn new(folder: PathBuf, run: RunId, vault: Arc<RunVault>) -> Self {
        Self { folder, run, vault }
    }

    /// Starts an artifact of `step`.
    pub(crate) async fn create(&self, step: &StepPath, name: &str, secret: bool) -> Result<Writer, Failure> {
        if !is_name(name) {
            return Err(StepError::InvalidInput {
                field: "name".into(),
                message: "an artifact's name is 1 to 64 letters, digits, `-`, `_` and `.`".into(),
            }
            .into());
        }
        let (shelf, reference) = (self.clone(), format!("artifact:{step}/{name}"));
        on_disk(move || {
            files::private_folder(&shelf.folder)?;
            let draft = files::draft(&shelf.folder);
            let id = random::<16>();
            let mut file = files::private().read(true).write(true).create_new(true).open(&draft)?;
            file.write_all(MAGIC)?;
            file.write_all(&id)?;
            let (buffer, hash) = (Vec::new(), Sha256::new());
            let open = Open { shelf, reference, draft, file, id, buffer, chunks: 0, length: 0, hash, secret };
            Ok(Writer { open: Some(open) })
        })
        .await
    }

    /// Opens an artifact or a secret by its reference.
    pub(crate) async fn open(&self, reference: &str) -> Result<Sealed, Failure> {
        if let Some(name) = reference.strip_prefix("secret:") {
            let bytes = self.vault.secret(name).ok_or_else(|| unknown(reference))?.clone();
            let facts = Facts { length: bytes.len() as u64, sha256: hex::encode(sha256(bytes.expose())), secret: true };
            return Ok(Sealed { reference: reference.into(), facts, content: Content::Memory(bytes) });
        }
        if !reference.starts_with("artifact:") {
            return Err(unknown(reference));
        }
        let path = self.path(reference);
        if !path.exists() {
            return Err(unknown(reference));
        }
        let (shelf, reference) = (self.clone(), reference.to_owned());
        on_disk(move || {
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
            let facts = shelf.key().open(&shelf.place(&reference, &id, "facts"), &sealed).map_err(|_| damaged())?;
            let facts: Facts = serde_json::from_slice(facts.expose())?;
            Ok(Sealed { reference, facts, content: Content::Disk { path, id, shelf } })
        })
        .await
    }

    /// Opens an artifact if there is one.
    pub(crate) async fn find(&self, reference: &str) -> Result<Option<Sealed>, Failure> {
        match self.path(reference).exists() {
            true => Ok(Some(self.open(reference).await?)),
            false => Ok(None),
        }
    }

    /// Writes a whole artifact at once.
    pub(crate) async fn write(
        &self,
        step: &StepPath,
        name: &str,
        content: Vec<u8>,
        secret: bool,
    ) -> Result<Sealed, Failure> {
        let mut writer = self.create(step, name, secret).await?;
        writer.append(content).await?;
        writer.finish().await
    }

    fn key(&self) -> &SealKey {
        self.vault.key()
    }

    /// The file of a reference. A digest, because file systems have rules about names and references have others.
    fn path(&self, reference: &str) -> PathBuf {
        self.folder.join(format!("{}.sealed", hex::encode(&sha256(reference.as_bytes())[..16])))
    }

    fn place(&self, reference: &str, id: &[u8; 16], what: &str) -> Vec<u8> {
        format!("sealbook-artifact-1 {} {reference} {} {what}", self.run, hex::encode(id)).into_bytes()
    }
}

impl Writer {
    /// Appends some bytes.
    pub(crate) async fn append(&mut self, bytes: Vec<u8>) -> Result<(), Failure> {
        let mut open = self.open.take().ok_or_else(|| Fault::BadHandle("the draft is finished".into()))?;
        let (open, result) = on_disk(move || {
            let result = open.append(&bytes);
            Ok((open, result))
        })
        .await?;
        self.open = Some(open);
        result.map_err(failed)
    }

    /// Seals the last chunk and the facts, and puts the artifact into its place.
    pub(crate) async fn finish(mut self) -> Result<Sealed, Failure> {
        let open = self.open.take().ok_or_else(|| Fault::BadHandle("the draft is finished".into()))?;
        on_disk(move || open.finish()).await
    }
}

impl Open {
    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.length += bytes.len() as u64;
        if self.length > ARTIFACT_MAX {
            return Err(std::io::Error::other(format!("an artifact has at most {ARTIFACT_MAX} bytes")));
        }
        self.hash.update(bytes);
        self.buffer.extend_from_slice(bytes);
        while self.buffer.len() >= CHUNK {
            let rest = self.buffer.split_off(CHUNK);
            let chunk = std::mem::replace(&mut self.buffer, rest);
            self.seal_chunk(&chunk)?;
        }
        Ok(())
    }

    fn seal_chunk(&mut self, chunk: &[u8]) -> std::io::Result<()> {
        let place = self.shelf.place(&self.reference, &self.id, &self.chunks.to_string());
        self.file.write_all(&self.shelf.key().seal(&place, chunk))?;
        self.chunks += 1;
        Ok(())
    }

    fn finish(mut self) -> std::io::Result<Sealed> {
        let rest = std::mem::take(&mut self.buffer);
        if !rest.is_empty() {
            self.seal_chunk(&rest)?;
        }
        let hash = std::mem::take(&mut self.hash).finish();
        let facts = Facts { length: self.length, sha256: hex::encode(hash), secret: self.secret };
        let place = self.shelf.place(&self.reference, &self.id, "facts");
        let sealed = self.shelf.key().seal(&place, &serde_json::to_vec(&facts)?);
        let length = u32::try_from(sealed.len()).map_err(std::io::Error::other)?;
        self.file.write_all(&sealed)?;
        self.file.write_all(&length.to_le_bytes())?;
        // The journal will say that the step succeeded: what it made must be there after a power cut, too.
        self.file.sync_all()?;
        let path = self.shelf.path(&self.reference);
        std::fs::rename(&self.draft, &path)?;
        if let Some(folder) = path.parent() {
            std::fs::File::open(folder)?.sync_all()?;
        }
        let (reference, shelf) = (self.reference.clone(), self.shelf.clone());
        Ok(Sealed { reference, facts, content: Content::Disk { path, id: self.id, shelf } })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // Gone already when the artifact was finished.
        let _ = std::fs::remove_file(&self.draft);
    }
}

impl Sealed {
    pub(crate) fn length(&self) -> u64 {
        self.facts.length
    }

    pub(crate) fn sha256(&self) -> &str {
        &self.facts.sha256
    }

    pub(crate) fn is_secret(&self) -> bool {
        self.facts.secret
    }

    /// Reads a part, at most up to the end.
    pub(crate) async fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, Failure> {
        let offset = offset.min(self.facts.length);
        let end = offset.saturating_add(length as u64).min(self.facts.length);
        match &self.content {
            Content::Memory(bytes) => Ok(bytes.expose()[offset as usize..end as usize].to_vec()),
            Content::Disk { path, id, shelf } => {
                let (path, id, shelf) = (path.clone(), *id, shelf.clone());
                let (reference, total) = (self.reference.clone(), self.facts.length);
                on_disk(move || shelf.read(&path, &id, &reference, total, offset..end)).await
            }
        }
    }

    /// Reads everything, secret or not: for the host alone.
    pub(crate) async fn read_secret(&self) -> Result<SecretBytes, Failure> {
        let length = usize::try_from(self.facts.length).unwrap_or(usize::MAX);
        Ok(SecretBytes::from(self.read(0, length).await?))
    }

    /// Reads everything, for an upload.
    pub(crate) async fn read_all(&self) -> Result<Bytes, Failure> {
        let length = usize::try_from(self.facts.length).unwrap_or(usize::MAX);
        Ok(self.read(0, length).await?.into())
    }
}

impl Shelf {
    fn read(
        &self,
        path: &Path,
        id: &[u8; 16],
        reference: &str,
        total: u64,
        range: std::ops::Range<u64>,
    ) -> std::io::Result<Vec<u8>> {
        let mut file = std::fs::File::open(path)?;
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
            let place = self.place(reference, id, &index.to_string());
            let plain = self.key().open(&place, &sealed).map_err(|_| damaged())?;
            let until = range.end.min(start + length);
            out.extend_from_slice(&plain.expose()[(at - start) as usize..(until - start) as usize]);
            at = until;
        }
        Ok(out)
    }
}

fn unknown(reference: &str) -> Failure {
    StepError::InvalidInput {
        field: "reference".into(),
        message: format!("this run has no `{}`", super::text::one_line(reference, 120)),
    }
    .into()
}

fn damaged() -> std::io::Error {
    std::io::Error::other("it does not open: it was changed, or belongs to another run")
}

fn failed(error: std::io::Error) -> Failure {
    Fault::Host(format!("an artifact can't be kept or read: {error}")).into()
}

/// Disk work, away from the threads that drive other calls.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn shelf(folder: &Path, run: &str) -> Shelf {
        let secrets = BTreeMap::from([("note".into(), SecretBytes::from(b"only mine".to_vec()))]);
        let vault = Arc::new(RunVault::new(SealKey::from_bytes([7; 32]), secrets));
        Shelf::new(folder.into(), run.parse().unwrap(), vault)
    }

    async fn write(shelf: &Shelf, name: &str, content: &[u8]) -> Sealed {
        let mut writer = shelf.create(&"pack".parse().unwrap(), name, false).await.unwrap();
        for piece in content.chunks(700_001) {
            writer.append(piece.to_vec()).await.unwrap();
        }
        writer.finish().await.unwrap()
    }

    #[tokio::test]
    async fn any_part_reads_back_and_nothing_lies_in_clear() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = shelf(dir.path(), "abc234");
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 17] {
            let content: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let written = write(&shelf, "data", &content).await;
            assert_eq!(written.reference, "artifact:pack/data");
            let opened = shelf.open("artifact:pack/data").await.unwrap();
            assert_eq!((opened.length(), opened.sha256()), (length as u64, &*hex::encode(sha256(&content))));
            assert_eq!(opened.read_all().await.unwrap(), content);
            for (offset, want) in [(0, 10), (CHUNK - 5, 10), (length / 2, CHUNK), (length, 1), (length + 9, 3)] {
                let from = offset.min(length);
                let part = opened.read(offset as u64, want).await.unwrap();
                assert_eq!(part, content[from..(from + want).min(length)], "{length} {offset} {want}");
            }
        }
        write(&shelf, "plain", b"find me if you can").await;
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            assert!(!bytes.windows(12).any(|w| w == b"find me if y"));
        }
    }

    #[tokio::test]
    async fn changed_cut_and_foreign_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let own = shelf(dir.path(), "abc234");
        write(&own, "data", &vec![5; 2 * CHUNK]).await;
        let path = own.path("artifact:pack/data");
        let good = std::fs::read(&path).unwrap();
        assert!(shelf(dir.path(), "zzz222").open("artifact:pack/data").await.is_err(), "another run's");
        let mut swapped = good.clone();
        let (a, b) = (HEADER as usize, HEADER as usize + CHUNK + OVERHEAD as usize);
        swapped[a..].rotate_left(CHUNK + OVERHEAD as usize);
        for (what, bytes) in [
            ("cut", good[..good.len() - 1].to_vec()),
            ("empty", Vec::new()),
            ("flipped facts", {
                let mut c = good.clone();
                let at = c.len() - 10;
                c[at] ^= 1;
                c
            }),
            ("flipped chunk", {
                let mut c = good.clone();
                c[b + 40] ^= 1;
                c
            }),
            ("swapped", swapped),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let read = match own.open("artifact:pack/data").await {
                Ok(opened) => opened.read_all().await.map(drop),
                Err(error) => Err(error),
            };
            assert!(read.is_err(), "{what}");
        }
    }

    #[tokio::test]
    async fn drafts_leave_nothing_and_secrets_are_marked() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = shelf(dir.path(), "abc234");
        let mut writer = shelf.create(&"pack".parse().unwrap(), "data", false).await.unwrap();
        writer.append(vec![1; 10]).await.unwrap();
        drop(writer);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let secret = shelf.open("secret:note").await.unwrap();
        assert!(secret.is_secret() && secret.read_all().await.unwrap() == b"only mine"[..]);
        for unknown in ["secret:other", "artifact:pack/none", "key:pack/dek", "artifact:../../etc/passwd", ""] {
            assert!(shelf.open(unknown).await.is_err(), "{unknown}");
        }
        for name in ["", "../x", "a/b", "x\0", &"n".repeat(65)] {
            assert!(shelf.create(&"pack".parse().unwrap(), name, false).await.is_err(), "{name}");
        }
    }
}
