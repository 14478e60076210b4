//! Artifacts: bulk data that the host keeps for a run, so that a plugin holds no more than a piece of it.
//!
//! On the learner's machine they lie on disk, sealed with the run's key (`disk`). Inside a confidential VM they live in
//! memory only (`memory`).

mod disk;
mod memory;

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sealbook_azure::{Content as Uploaded, Source};
use sealbook_crypto::{SecretBytes, Sha256, sha256};
use sealbook_model::id::{RunId, StepPath};
use serde::{Deserialize, Serialize};

pub use memory::Memory;

use super::fault::Fault;
use super::handle::is_name;
use crate::journal::RunVault;
use crate::step::{Failure, StepError};

/// Bytes of plaintext in one chunk, and the most that crosses the sandbox in one call.
pub(crate) const CHUNK: usize = 1 << 20;
/// Largest artifact, in bytes.
const ARTIFACT_MAX: u64 = 4 << 30;

/// Where a host keeps artifacts.
#[derive(Clone)]
pub enum ArtifactStore {
    /// In a folder, sealed; each run gets a folder of its own in it.
    Folder(PathBuf),
    /// In memory, as long as the process lives.
    Memory(Memory),
}

/// The artifacts of one run.
#[derive(Clone)]
pub(crate) struct Shelf {
    place: Place,
    run: RunId,
    vault: Arc<RunVault>,
}

#[derive(Clone)]
enum Place {
    Disk(disk::Folder),
    Memory(Memory),
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

#[derive(Clone)]
enum Content {
    Disk(disk::Sealed),
    Memory(memory::Pieces),
    Secret(SecretBytes),
}

/// An artifact in the making. Dropped unfinished, it leaves nothing behind.
pub(crate) struct Writer {
    open: Option<Open>,
}

/// An artifact in the making, written from a thread that may wait.
pub(crate) struct Filling(Open);

impl io::Write for Filling {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.append(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An artifact read from beginning to end, from a thread that may wait.
pub(crate) struct Reader {
    content: Content,
    at: u64,
    total: u64,
}

impl io::Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = (self.total - self.at).min(buffer.len().min(CHUNK) as u64);
        let piece = self.content.read(self.total, self.at..self.at + length)?;
        buffer[..piece.len()].copy_from_slice(&piece);
        self.at += piece.len() as u64;
        Ok(piece.len())
    }
}

struct Open {
    shelf: Shelf,
    reference: String,
    length: u64,
    hash: Sha256,
    secret: bool,
    draft: Draft,
}

enum Draft {
    Disk(Box<disk::Draft>),
    Memory(memory::Draft),
}

impl Shelf {
    pub(crate) fn new(store: &ArtifactStore, run: RunId, vault: Arc<RunVault>) -> Self {
        let place = match store {
            ArtifactStore::Folder(folder) => {
                let (path, run, vault) = (folder.join(run.as_str()), run.clone(), vault.clone());
                Place::Disk(disk::Folder { path, run, vault })
            }
            ArtifactStore::Memory(memory) => Place::Memory(memory.clone()),
        };
        Self { place, run, vault }
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
        aside(move || {
            let draft = match &shelf.place {
                Place::Disk(folder) => Draft::Disk(Box::new(folder.create(&reference)?)),
                Place::Memory(_) => Draft::Memory(memory::Draft::default()),
            };
            Ok(Writer { open: Some(Open { shelf, reference, length: 0, hash: Sha256::new(), secret, draft }) })
        })
        .await
    }

    /// Opens an artifact or a secret by its reference.
    pub(crate) async fn open(&self, reference: &str) -> Result<Sealed, Failure> {
        if let Some(name) = reference.strip_prefix("secret:") {
            let bytes = self.vault.secret(name).ok_or_else(|| unknown(reference))?.clone();
            let facts = Facts { length: bytes.len() as u64, sha256: hex::encode(sha256(bytes.expose())), secret: true };
            return Ok(Sealed { reference: reference.into(), facts, content: Content::Secret(bytes) });
        }
        self.find(reference).await?.ok_or_else(|| unknown(reference))
    }

