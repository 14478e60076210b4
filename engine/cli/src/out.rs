//! The two streams: stdout is data, stderr is everything else. A closed pipe is not an error.

use std::io::{self, Write};

use serde::Serialize;

/// Writes a text to stdout.
pub fn data(text: &str) {
    let mut out = io::stdout().lock();
    // A reader that went away wants no more of it.
    let _ =
        out.write_all(text.as_bytes()).and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") });
    let _ = out.flush();
}

/// Writes one JSON document as one line to stdout.
pub fn json_line(value: &impl Serialize) {
    if let Ok(text) = serde_json::to_string(value) {
        data(&text);
    }
}

/// Writes one JSON document, readably, to stdout.
pub fn json(value: &impl Serialize) {
    if let Ok(text) = serde_json::to_string_pretty(value) {
        data(&text);
    }
}

/// Writes a line to stderr.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
