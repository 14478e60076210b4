//! Why a sealed file was not made or not opened.

use std::io;

/// Each reason by its name. None tells more about a key than that it does not fit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealedError {
    /// The bytes do not begin as a sealed file does.
    #[error("this is no sealed file: it does not begin like one")]
    NotSealed,
    /// A version of the format that this program does not know.
    #[error("the sealed file has version {0} of the format, and this program reads version 1")]
    Version(u16),
    /// The header is not what the format demands.
    #[error("the header of the sealed file can't be read: {0}")]
    Header(String),
    /// The header to be written holds something that the format does not take.
    #[error("the header can't be written: {0}")]
    HeaderValue(&'static str),
    /// A content key that is not 32 bytes long.
    #[error("a content key has 32 bytes, and this one has {0}")]
    KeyLength(usize),
    /// A key encryption key that does not fit the wrap that the header names, or can't do it.
    #[error("the key encryption key can't be used: {0}")]
    Kek(&'static str),
    /// The wrapped key does not unwrap. No more is told, on purpose.
    #[error("the wrapped key does not unwrap with this key encryption key")]
    Unwrap,
    /// The key commitment is another one.
    #[error("the key does not belong to this file, or its header was changed")]
    Commitment,
    /// A chunk does not verify.
    #[error("chunk {0} of the sealed file is not the one that was sealed: it was changed, moved, or cut off")]
    Chunk(u64),
    /// The end is missing.
    #[error("the end of the sealed file is missing")]
    Truncated,
    /// There is more behind the end.
    #[error("something was added behind the end of the sealed file")]
    Appended,
    /// One message under one nonce does not verify: the labs' layout.
    #[error("the file does not verify with this key: the key is another one, or the file was changed or cut off")]
    Message,
    /// The input had another length than the header states.
    #[error("the header states {stated} bytes and the input had {found}")]
    Length {
        /// What the header states.
        stated: u64,
        /// What was read.
        found: u64,
    },
    /// More than the cipher takes.
    #[error("this is more than the layout takes: 4 PiB, in the labs' layout 64 GiB")]
    TooLong,
    /// More than may be held in memory.
    #[error("the labs' layout needs the whole file in memory, and it is larger than {limit} bytes")]
    Memory {
        /// The limit in bytes.
        limit: u64,
    },
    /// The input failed.
    #[error("reading failed: {0}")]
    Read(#[source] io::Error),
    /// The output failed.
    #[error("writing failed: {0}")]
    Write(#[source] io::Error),
    /// The system gave no thread.
    #[error("no thread could be started: {0}")]
    Threads(#[source] io::Error),
    /// The cryptographic library refused what it should have taken.
    #[error("the cryptographic library failed")]
    Library,
}
