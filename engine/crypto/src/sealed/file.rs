//! A sealed file that is read at any place.

use std::io::{Read, Seek, SeekFrom};

use zeroize::Zeroizing;

use super::cobblestone::{CHUNK, Message, PREFIX, SEALED_CHUNK, plaintext_length};
use super::header::{self, Header};
use super::{SealedError, read_full};
use crate::SecretBytes;

/// An opened sealed file. Its length is verified when it is opened, its content as it is read.
pub struct SealedFile<R> {
    reader: R,
    header: Header,
    message: Message,
    /// Where the first chunk stands.
    start: u64,
    length: u64,
}

impl<R: Read + Seek> SealedFile<R> {
    /// Opens a file that begins where the reader stands and ends where the reader ends: finds the content key with
    /// `key`, checks the header and the last chunk, and with it the length.
    ///
    /// # Errors
    /// As [`super::open`].
    pub fn open<E: From<SealedError>>(
        mut reader: R,
        key: impl FnOnce(&Header) -> Result<SecretBytes, E>,
    ) -> Result<Self, E> {
        let (header, envelope) = Header::read(&mut reader)?;
        let key = key(&header)?;
        let message = Message::read(&mut reader, &key, &header::context(&envelope))?;
        let start = reader.stream_position().map_err(SealedError::Read)?;
        let end = reader.seek(SeekFrom::End(0)).map_err(SealedError::Read)?;
        let sealed = end.checked_sub(start).and_then(|body| body.checked_add(PREFIX as u64));
        let length = plaintext_length(sealed.ok_or(SealedError::Truncated)?)?;
        match header.length {
            Some(stated) if stated > length => return Err(SealedError::Truncated.into()),
            Some(stated) if stated < length => return Err(SealedError::Appended.into()),
            _ => {}
        }
        let mut file = Self { reader, header, message, start, length };
        // The last chunk is there even if it holds nothing, and verifies at its number only.
        file.chunk(length / CHUNK as u64, &mut Zeroizing::new(Vec::new()))?;
        Ok(file)
    }

    /// Returns the header, which is authentic.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the number of plaintext bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Reads from a place of the plaintext; less than the buffer only where the file ends. Only the chunks that are
    /// touched are read and verified. Returns the number of bytes.
    ///
    /// # Errors
    /// [`SealedError::Chunk`], [`SealedError::Truncated`], [`SealedError::Read`]. What the buffer then holds is
    /// verified, or was there before.
    pub fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, SealedError> {
        let mut plain = Zeroizing::new(Vec::with_capacity(CHUNK));
        let (mut at, mut filled) = (offset, 0);
        while at < self.length && filled < buffer.len() {
            self.chunk(at / CHUNK as u64, &mut plain)?;
            let from = usize::try_from(at % CHUNK as u64).unwrap_or(CHUNK);
            let rest = buffer.get_mut(filled..).unwrap_or_default();
            let wanted = plain.get(from..).unwrap_or_default();
            let count = wanted.len().min(rest.len());
            rest.iter_mut().zip(wanted).for_each(|(to, from)| *to = *from);
            if count == 0 {
                break;
            }
            (at, filled) = (at + count as u64, filled + count);
        }
        Ok(filled)
    }

    /// Reads and opens one chunk.
    fn chunk(&mut self, number: u64, plain: &mut Zeroizing<Vec<u8>>) -> Result<(), SealedError> {
        let place = number.checked_mul(SEALED_CHUNK as u64).and_then(|at| at.checked_add(self.start));
        self.reader.seek(SeekFrom::Start(place.ok_or(SealedError::TooLong)?)).map_err(SealedError::Read)?;
        let mut sealed = [0; SEALED_CHUNK];
        let read = read_full(&mut self.reader, &mut sealed)?;
        plain.resize(read.saturating_sub(SEALED_CHUNK - CHUNK), 0);
        self.message.open_chunk(number, sealed.get(..read).unwrap_or_default(), plain)
    }
}

impl<R> std::fmt::Debug for SealedFile<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedFile").field("header", &self.header).field("length", &self.length).finish_non_exhaustive()
    }
}
