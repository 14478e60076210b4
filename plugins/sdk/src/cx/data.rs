//! Data and keys that the host holds: artifacts, blobs, key handles.

use serde_json::Value;

use crate::ids::{BlobUri, ContainerUri};
use crate::problem::{Problem, Result};
use crate::sys;

/// The most bytes that cross the border in one call.
const CHUNK: usize = 1 << 20;

/// Bulk data that the host keeps for the run, sealed at rest.
#[derive(Debug)]
pub struct Artifacts;

impl Artifacts {
    /// Opens an artifact of an earlier step (`artifact:…`) or a secret input (`secret:…`).
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn open(&self, reference: &str) -> Result<Artifact> {
        sys::artifacts::open(reference).map(Artifact)
    }

    /// Writes an artifact of this step; one of the same name is replaced.
    ///
    /// # Errors
    /// When the host's limits are reached.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<Artifact> {
        let draft = sys::artifacts::create(name)?;
        for chunk in bytes.chunks(CHUNK) {
            draft.append(chunk)?;
        }
        sys::artifacts::finish(draft).map(Artifact)
    }
}

/// Data that can be read.
#[derive(Debug)]
pub struct Artifact(pub(super) sys::artifacts::Artifact);

impl Artifact {
    /// Its length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.0.length()
    }

    /// The SHA-256 of its content, in lower-case hex.
    #[must_use]
    pub fn sha256(&self) -> String {
        self.0.sha256()
    }

    /// Reads at most 1 MiB from `offset`. What came from a secret is refused.
    ///
    /// # Errors
    /// When it must not be read.
    pub fn read(&self, offset: u64, length: u32) -> Result<Vec<u8>> {
        self.0.read(offset, length)
    }

    /// Reads all of it, however many calls that takes. What came from a secret is refused.
    ///
    /// # Errors
    /// When it is longer than `most` bytes, or must not be read.
    pub fn content(&self, most: usize) -> Result<Vec<u8>> {
        let length = usize::try_from(self.length()).unwrap_or(usize::MAX);
        if length > most {
            return Err(Problem::permanent(format!("{length} bytes are too many: at most {most} are read")));
        }
        let mut content = Vec::with_capacity(length);
        while content.len() < length {
            let more = self.read(content.len() as u64, (length - content.len()).min(CHUNK) as u32)?;
            if more.is_empty() {
                return Err(Problem::permanent(format!("it ends after {} of {length} bytes", content.len())));
            }
            content.extend(more);
        }
        Ok(content)
    }

    /// A typed reference (`artifact:…`) for outputs.
    #[must_use]
    pub fn reference(&self) -> String {
        self.0.reference()
    }
}

/// Block blobs. Properties are `{ uri, bytes, etag, content_type, metadata, sha256 }`.
#[derive(Debug)]
pub struct Blobs;

impl Blobs {
    /// Reads a blob's properties and metadata. None: there is none.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn head(&self, blob: &BlobUri) -> Result<Option<Value>> {
        sys::blob::head(blob.as_str())?.map(parse).transpose()
    }

    /// Makes a container, marked as this run's. True: it was not there.
    ///
    /// # Errors
    /// When Azure refuses it.
    pub fn create_container(&self, effect: &str, container: &ContainerUri) -> Result<bool> {
        sys::blob::create_container(effect, container.as_str())
    }

    /// Uploads an artifact, marked as this run's; returns the blob's properties.
    ///
    /// # Errors
    /// When Azure refuses it.
    pub fn put(&self, effect: &str, blob: &BlobUri, source: &Artifact, content_type: &str) -> Result<Value> {
        parse(sys::blob::put(effect, blob.as_str(), &source.0, content_type)?)
    }

    /// Downloads a blob into the artifact `name` of this step.
    ///
    /// # Errors
    /// When Azure refuses it.
    pub fn get(&self, blob: &BlobUri, name: &str) -> Result<Artifact> {
        sys::blob::get(blob.as_str(), name).map(Artifact)
    }

    /// Deletes a blob. True: it was there.
    ///
    /// # Errors
    /// When Azure refuses it.
    pub fn delete(&self, effect: &str, blob: &BlobUri) -> Result<bool> {
        sys::blob::delete(effect, blob.as_str())
    }

    /// Deletes a container with what is in it. True: it was there.
    ///
    /// # Errors
    /// When Azure refuses it.
    pub fn delete_container(&self, effect: &str, container: &ContainerUri) -> Result<bool> {
        sys::blob::delete(effect, container.as_str())
    }
}