    /// Opens an artifact if there is one.
    pub(crate) async fn find(&self, reference: &str) -> Result<Option<Sealed>, Failure> {
        if !reference.starts_with("artifact:") {
            return Ok(None);
        }
        match &self.place {
            Place::Memory(memory) => Ok(memory.get(&self.run, reference).map(|(facts, pieces)| Sealed {
                reference: reference.into(),
                facts,
                content: Content::Memory(pieces),
            })),
            Place::Disk(folder) if !folder.file(reference).exists() => Ok(None),
            Place::Disk(folder) => {
                let (folder, reference) = (folder.clone(), reference.to_owned());
                aside(move || {
                    let (file, facts) = folder.open(&reference)?;
                    Ok(Some(Sealed { reference, facts, content: Content::Disk(file) }))
                })
                .await
            }
        }
    }

    /// Makes an artifact out of another one, piece by piece. Nothing is left when `work` fails.
    pub(crate) async fn transform<E: Into<Failure> + Send + 'static>(
        &self,
        step: &StepPath,
        name: &str,
        source: &Sealed,
        secret: bool,
        work: impl FnOnce(Reader, &mut Filling) -> Result<(), E> + Send + 'static,
    ) -> Result<Sealed, Failure> {
        let mut writer = self.create(step, name, secret).await?;
        let open = writer.take()?;
        let reader = source.reader();
        let done = aside(move || {
            let mut filling = Filling(open);
            match work(reader, &mut filling) {
                Ok(()) => filling.0.finish().map(Ok),
                Err(why) => Ok(Err(why)),
            }
        });
        done.await?.map_err(Into::into)
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
}

impl Writer {
    fn take(&mut self) -> Result<Open, Failure> {
        self.open.take().ok_or_else(|| Fault::BadHandle("the draft is finished".into()).into())
    }

    /// Appends some bytes.
    pub(crate) async fn append(&mut self, bytes: Vec<u8>) -> Result<(), Failure> {
        let mut open = self.take()?;
        // It may be a secret, such as a released key: no copy of it stays behind in memory.
        let bytes = SecretBytes::new(bytes);
        let (open, result) = aside(move || {
            let result = open.append(bytes.expose());
            Ok((open, result))
        })
        .await?;
        self.open = Some(open);
        result.map_err(failed)
    }

    /// Finishes it; one of the same name is replaced.
    pub(crate) async fn finish(mut self) -> Result<Sealed, Failure> {
        let open = self.take()?;
        aside(move || open.finish()).await
    }
}

impl Open {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length += bytes.len() as u64;
        if self.length > ARTIFACT_MAX {
            return Err(io::Error::other(format!("an artifact has at most {ARTIFACT_MAX} bytes")));
        }
        self.hash.update(bytes);
        match &mut self.draft {
            Draft::Disk(draft) => draft.append(bytes),
            Draft::Memory(draft) => {
                draft.append(bytes);
                Ok(())
            }
        }
    }

    fn finish(self) -> io::Result<Sealed> {
        let facts = Facts { length: self.length, sha256: hex::encode(self.hash.finish()), secret: self.secret };
        let content = match self.draft {
            Draft::Disk(draft) => Content::Disk(draft.finish(&facts)?),
            Draft::Memory(draft) => {
                let pieces = draft.finish();
                if let Place::Memory(memory) = &self.shelf.place {
                    memory.put(&self.shelf.run, &self.reference, facts.clone(), pieces.clone());
                }
                Content::Memory(pieces)
            }
        };
        Ok(Sealed { reference: self.reference, facts, content })
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
        let total = self.facts.length;
        let offset = offset.min(total);
        let end = offset.saturating_add(length as u64).min(total);
        let content = self.content.clone();
        aside(move || content.read(total, offset..end)).await
    }

    fn reader(&self) -> Reader {
        Reader { content: self.content.clone(), at: 0, total: self.facts.length }
    }

    /// Reads everything, secret or not: for the host alone.
    pub(crate) async fn read_secret(&self) -> Result<SecretBytes, Failure> {
        let length = usize::try_from(self.facts.length).unwrap_or(usize::MAX);
        Ok(SecretBytes::from(self.read(0, length).await?))
    }

