//! From lines to a transcript whose shape is right. Nothing here is believed yet.

use std::io::{BufRead, Read as _};

use sealbook_model::journal::{Entry, FORMAT as JOURNAL};
use serde::Deserialize;

use super::{FORMAT, FRAME, Head, SealLine};
use crate::journal::Seal;

/// Longest line, in bytes: an engine refuses outputs long before a record comes near it.
pub(super) const LINE_MAX: u64 = 16 << 20;
/// Longest transcript, in bytes.
pub(super) const TOTAL_MAX: u64 = 256 << 20;

/// A transcript as it stands in a file.
pub(super) struct Claimed {
    pub(super) head: Head,
    pub(super) records: Vec<Line>,
    pub(super) seals: Vec<Seal>,
}

/// A record's line.
pub(super) struct Line {
    /// The hash that it claims.
    pub(super) hash: [u8; 32],
    /// The text that was hashed.
    pub(super) text: String,
    /// What the text says.
    pub(super) entry: Entry,
}

/// Reads a whole transcript.
///
/// # Errors
/// What is wrong with its shape, and in which line.
pub(super) fn read(from: impl BufRead) -> Result<Claimed, String> {
    let mut lines = Lines { from, number: 0, left: TOTAL_MAX };
    let head = head(&lines.next()?.ok_or("it is empty")?)?;
    let mut records = Vec::new();
    for n in 1..=head.records {
        let line = lines.next()?.ok_or_else(|| format!("it ends before record {n} of {}", head.records))?;
        records.push(record(&line).map_err(|why| lines.at(&why))?);
    }
    let mut seals = Vec::new();
    for n in 1..=head.signatures {
        let line = lines.next()?.ok_or_else(|| format!("it ends before signature {n} of {}", head.signatures))?;
        seals.push(seal(&line).map_err(|why| lines.at(&why))?);
    }
    match lines.next()? {
        None => Ok(Claimed { head, records, seals }),
        Some(_) => Err(lines.at("there is more than its first line announces")),
    }
}

struct Lines<R> {
    from: R,
    number: u64,
    left: u64,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> Result<Option<String>, String> {
        self.number += 1;
        let mut bytes = Vec::new();
        let most = LINE_MAX.min(self.left);
        let read = self.from.by_ref().take(most + 1).read_until(b'\n', &mut bytes);
        let read = read.map_err(|e| self.at(&format!("it can't be read: {e}")))? as u64;
        if read > most {
            let limit = if most == LINE_MAX { "a line has" } else { "a transcript has" };
            let size = if most == LINE_MAX { LINE_MAX } else { TOTAL_MAX };
            return Err(self.at(&format!("{limit} at most {size} bytes")));
        }
        self.left -= read;
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        match String::from_utf8(bytes) {
            Ok(_) if read == 0 => Ok(None),
            Ok(line) => Ok(Some(line)),
            Err(_) => Err(self.at("it is not UTF-8")),
        }
    }

    fn at(&self, why: &str) -> String {
        format!("line {}: {why}", self.number)
    }
}

fn head(line: &str) -> Result<Head, String> {
    #[derive(Deserialize)]
    struct Version {
        #[serde(rename = "sealbook-transcript")]
        format: u64,
    }
    let Ok(Version { format }) = serde_json::from_str(line) else {
        return Err("it is not a transcript: its first line does not say `sealbook-transcript`".into());
    };
    if format != u64::from(FORMAT) {
        return Err(format!("its format is {format}; this Sealbook reads {FORMAT}"));
    }
    let head: Head = serde_json::from_str(line).map_err(|e| format!("line 1: {e}"))?;
    if head.journal != JOURNAL {
        return Err(format!("its records are of format {}; this Sealbook reads {JOURNAL}", head.journal));
    }
    Ok(head)
}

fn record(line: &str) -> Result<Line, String> {
    let [before, between, after] = FRAME;
    let frame = || "it is not a record as transcripts hold them, to the byte".to_owned();
    let rest = line.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).ok_or_else(frame)?;
    let (hash, text) = rest.split_once(between).ok_or_else(frame)?;
    let hash = array(&hex::decode(hash).map_err(|_| frame())?).ok_or_else(frame)?;
    let entry = serde_json::from_str(text).map_err(|e| format!("a record that this Sealbook does not know: {e}"))?;
    Ok(Line { hash, text: text.to_owned(), entry })
}

fn seal(line: &str) -> Result<Seal, String> {
    let SealLine { seq, hash, public, signature } =
        serde_json::from_str(line).map_err(|e| format!("it is not a signature: {e}"))?;
    let hash = array(&hash).ok_or("a hash has 32 bytes")?;
    Ok(Seal { seq, hash, signature, public })
}

fn array(bytes: &[u8]) -> Option<[u8; 32]> {
    bytes.try_into().ok()
}