/// Keys as handles: their bytes stay in the host.
#[derive(Debug)]
pub struct Crypto;

impl Crypto {
    /// Makes a new random key of 128 or 256 bits.
    ///
    /// # Errors
    /// When the host offers no such length.
    pub fn generate(&self, name: &str, bits: u32) -> Result<Key> {
        sys::crypto::generate(name, bits).map(Key)
    }

    /// Turns a reference from an earlier step into a handle again.
    ///
    /// # Errors
    /// When there is no such key in this process.
    pub fn open(&self, reference: &str) -> Result<Key> {
        sys::crypto::open(reference).map(Key)
    }

    /// Makes an RSA key pair of 2048, 3072 or 4096 bits outside of any key store. Repeated, it is the same one.
    ///
    /// # Errors
    /// When the host offers no such length.
    pub fn generate_pair(&self, name: &str, bits: u32) -> Result<Pair> {
        sys::crypto::generate_pair(name, bits).map(Pair)
    }

    /// Encrypts an artifact as a sealed file `name`. Options: `layout`, `kid`, `wrapped`, `name`.
    ///
    /// # Errors
    /// When the options can't be used.
    pub fn seal_file(&self, key: &Key, source: &Artifact, name: &str, options: &Value) -> Result<Artifact> {
        sys::crypto::seal_file(&key.0, &source.0, name, &options.to_string()).map(Artifact)
    }

    /// What a sealed file says of itself: `kid`, `wrap`, `wrapped`, `name`, `length`.
    ///
    /// # Errors
    /// When it is none.
    pub fn describe_file(&self, source: &Artifact) -> Result<Value> {
        parse(sys::crypto::describe_file(&source.0)?)
    }

    /// Decrypts a sealed file of `layout` into the artifact `name`.
    ///
    /// # Errors
    /// When the key is another one, or anything was changed.
    pub fn open_file(&self, key: &Key, source: &Artifact, name: &str, layout: &str) -> Result<Artifact> {
        sys::crypto::open_file(&key.0, &source.0, name, layout).map(Artifact)
    }

    /// Turns the reference of a pair from an earlier step into a handle again.
    ///
    /// # Errors
    /// When there is none.
    pub fn open_pair(&self, reference: &str) -> Result<Pair> {
        sys::crypto::open_pair(reference).map(Pair)
    }
}

/// A key pair outside of any key store: its private half stays sealed in the host.
#[derive(Debug)]
pub struct Pair(pub(super) sys::crypto::Pair);

impl Pair {
    /// Its public half as a JSON Web Key (`kty`, `n`, `e`).
    ///
    /// # Errors
    /// When the host's answer is no JSON.
    pub fn public(&self) -> Result<Value> {
        parse(self.0.public())
    }

    /// A typed reference (`artifact:…`) for outputs. It survives a resume.
    #[must_use]
    pub fn reference(&self) -> String {
        self.0.reference()
    }

    /// Wraps the private half for a key exchange key (its bundle, as Key Vault answers it) into the key transfer blob
    /// `name`, an artifact of this step.
    ///
    /// # Errors
    /// When the exchange key is none.
    pub fn transfer_blob(&self, exchange: &Value, name: &str) -> Result<Artifact> {
        sys::crypto::transfer_blob(&self.0, &exchange.to_string(), name).map(Artifact)
    }

    /// Decrypts a key that was encrypted to the public half, by RSA-OAEP-256.
    ///
    /// # Errors
    /// When it was encrypted to another one.
    pub fn unseal(&self, sealed: &[u8]) -> Result<Key> {
        sys::crypto::unseal(&self.0, sealed).map(Key)
    }

    /// Encrypts a key to the public half, by RSA-OAEP-256.
    ///
    /// # Errors
    /// When the host can't.
    pub fn seal(&self, secret: &Key) -> Result<Vec<u8>> {
        sys::crypto::seal(&self.0, &secret.0)
    }
}

/// A secret key that the host holds.
#[derive(Debug)]
pub struct Key(pub(super) sys::crypto::Key);

impl Key {
    /// Its length in bits.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.0.bits()
    }

    /// A typed reference (`key:…`) for outputs. It lives as long as the process.
    #[must_use]
    pub fn reference(&self) -> String {
        self.0.reference()
    }

    /// Whether both handles hold the same key, compared by the host in constant time.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        sys::crypto::same(&self.0, &other.0)
    }
}

fn parse(text: String) -> Result<Value> {
    Ok(serde_json::from_str(&text)?)
}
