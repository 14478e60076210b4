//! The log of a machine's processes: readable by its owner alone, and limited in size.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// The largest log, in bytes. What comes after is dropped, until the next process starts it anew.
const LIMIT: u64 = 1 << 20;

/// How much of its end is shown when a process did not start, in bytes.
const TAIL: u64 = 2_000;

/// A log that is written to.
#[derive(Debug)]
pub struct Log {
    file: File,
    size: u64,
}

impl Log {
    /// Opens the log, or starts it anew when more than half of it is full.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        let mut size = file.seek(SeekFrom::End(0))?;
        if size > LIMIT / 2 {
            file.set_len(0)?;
            size = file.seek(SeekFrom::Start(0))?;
        }
        Ok(Self { file, size })
    }

    /// Appends a line, unless the log is full. A log that can't be written is no reason to stop a machine.
    pub fn line(&mut self, line: &str) {
        let size = u64::try_from(line.len()).unwrap_or(u64::MAX).saturating_add(1);
        let after = self.size.saturating_add(size);
        if after <= LIMIT && writeln!(self.file, "{line}").is_ok() {
            self.size = after;
        }
    }

    /// The last lines.
    pub fn tail(&mut self) -> String {
        let mut bytes = Vec::new();
        let from = self.file.seek(SeekFrom::Start(self.size.saturating_sub(TAIL)));
        let read = from.and_then(|_| (&mut self.file).take(TAIL).read_to_end(&mut bytes));
        let _ = self.file.seek(SeekFrom::End(0));
        if read.is_err() {
            return String::new();
        }
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().rev().take(10).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_ends_at_its_limit_and_starts_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Log::open(&path).unwrap();
        (0..12).for_each(|n| log.line(&format!("line {n}")));
        assert_eq!(log.tail().lines().collect::<Vec<_>>(), (2..12).map(|n| format!("line {n}")).collect::<Vec<_>>());
        let long = "x".repeat(1 << 16);
        (0..32).for_each(|_| log.line(&long));
        log.line("last");
        let size = std::fs::metadata(&path).unwrap().len();
        assert!(size <= LIMIT && size > LIMIT / 2, "{size}");
        assert!(log.tail().ends_with("\nlast"));
        drop(log);
        let mut log = Log::open(&path).unwrap();
        log.line("anew");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "anew\n");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
