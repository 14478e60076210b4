//! Sealed files: bulk data under one content key, which a key encryption key wraps.
//!
//! A sealed file is a small envelope and behind it a message of [`cobblestone`]: chunks that are verified one by one, so
//! that files of any size are sealed and opened on all cores in constant memory, and read at any place. The header of
//! the envelope is part of the message's context: with another header the file does not open. `docs/sealed-file.md` is
//! the specification. [`labs`] has the simpler layout of the published labs.
//!
//! ```
//! use sealbook_crypto::rsa::{RsaBits, RsaKey};
//! use sealbook_crypto::sealed::{self, Header, Kek, SealedError, SealedFile};
//!
//! let kek = Kek::Rsa(Box::new(RsaKey::generate(RsaBits::B2048)));
//! let key = sealed::generate_key();
//! let mut header = Header::new(kek.wrap(&key, Some("https://vault.example/keys/kek/1".into()))?);
//! header.name = Some("data.csv".into());
//!
//! let mut file = Vec::new();
//! sealed::seal(&b"a,b\n1,2\n"[..], &mut file, &key, &header)?;
//!
//! let mut plain = Vec::new();
//! let opened = sealed::open(&file[..], &mut plain, |header| kek.unwrap(&header.key))?;
//! assert_eq!((&plain[..], opened.header), (&b"a,b\n1,2\n"[..], header));
//!
//! let mut file = SealedFile::open(std::io::Cursor::new(file), |header| kek.unwrap(&header.key))?;
//! let mut three = [0; 3];
//! file.read_at(4, &mut three)?;
//! assert_eq!(&three, b"1,2");
//! # Ok::<(), SealedError>(())
//! ```
//!
//! Who seals under a public key proves nothing about himself: anyone can. That a file comes from somebody is what a
//! signature, or a key that only few have, can say.

pub mod cobblestone;
mod error;
mod file;
mod header;
mod kek;
pub mod labs;
mod pipeline;

pub use error::SealedError;
pub use file::SealedFile;
pub use header::{ContentKey, Header, MAGIC, MAX_HEADER, VERSION, Wrap};
pub use kek::{BadKek, Kek, KekFile};

use std::io::{ErrorKind, Read, Write};

use self::cobblestone::Message;
use crate::{SecretBytes, random_bytes};

/// What was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The header, authentic now.
    pub header: Header,
    /// Plaintext bytes.
    pub length: u64,
}

/// Draws a content key.
///
/// # Panics
/// When the operating system gives no entropy.
#[must_use]
pub fn generate_key() -> SecretBytes {
    SecretBytes::new(random_bytes(cobblestone::KEY))
}

/// Seals what `reader` gives, to its end, on all cores and in constant memory. Returns the number of plaintext bytes.
///
/// What was written when an error comes is no sealed file: let it be removed.
///
/// # Errors
/// [`SealedError::HeaderValue`], [`SealedError::KeyLength`], [`SealedError::Length`] when the header states another
/// length than the input had, [`SealedError::TooLong`], [`SealedError::Read`], [`SealedError::Write`].
pub fn seal<R: Read + Send, W: Write>(
    reader: R,
    mut writer: W,
    key: &SecretBytes,
    header: &Header,
) -> Result<u64, SealedError> {
    let envelope = header.to_bytes()?;
    writer.write_all(&envelope).map_err(SealedError::Write)?;
    let found = cobblestone::seal(reader, writer, key, &header::context(&envelope))?;
    match header.length {
        Some(stated) if stated != found => Err(SealedError::Length { stated, found }),
        _ => Ok(found),
    }
}

/// Opens a sealed file on all cores and in constant memory. `key` finds the content key by the header, which nobody has
/// vouched for yet: it is good for choosing a key and for nothing else.
///
/// Only verified chunks are written, in order. On an error the writer has an authentic beginning of the file (nothing at
/// all, if the key or the header is wrong), and only `Ok` says that it has the whole.
///
/// # Errors
/// What `key` answers; [`SealedError::NotSealed`], [`SealedError::Version`], [`SealedError::Header`],
/// [`SealedError::KeyLength`], [`SealedError::Commitment`], [`SealedError::Chunk`], [`SealedError::Truncated`],
/// [`SealedError::Appended`], [`SealedError::Read`], [`SealedError::Write`].
pub fn open<R, W, E>(mut reader: R, writer: W, key: impl FnOnce(&Header) -> Result<SecretBytes, E>) -> Result<Opened, E>
where
    R: Read + Send,
    W: Write,
    E: From<SealedError>,
{
    let (header, envelope) = Header::read(&mut reader)?;
    let key = key(&header)?;
    let message = Message::read(&mut reader, &key, &header::context(&envelope))?;
    let length = message.open_rest(reader, writer, header.length)?;
    Ok(Opened { header, length })
}

/// Reads until the buffer is full or the input ends; returns how much there was.
fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> Result<usize, SealedError> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(SealedError::Read(e)),
        }
    }
    Ok(filled)
}
