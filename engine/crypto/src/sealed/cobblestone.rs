//! Cobblestone-256: the instantiation of C2SP chunked encryption (`c2sp.org/chunked-encryption`, version 1) with
//! SHA-512 and AES-256-GCM.
//!
//! A message is `salt(24) ‖ commitment(32) ‖ chunks`. Each chunk is 16 KiB of plaintext and a tag of 16 bytes; the last
//! one is shorter, possibly empty. Key, base nonce and commitment of a message come from one HKDF-Expand over the input
//! key, the salt and a context that both sides know. A chunk's nonce is the base nonce XOR its number.

use std::io::{Read, Write};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

use super::pipeline::{self, Piece};
use super::{SealedError, read_full};
use crate::aes::{NONCE, TAG};
use crate::{SecretBytes, constant_time_eq, random};

/// Length of an input key in bytes.
pub const KEY: usize = 32;
/// Plaintext bytes of every chunk but the last.
pub const CHUNK: usize = 16 * 1024;
/// Bytes of a whole chunk in a sealed message.
pub const SEALED_CHUNK: usize = CHUNK + TAG;
/// Bytes before the first chunk: salt and commitment.
pub const PREFIX: usize = SALT + COMMITMENT;

const SALT: usize = 24;
const COMMITMENT: usize = 32;
/// What a message may have at most: 4 PiB.
const MAX_CHUNKS: u64 = 1 << 38;
const LABEL: &[u8] = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0";

/// Chunks that travel together between threads.
const BATCH: usize = 32;

/// Seals what `reader` gives, to its end, with a fresh random salt. The key must be 32 uniformly random bytes; one key
/// may seal many messages. Returns the number of plaintext bytes.
///
/// # Errors
/// [`SealedError::KeyLength`], [`SealedError::TooLong`], [`SealedError::Read`], [`SealedError::Write`].
pub fn seal<R: Read + Send, W: Write>(
    reader: R,
    mut writer: W,
    key: &SecretBytes,
    context: &[u8],
) -> Result<u64, SealedError> {
    let (prefix, message) = Message::begin(key, context, random())?;
    writer.write_all(&prefix).map_err(SealedError::Write)?;
    pipeline::run(reader, writer, BATCH * CHUNK, BATCH * SEALED_CHUNK, |piece, out| message.seal(piece, out))
}

/// Opens what [`seal`] made with the same key and context. A chunk is written once it is verified, the chunks before it
/// were, and nothing else is: on an error the writer has an authentic beginning of the message, and only `Ok` says that
/// it has all of it. Returns the number of plaintext bytes.
///
/// # Errors
/// [`SealedError::Commitment`] before anything is written; [`SealedError::Chunk`], [`SealedError::Truncated`],
/// [`SealedError::TooLong`], [`SealedError::KeyLength`], [`SealedError::Read`], [`SealedError::Write`].
pub fn open<R: Read + Send, W: Write>(
    mut reader: R,
    writer: W,
    key: &SecretBytes,
    context: &[u8],
) -> Result<u64, SealedError> {
    let message = Message::read(&mut reader, key, context)?;
    message.open_rest(reader, writer, None)
}

/// Returns how long a message of `plaintext` bytes is when it is sealed; `None` beyond 4 PiB.
#[must_use]
pub fn sealed_length(plaintext: u64) -> Option<u64> {
    let chunks = plaintext / CHUNK as u64 + 1;
    (chunks <= MAX_CHUNKS).then(|| PREFIX as u64 + plaintext + chunks * TAG as u64)
}

/// Returns how many plaintext bytes are in a sealed message of `sealed` bytes, by arithmetic alone.
///
/// # Errors
/// [`SealedError::Truncated`] for a length that no message has, [`SealedError::TooLong`] beyond 4 PiB.
pub fn plaintext_length(sealed: u64) -> Result<u64, SealedError> {
    let body = sealed.checked_sub(PREFIX as u64).ok_or(SealedError::Truncated)?;
    let (full, rest) = (body / SEALED_CHUNK as u64, body % SEALED_CHUNK as u64);
    let rest = rest.checked_sub(TAG as u64).ok_or(SealedError::Truncated)?;
    if full >= MAX_CHUNKS {
        return Err(SealedError::TooLong);
    }
    Ok(full * CHUNK as u64 + rest)
}

/// The keys of one message.
pub(super) struct Message {
    key: LessSafeKey,
    base: [u8; NONCE],
}

