//! What is uploaded: in memory, or read piece by piece while it goes out.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use azure_core::http::{Body, NoFormat, RequestContent};
use azure_core::stream::SeekableStream;
use bytes::{Buf as _, Bytes};
use futures::AsyncRead;
use futures::future::BoxFuture;

/// Most bytes that are asked of a source at once: 1 MiB.
const PIECE: u64 = 1 << 20;

/// Something long that can be read anywhere.
#[async_trait]
pub trait Source: Send + Sync {
    /// Reads `length` bytes from `offset`, all of which lie within it.
    ///
    /// # Errors
    /// It can't be read.
    async fn read(&self, offset: u64, length: usize) -> io::Result<Bytes>;
}

/// What a blob is to hold.
#[derive(Clone)]
pub struct Content {
    pub(super) length: u64,
    /// SHA-256 in hex.
    pub(super) sha256: String,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Whole(Bytes),
    Source(Arc<dyn Source>),
}

impl Content {
    /// `length` bytes of a source, whose SHA-256 in lower-case hex is known.
    #[must_use]
    pub fn of(source: Arc<dyn Source>, length: u64, sha256: &str) -> Self {
        Self { length, sha256: sha256.to_owned(), kind: Kind::Source(source) }
    }

    pub(super) fn body(&self) -> RequestContent<Bytes, NoFormat> {
        match &self.kind {
            Kind::Whole(bytes) => RequestContent::from(bytes.to_vec()),
            Kind::Source(source) => {
                let stream = Stream::new(Arc::clone(source), self.length);
                let stream: Box<dyn SeekableStream> = Box::new(stream);
                Body::from(stream).into()
            }
        }
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        let sha256 = super::hex(&sealbook_crypto::sha256(&bytes));
        Self { length: bytes.len() as u64, sha256, kind: Kind::Whole(bytes) }
    }
}

/// A source as the official client reads it.
struct Stream {
    source: Arc<dyn Source>,
    length: u64,
    /// How far it was asked for.
    asked: u64,
    /// What was read and not yet handed on.
    piece: Bytes,
    /// What is being read. Only the stream's owner polls it; the lock makes it shareable, as the client demands.
    reading: Mutex<Option<BoxFuture<'static, io::Result<Bytes>>>>,
}

impl Stream {
    fn new(source: Arc<dyn Source>, length: u64) -> Self {
        Self { source, length, asked: 0, piece: Bytes::new(), reading: Mutex::default() }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.piece.is_empty() && this.asked < this.length {
            let (source, offset) = (Arc::clone(&this.source), this.asked);
            let length = PIECE.min(this.length - offset) as usize;
            let reading = this.reading.get_mut().unwrap_or_else(PoisonError::into_inner);
            let future = reading.get_or_insert_with(|| Box::pin(async move { source.read(offset, length).await }));
            let read = ready!(future.as_mut().poll(cx));
            *reading = None;
            let read = read?;
            if read.len() != length {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            this.asked += length as u64;
            this.piece = read;
        }
        let now = this.piece.len().min(buffer.len());
        this.piece.copy_to_slice(&mut buffer[..now]);
        Poll::Ready(Ok(now))
    }
}

#[async_trait]
impl SeekableStream for Stream {
    async fn reset(&mut self) -> azure_core::Result<()> {
        *self = self.clone();
        Ok(())
    }

    fn len(&self) -> Option<u64> {
        Some(self.length)
    }
}

/// From the beginning.
impl Clone for Stream {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.source), self.length)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("length", &self.length).finish_non_exhaustive()
    }
}
