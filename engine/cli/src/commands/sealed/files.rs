//! What is read and what is written: a file appears as a whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sealbook_crypto::sealed::SealedError;
use sealbook_model::problem::{Problem, codes};

use super::{draft_path, is_dash};
use crate::render::text::safe;

/// From here on progress is shown: shorter files are done before anyone looks.
const LARGE: u64 = 256 << 20;

/// The input, which shows how far it was read, and ends when it is stopped.
pub struct Input {
    reader: Box<dyn Read + Send>,
    length: Option<u64>,
    bar: ProgressBar,
    stop: Arc<AtomicBool>,
}

impl Input {
    /// Opens a file, or standard input.
    pub fn open(path: &Path, rich: bool, stop: Arc<AtomicBool>) -> Result<Self, Problem> {
        let (reader, length): (Box<dyn Read + Send>, _) = if is_dash(path) {
            (Box::new(io::stdin()), None)
        } else {
            let file = File::open(path).map_err(|e| unreadable(path, &e.to_string()))?;
            let about = file.metadata().map_err(|e| unreadable(path, &e.to_string()))?;
            if about.is_dir() {
                return Err(unreadable(path, "it is a folder").fix("pack it first, for example with tar"));
            }
            // A pipe or a device has no length.
            (Box::new(file), about.is_file().then_some(about.len()))
        };
        let bar = match length {
            Some(length) if rich && length >= LARGE => {
                ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr_with_hz(10))
            }
            _ => ProgressBar::hidden(),
        };
        if let Ok(style) = ProgressStyle::with_template("  {bytes} of {total_bytes} {wide_bar} {binary_bytes_per_sec}")
        {
            bar.set_style(style);
        }
        Ok(Self { reader, length, bar, stop })
    }

    /// Its length, where it is known ahead.
    pub fn length(&self) -> Option<u64> {
        self.length
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("it was stopped"));
        }
        let read = self.reader.read(buffer)?;
        self.bar.inc(read as u64);
        Ok(read)
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Where the result goes.
pub enum Target {
    /// A file.
    File(Draft),
    /// Standard output.
    Stdout,
}

impl Target {
    /// Begins a file; nothing is at its place until it is whole. A private one is only for its owner.
    pub fn new(path: &Path, force: bool, private: bool) -> Result<Self, Problem> {
        if is_dash(path) { Ok(Self::Stdout) } else { Draft::new(path, force, private).map(Self::File) }
    }

    /// Has it written. Returns what `work` returned, and how many bytes were written.
    pub fn fill<T>(self, work: impl FnOnce(&mut dyn Write) -> Result<T, SealedError>) -> Result<(T, u64), SealedError> {
        match self {
            Self::Stdout => {
                let mut counting =
                    Counting { writer: BufWriter::with_capacity(1 << 16, io::stdout().lock()), count: 0 };
                let result = work(&mut counting)?;
                counting.flush().map_err(SealedError::Write)?;
                Ok((result, counting.count))
            }
            Self::File(mut draft) => {
                let mut counting = Counting { writer: &draft.file, count: 0 };
                let result = work(&mut counting)?;
                let count = counting.count;
                draft.keep().map_err(SealedError::Write)?;
                Ok((result, count))
            }
        }
    }
}

/// A file in the making, beside its place; removed unless it is kept.
pub struct Draft {
    file: File,
    path: PathBuf,
    place: PathBuf,
    force: bool,
    kept: bool,
}

impl Draft {
    /// Begins a file.
    pub fn new(place: &Path, force: bool, private: bool) -> Result<Self, Problem> {
        let failed = |why: &str| {
            let shown = safe(&place.display().to_string());
            Problem::new(codes::FILE_UNUSABLE, format!("`{shown}` can't be written")).because(why)
        };
        if place.is_dir() {
            return Err(failed("it is a folder"));
        }
        if !force && place.symlink_metadata().is_ok() {
            return Err(failed("it exists").fix("--force replaces it"));
        }
        let path = draft_path(place);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        if private {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        #[cfg(not(unix))]
        let _ = private;
        let file = options.open(&path).map_err(|e| failed(&e.to_string()))?;
        Ok(Self { file, path, place: place.to_owned(), force, kept: false })
    }

    /// Writes it as a whole.
    pub fn fill_with(mut self, bytes: &[u8]) -> Result<(), SealedError> {
        let written = self.file.write_all(bytes).and_then(|()| self.keep());
        let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", self.place.display()));
        written.map_err(|e| SealedError::Write(named(e)))
    }

    fn keep(&mut self) -> io::Result<()> {
        self.file.sync_all()?;
        // Somebody may have been faster.
        if !self.force && self.place.symlink_metadata().is_ok() {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        fs::rename(&self.path, &self.place)?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            // What is left of a failure is only litter: the error that matters is known.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A writer that knows how much went through.
struct Counting<W> {
    writer: W,
    count: u64,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes)?;
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

fn unreadable(path: &Path, why: &str) -> Problem {
    Problem::new(codes::FILE_UNUSABLE, format!("`{}` can't be read", safe(&path.display().to_string()))).because(why)
}