impl Message {
    /// Derives the keys of a new message; the salt must not repeat for a key.
    pub(super) fn begin(
        key: &SecretBytes,
        context: &[u8],
        salt: [u8; SALT],
    ) -> Result<([u8; PREFIX], Self), SealedError> {
        let (message, commitment) = Self::derive(key, context, &salt)?;
        let mut prefix = [0; PREFIX];
        prefix[..SALT].copy_from_slice(&salt);
        prefix[SALT..].copy_from_slice(&commitment);
        Ok((prefix, message))
    }

    /// Reads salt and commitment, and checks the latter.
    pub(super) fn read(reader: &mut impl Read, key: &SecretBytes, context: &[u8]) -> Result<Self, SealedError> {
        let mut prefix = [0; PREFIX];
        if read_full(reader, &mut prefix)? < PREFIX {
            return Err(SealedError::Truncated);
        }
        let (salt, stated) = prefix.split_at(SALT);
        let (message, commitment) = Self::derive(key, context, salt)?;
        if !constant_time_eq(stated, &commitment) {
            return Err(SealedError::Commitment);
        }
        Ok(message)
    }

    /// Opens all chunks. With `length`, plaintext bytes that an authentic source states, a missing or added end gets its
    /// own name.
    pub(super) fn open_rest<R: Read + Send, W: Write>(
        &self,
        reader: R,
        writer: W,
        length: Option<u64>,
    ) -> Result<u64, SealedError> {
        let stated = length.and_then(sealed_length).map(|sealed| sealed - PREFIX as u64);
        let sealed = pipeline::run(reader, writer, BATCH * SEALED_CHUNK, BATCH * CHUNK, |piece, out| {
            if let Some(stated) = stated {
                let seen = piece.offset + piece.bytes.len() as u64;
                if seen > stated {
                    return Err(SealedError::Appended);
                }
                if piece.last && seen < stated {
                    return Err(SealedError::Truncated);
                }
            }
            self.open(piece, out)
        })?;
        plaintext_length(sealed + PREFIX as u64)
    }

    fn derive(key: &SecretBytes, context: &[u8], salt: &[u8]) -> Result<(Self, [u8; COMMITMENT]), SealedError> {
        if key.len() != KEY {
            return Err(SealedError::KeyLength(key.len()));
        }
        let mut derived = Zeroizing::new([0; KEY + NONCE + COMMITMENT]);
        let length = Length(derived.len());
        hkdf::Prk::new_less_safe(hkdf::HKDF_SHA512, key.expose())
            .expand(&[LABEL, salt, context], length)
            .and_then(|okm| okm.fill(&mut derived[..]))
            .map_err(|_| SealedError::Library)?;
        let (head, commitment) = derived.split_at(KEY + NONCE);
        let (key, base) = head.split_at(KEY);
        let key = UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map_err(|_| SealedError::Library)?;
        let mut message = Self { key, base: [0; NONCE] };
        message.base.copy_from_slice(base);
        let mut out = [0; COMMITMENT];
        out.copy_from_slice(commitment);
        Ok((message, out))
    }

    /// Base nonce XOR the chunk's number, a big-endian integer.
    fn nonce(&self, number: u64) -> Result<Nonce, SealedError> {
        if number >= MAX_CHUNKS {
            return Err(SealedError::TooLong);
        }
        let mut nonce = self.base;
        nonce[NONCE - 8..].iter_mut().zip(number.to_be_bytes()).for_each(|(byte, count)| *byte ^= count);
        Ok(Nonce::assume_unique_for_key(nonce))
    }

    /// Seals the chunks of a piece. The end of the message is a short chunk, be it empty.
    fn seal(&self, piece: &Piece<'_>, out: &mut [u8]) -> Result<usize, SealedError> {
        let mut number = piece.offset / CHUNK as u64;
        let (mut plain, mut written) = (piece.bytes, 0);
        while !plain.is_empty() || piece.last {
            let (chunk, rest) = plain.split_at(plain.len().min(CHUNK));
            let slot = out.get_mut(written..written + chunk.len() + TAG).ok_or(SealedError::Library)?;
            let (body, tag) = slot.split_at_mut(chunk.len());
            self.key
                .seal_out_of_place_scatter(self.nonce(number)?, Aad::empty(), chunk, body, &[], tag)
                .map_err(|_| SealedError::Library)?;
            written += slot.len();
            if chunk.len() < CHUNK {
                break;
            }
            (plain, number) = (rest, number + 1);
        }
        Ok(written)
    }

