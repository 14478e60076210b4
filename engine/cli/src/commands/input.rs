//! Small files that are read as a whole.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sealbook_model::problem::{Problem, codes};

/// Reads a file of at most `longest` bytes; `-` is standard input. `what` is what such a file holds, for whoever names one
/// that is longer.
pub fn read(path: &Path, longest: u64, what: &str) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    let done = match path.as_os_str() == "-" {
        true => io::stdin().lock().take(longest + 1).read_to_end(&mut bytes),
        false => File::open(path).and_then(|file| file.take(longest + 1).read_to_end(&mut bytes)),
    };
    done.map_err(|why| {
        Problem::new(codes::USAGE, format!("`{}` can't be read", path.display()))
            .because(why.to_string())
            .fix("name a file, or - for standard input")
    })?;
    if bytes.len() as u64 > longest {
        return Err(Problem::new(codes::USAGE, format!("`{}` is longer than {} MiB", path.display(), longest >> 20))
            .because(format!("{what} is not that long")));
    }
    Ok(bytes)
}
