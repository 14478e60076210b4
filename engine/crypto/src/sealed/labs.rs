//! The layout that the published labs write: `nonce(12) ‖ ciphertext ‖ tag(16)`, one AES-256-GCM message without
//! additional data, and beside it a file with the 32-byte key under RSA-OAEP-256, raw.
//!
//! One tag covers the whole file, so that the whole file must be there before a byte of it can be trusted: it is held
//! in memory, up to a limit. Nothing ties the key's file to the data's, and the key is not committed to. New data is
//! better off in a sealed file.

use std::io::{Read, Write};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::{SealedError, read_full};
use crate::aes::{NONCE, TAG};
use crate::{SecretBytes, random};

/// What a file of this layout has besides its message.
pub const OVERHEAD: u64 = (NONCE + TAG) as u64;
/// GCM's longest message (NIST SP 800-38D §5.2.1.1), in bytes.
const LONGEST: u64 = (1 << 36) - 32;

/// What may be held in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The most, in bytes; a longer file is refused.
    pub limit: u64,
    /// How long the input probably is (a file's length): memory of this size is asked for at once.
    pub expected: u64,
}

/// Encrypts what `reader` gives, to its end, under a fresh random nonce. Returns the number of plaintext bytes.
///
/// # Errors
/// [`SealedError::KeyLength`], [`SealedError::Memory`], [`SealedError::TooLong`], [`SealedError::Read`],
/// [`SealedError::Write`].
pub fn seal<R: Read, W: Write>(
    reader: R,
    mut writer: W,
    key: &SecretBytes,
    memory: Memory,
) -> Result<u64, SealedError> {
    let key = cipher(key)?;
    let mut message = read_all(reader, memory)?;
    let length = message.len() as u64;
    let nonce = random::<NONCE>();
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut message)
        .map_err(|_| SealedError::TooLong)?;
    let parts: [&[u8]; 3] = [&nonce, &message, tag.as_ref()];
    parts
        .iter()
        .try_for_each(|part| writer.write_all(part))
        .and_then(|()| writer.flush())
        .map_err(SealedError::Write)?;
    Ok(length)
}

/// Decrypts a file. Nothing is written before its tag is verified. Returns the number of plaintext bytes.
///
/// # Errors
/// [`SealedError::Truncated`] for less than nonce and tag, [`SealedError::Message`] when the tag does not verify,
/// [`SealedError::KeyLength`], [`SealedError::Memory`], [`SealedError::Read`], [`SealedError::Write`].
pub fn open<R: Read, W: Write>(
    mut reader: R,
    mut writer: W,
    key: &SecretBytes,
    memory: Memory,
) -> Result<u64, SealedError> {
    let key = cipher(key)?;
    let mut nonce = [0; NONCE];
    if read_full(&mut reader, &mut nonce)? < NONCE {
        return Err(SealedError::Truncated);
    }
    // The tag, too, is held, and the message alone is what the limit is about.
    let tag = TAG as u64;
    let memory = Memory { limit: memory.limit.saturating_add(tag), expected: memory.expected };
    let mut message = read_all(reader, memory).map_err(|e| match e {
        SealedError::Memory { limit } => SealedError::Memory { limit: limit - tag },
        other => other,
    })?;
    if message.len() < TAG {
        return Err(SealedError::Truncated);
    }
    let plain = key
        .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut message)
        .map_err(|_| SealedError::Message)?;
    writer.write_all(plain).and_then(|()| writer.flush()).map_err(SealedError::Write)?;
    Ok(plain.len() as u64)
}

fn cipher(key: &SecretBytes) -> Result<LessSafeKey, SealedError> {
    // Keys of 16 bytes would be AES-128: not this layout.
    match key.len() {
        32 => UnboundKey::new(&AES_256_GCM, key.expose()).map(LessSafeKey::new).map_err(|_| SealedError::Library),
        other => Err(SealedError::KeyLength(other)),
    }
}

/// Reads to the end. A buffer that proves too small is replaced by one of twice its size, and wiped.
fn read_all(mut reader: impl Read, memory: Memory) -> Result<Zeroizing<Vec<u8>>, SealedError> {
    let limit = memory.limit.min(LONGEST + TAG as u64);
    let refused = || if limit < memory.limit { SealedError::TooLong } else { SealedError::Memory { limit } };
    if memory.expected > limit.saturating_add(OVERHEAD) {
        return Err(refused());
    }
    let room = |length: u64| {
        let length = usize::try_from(length).map_err(|_| refused())?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).map_err(|_| refused())?;
        bytes.resize(length, 0);
        Ok(Zeroizing::new(bytes))
    };
    // One byte more than there should be: the end shows without another buffer.
    let mut bytes = room(memory.expected.max(4096).saturating_add(1))?;
    let mut filled = 0;
    loop {
        filled += read_full(&mut reader, bytes.get_mut(filled..).unwrap_or_default())?;
        if filled as u64 > limit {
            return Err(refused());
        }
        if filled < bytes.len() {
            bytes.truncate(filled);
            return Ok(bytes);
        }
        let mut larger = room((bytes.len() as u64).saturating_mul(2).min(limit.saturating_add(1)))?;
        larger.get_mut(..filled).ok_or(SealedError::Library)?.copy_from_slice(&bytes);
        bytes = larger;
    }
}