    /// Opens the chunks of a piece. Only the last chunk of the last piece is short, and it always is.
    fn open(&self, piece: &Piece<'_>, out: &mut [u8]) -> Result<usize, SealedError> {
        let mut number = piece.offset / SEALED_CHUNK as u64;
        let (mut sealed, mut written) = (piece.bytes, 0);
        while !sealed.is_empty() || piece.last {
            let (chunk, rest) = sealed.split_at(sealed.len().min(SEALED_CHUNK));
            let length = chunk.len().checked_sub(TAG).ok_or(SealedError::Truncated)?;
            let slot = out.get_mut(written..written + length).ok_or(SealedError::Library)?;
            self.open_chunk(number, chunk, slot)?;
            written += length;
            if length < CHUNK {
                break;
            }
            (sealed, number) = (rest, number + 1);
        }
        Ok(written)
    }

    /// Opens one chunk into a slice of its plaintext's length.
    pub(super) fn open_chunk(&self, number: u64, chunk: &[u8], out: &mut [u8]) -> Result<(), SealedError> {
        let (body, tag) =
            chunk.len().checked_sub(TAG).and_then(|at| chunk.split_at_checked(at)).ok_or(SealedError::Truncated)?;
        self.key
            .open_separate_gather(self.nonce(number)?, Aad::empty(), body, tag, out)
            .map_err(|_| SealedError::Chunk(number))
    }
}

/// A number of bytes for HKDF.
struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed::header;

    /// A row of the test vector of docs/sealed-file.md.
    fn page(name: &str) -> &'static str {
        let page = include_str!("../../../../docs/sealed-file.md");
        let row = page.lines().find_map(|line| line.strip_prefix(name).filter(|rest| rest.starts_with("  ")));
        row.unwrap_or_else(|| panic!("the page has no {name}")).trim()
    }

    fn bytes(name: &str) -> Vec<u8> {
        hex::decode(page(name)).unwrap()
    }

    #[test]
    fn the_page_and_the_program_say_the_same() {
        let file = bytes("file");
        let (header, envelope) = header::Header::read(&mut &file[..]).unwrap();
        assert_eq!(&envelope[12..], page("header").as_bytes());
        assert_eq!(header.to_bytes().unwrap(), envelope);
        let context = header::context(&envelope);
        assert_eq!(context, bytes("context"));
        let (prefix, message) =
            Message::begin(&bytes("key").into(), &context, bytes("salt").try_into().unwrap()).unwrap();
        assert_eq!((&message.base[..], prefix[SALT..].to_vec()), (&bytes("base_nonce")[..], bytes("commitment")));
        let plain = bytes("plaintext");
        let mut chunks = vec![0; plain.len() + TAG];
        message.seal(&Piece { offset: 0, bytes: &plain, last: true }, &mut chunks).unwrap();
        assert_eq!([&envelope[..], &prefix, &chunks].concat(), file);
        // The message key is not to be had from the library; what it makes is.
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &bytes("message_key")).unwrap());
        let nonce = Nonce::try_assume_unique_for_key(&bytes("base_nonce")).unwrap();
        assert_eq!(key.open_in_place(nonce, Aad::empty(), &mut chunks).unwrap(), plain);
    }

    #[test]
    fn nonces_count_in_big_endian_and_end_where_the_specification_says() {
        let message =
            Message { key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[0; 32]).unwrap()), base: [0xf0; NONCE] };
        let nonce = |number| message.nonce(number).map(|nonce| hex::encode(nonce.as_ref()));
        for (number, end) in
            [(0, "f0f0f0f0f0"), (1, "f0f0f0f0f1"), (0x1234, "f0f0f0e2c4"), ((1 << 38) - 1, "cf0f0f0f0f")]
        {
            assert_eq!(nonce(number).unwrap(), format!("f0f0f0f0f0f0f0{end}"), "{number}");
        }
        assert!(matches!(nonce(1 << 38), Err(SealedError::TooLong)));
        let most = MAX_CHUNKS * CHUNK as u64 - 1;
        let sealed = sealed_length(most).unwrap();
        assert_eq!(plaintext_length(sealed).unwrap(), most);
        assert_eq!(sealed_length(most + 1), None);
        assert!(matches!(plaintext_length(sealed + TAG as u64 + 1), Err(SealedError::TooLong)));
        for short in [0, 55, 56, 71, 56 + SEALED_CHUNK as u64, 56 + SEALED_CHUNK as u64 + 15] {
            assert!(matches!(plaintext_length(short), Err(SealedError::Truncated)), "{short}");
        }
    }
}
