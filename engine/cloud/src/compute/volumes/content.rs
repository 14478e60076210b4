//! The content of a volume: sparse chunks, AES-256-GCM under the volume's data key.
//!
//! Every ciphertext names its place in its associated data: the volume and the chunk. A chunk that was moved or swapped
//! does not open. Zeros are not stored, so a disk costs what was written to it.

use sealbook_crypto::{SealKey, SecretBytes};

use super::rows::{self, Volume};
use super::vhd;
use crate::cx::Cx;
use crate::encryption::{self, Locked};
use crate::refusal::Refusal;

/// Bytes of plaintext per chunk.
pub(super) const CHUNK: u64 = 1 << 16;

/// A volume whose data key was opened for this request, by whoever protects it.
pub(in crate::compute) struct Content {
    volume: Volume,
    key: SealKey,
}

impl Content {
    /// Asks the protector of the volume's data key.
    pub fn open(cx: &mut Cx<'_>, volume: &Volume) -> Result<Self, Locked> {
        let key = encryption::get(cx.tx, &volume.owner())?;
        Ok(Self { volume: volume.clone(), key: encryption::unlock(cx, &key)? })
    }

    /// The volume.
    pub fn volume(&self) -> &Volume {
        &self.volume
    }

    /// Bytes of the content with its footer.
    pub fn total(&self) -> u64 {
        self.volume.length + vhd::FOOTER
    }

    /// Reads bytes.
    pub fn read(&self, cx: &Cx<'_>, start: u64, length: u64) -> Result<Vec<u8>, Refusal> {
        let mut bytes = vec![0; usize::try_from(length).map_err(Refusal::internal)?];
        for chunk in
            rows::chunks(cx.tx, &self.volume, number(start)?, number((start + length).div_ceil(CHUNK) * CHUNK)?)?
        {
            let plain = self.load(cx, chunk)?;
            let at = chunk.unsigned_abs() * CHUNK;
            let (from, to) = (start.max(at), (start + length).min(at + CHUNK));
            let (target, source) = (slice(&mut bytes, from - start, to - start), part(&plain, from - at, to - at));
            if let (Some(target), Some(source)) = (target, source) {
                target.copy_from_slice(source);
            }
        }
        Ok(bytes)
    }

    /// Writes bytes.
    pub fn write(&self, cx: &Cx<'_>, start: u64, bytes: &[u8]) -> Result<(), Refusal> {
        let end = start + bytes.len() as u64;
        for chunk in start / CHUNK..end.div_ceil(CHUNK) {
            let at = chunk * CHUNK;
            let (from, to) = (start.max(at), end.min(at + CHUNK));
            let whole = to - from == CHUNK;
            let index = i64::try_from(chunk).map_err(Refusal::internal)?;
            let mut plain = if whole { zeros() } else { self.load(cx, index)?.expose().to_vec() };
            plain.resize(CHUNK as usize, 0);
            let source = bytes.get(index_of(from - start)..index_of(to - start));
            if let (Some(target), Some(source)) = (slice(&mut plain, from - at, to - at), source) {
                target.copy_from_slice(source);
            }
            self.store(cx, index, plain.into())?;
        }
        rows::touch(cx, &self.volume)
    }

    /// Writes zeros.
    pub fn clear(&self, cx: &Cx<'_>, start: u64, length: u64) -> Result<(), Refusal> {
        let end = start + length;
        for chunk in rows::chunks(cx.tx, &self.volume, number(start)?, number(end.div_ceil(CHUNK) * CHUNK)?)? {
            let at = chunk.unsigned_abs() * CHUNK;
            let (from, to) = (start.max(at), end.min(at + CHUNK));
            let mut plain = self.load(cx, chunk)?.expose().to_vec();
            if let Some(target) = slice(&mut plain, from - at, to - at) {
                target.fill(0);
            }
            self.store(cx, chunk, plain.into())?;
        }
        rows::touch(cx, &self.volume)
    }

    /// Where bytes other than zeros may be, as pairs of first byte and length, inside a range.
    pub fn ranges(&self, cx: &Cx<'_>, start: u64, length: u64) -> Result<Vec<(u64, u64)>, Refusal> {
        let end = (start + length).min(self.total());
        let mut found: Vec<(u64, u64)> = Vec::new();
        for chunk in rows::chunks(cx.tx, &self.volume, number(start)?, number(end.div_ceil(CHUNK) * CHUNK)?)? {
            let at = chunk.unsigned_abs() * CHUNK;
            let (from, to) = (start.max(at), end.min(at + CHUNK));
            match found.last_mut() {
                Some((first, length)) if *first + *length == from => *length += to - from,
                _ => found.push((from, to - from)),
            }
        }
        Ok(found)
    }

    /// Copies everything into an empty volume, which may be larger, one chunk in memory at a time.
    pub fn copy_to(&self, cx: &Cx<'_>, target: &Self) -> Result<(), Refusal> {
        for chunk in rows::chunks(cx.tx, &self.volume, 0, i64::MAX)? {
            let plain = self.load(cx, chunk)?;
            target.store(cx, chunk, plain)?;
        }
        if target.volume.length != self.volume.length {
            target.clear(cx, self.volume.length, vhd::FOOTER)?;
            target.finish(cx)?;
        }
        Ok(())
    }

    /// Makes the content longer; the footer moves to the new end.
    pub fn grow(&mut self, cx: &Cx<'_>, length: u64) -> Result<(), Refusal> {
        self.clear(cx, self.volume.length, vhd::FOOTER)?;
        rows::resize(cx, &self.volume, length)?;
        self.volume.length = length;
        self.finish(cx)
    }

    /// Writes the footer that makes the content a virtual hard disk.
    pub fn finish(&self, cx: &Cx<'_>) -> Result<(), Refusal> {
        let uid = uuid::Uuid::try_parse(&self.volume.uid).map_err(Refusal::internal)?;
        self.write(cx, self.volume.length, &vhd::footer(self.volume.length, cx.now, uid))
    }

    fn place(&self, chunk: i64) -> Vec<u8> {
        format!("volume-chunk|{}|{chunk:016x}", self.volume.uid).into_bytes()
    }

    fn load(&self, cx: &Cx<'_>, chunk: i64) -> Result<SecretBytes, Refusal> {
        match rows::chunk(cx.tx, &self.volume, chunk)? {
            None => Ok(zeros().into()),
            Some(sealed) => self.key.open(&self.place(chunk), &sealed).map_err(|_| {
                Refusal::internal(format!(
                    "chunk {chunk} of volume {} does not open: it was changed or moved",
                    self.volume.uid
                ))
            }),
        }
    }

    fn store(&self, cx: &Cx<'_>, chunk: i64, plain: SecretBytes) -> Result<(), Refusal> {
        let empty = plain.expose().iter().all(|byte| *byte == 0);
        let sealed = (!empty).then(|| self.key.seal(&self.place(chunk), plain.expose()));
        rows::put_chunk(cx.tx, &self.volume, chunk, sealed.as_deref())
    }
}

fn zeros() -> Vec<u8> {
    vec![0; CHUNK as usize]
}

/// Number of the chunk that a byte lies in.
fn number(byte: u64) -> Result<i64, Refusal> {
    i64::try_from(byte / CHUNK).map_err(Refusal::internal)
}

fn index_of(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

fn slice(bytes: &mut [u8], from: u64, to: u64) -> Option<&mut [u8]> {
    bytes.get_mut(index_of(from)..index_of(to))
}

fn part(bytes: &SecretBytes, from: u64, to: u64) -> Option<&[u8]> {
    bytes.expose().get(index_of(from)..index_of(to))
}
