//! `sealbook guest probe`, in debug builds: tries from inside what a machine's process must not be able to do.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::serve::Start;
use crate::args::GuestProbe;
use crate::out;

/// Prints one line of JSON: for each path and port, `ok` or the kind of error.
pub fn probe(asked: &GuestProbe) -> io::Result<()> {
    let start = Start::make()?;
    let read = |path: &Path| if path.is_dir() { fs::read_dir(path).map(drop) } else { File::open(path).map(drop) };
    let write = |path: &Path| fs::write(path.join("probe"), b"probe");
    out::json_line(&json!({
        "isolation": start.isolation,
        "read": outcomes(asked.read.iter().map(|path| (path.display().to_string(), read(path)))),
        "write": outcomes(asked.write.iter().map(|path| (path.display().to_string(), write(path)))),
        "connect": outcomes(asked.connect.iter().map(|port| {
            (port.to_string(), TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).map(drop))
        })),
    }));
    Ok(())
}

fn outcomes(tried: impl Iterator<Item = (String, io::Result<()>)>) -> Value {
    let words = tried.map(|(what, result)| {
        let word = result.map_or_else(|error| format!("{:?}", error.kind()), |()| "ok".to_owned());
        (what, word.into())
    });
    Value::Object(words.collect::<Map<_, _>>())
}