    /// Reads everything.
    pub(crate) async fn read_all(&self) -> Result<Bytes, Failure> {
        let length = usize::try_from(self.facts.length).unwrap_or(usize::MAX);
        Ok(self.read(0, length).await?.into())
    }

    /// For an upload: it is read while it goes out.
    pub(crate) fn content(&self) -> Uploaded {
        let source = Outgoing { content: self.content.clone(), total: self.facts.length };
        Uploaded::of(Arc::new(source), self.facts.length, &self.facts.sha256)
    }
}

/// An artifact that goes out.
struct Outgoing {
    content: Content,
    total: u64,
}

#[async_trait]
impl Source for Outgoing {
    async fn read(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let (content, total) = (self.content.clone(), self.total);
        let read = tokio::task::spawn_blocking(move || content.read(total, offset..offset + length as u64));
        Ok(read.await.map_err(io::Error::other)??.into())
    }
}

impl Content {
    /// Reads a range that lies within the `total` bytes.
    fn read(&self, total: u64, range: Range<u64>) -> io::Result<Vec<u8>> {
        match self {
            Self::Secret(bytes) => Ok(bytes.expose()[range.start as usize..range.end as usize].to_vec()),
            Self::Memory(pieces) => Ok(memory::read(pieces, range)),
            Self::Disk(file) => file.read(total, range),
        }
    }
}

fn unknown(reference: &str) -> Failure {
    StepError::InvalidInput {
        field: "reference".into(),
        message: format!("this run has no `{}`", super::text::one_line(reference, 120)),
    }
    .into()
}

fn damaged() -> io::Error {
    io::Error::other("it does not open: it was changed, or belongs to another run")
}

fn failed(error: io::Error) -> Failure {
    Fault::Host(format!("an artifact can't be kept or read: {error}")).into()
}

/// Work on disk and in bulk, away from the threads that drive other calls.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use sealbook_crypto::SealKey;

    use super::disk::{HEADER, OVERHEAD};
    use super::*;

    fn vault() -> Arc<RunVault> {
        let secrets = BTreeMap::from([("note".into(), SecretBytes::from(b"only mine".to_vec()))]);
        Arc::new(RunVault::new(SealKey::from_bytes([7; 32]), secrets))
    }

    /// A run's shelf in a folder, and the one file that `pack/data` is.
    fn shelf(folder: &Path, run: &str) -> Shelf {
        Shelf::new(&ArtifactStore::Folder(folder.into()), run.parse().unwrap(), vault())
    }

    fn file(shelf: &Shelf) -> PathBuf {
        match &shelf.place {
            Place::Disk(folder) => folder.file("artifact:pack/data"),
            Place::Memory(_) => unreachable!(),
        }
    }

    const LENGTHS: [usize; 6] = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 17];

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
        let in_memory = Shelf::new(&ArtifactStore::Memory(Memory::default()), "abc234".parse().unwrap(), vault());
        let on_disk = shelf(dir.path(), "abc234");
        for (shelf, length) in
            [&on_disk, &in_memory].into_iter().flat_map(|shelf| LENGTHS.map(|length| (shelf, length)))
        {
            let content: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let written = write(shelf, "data", &content).await;
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
        write(&on_disk, "plain", b"find me if you can").await;
        for entry in std::fs::read_dir(dir.path().join("abc234")).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            assert!(!bytes.windows(12).any(|w| w == b"find me if y"));
        }
    }

    #[tokio::test]
    async fn changed_cut_and_foreign_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let own = shelf(dir.path(), "abc234");
        write(&own, "data", &vec![5; 2 * CHUNK]).await;
        let path = file(&own);
        let good = std::fs::read(&path).unwrap();
        let other = shelf(dir.path(), "zzz222");
        std::fs::create_dir(dir.path().join("zzz222")).unwrap();
        std::fs::copy(&path, file(&other)).unwrap();
        assert!(other.open("artifact:pack/data").await.is_err(), "another run's");
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
        assert_eq!(std::fs::read_dir(dir.path().join("abc234")).unwrap().count(), 0);
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
