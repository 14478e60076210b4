//! Keys from files, never from the command line.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sealbook_crypto::SecretBytes;
use sealbook_crypto::sealed::{Kek, KekFile};
use sealbook_model::problem::{Problem, codes};

use super::is_dash;
use crate::render::text::safe;

/// The longest file that a key is looked for in.
const LONGEST: u64 = 64 * 1024;

/// A content key: 32 raw bytes, or a JSON Web Key of type `oct`.
pub fn content_key(path: &Path) -> Result<SecretBytes, Problem> {
    let (bytes, open_to_others) = read(path)?;
    let file = match KekFile::parse(&bytes) {
        Ok(file) => file,
        Err(e) if bytes.len() == 33 && bytes.expose().ends_with(b"\n") => {
            return Err(unusable(path, &e.to_string())
                .because("a line end stands behind 32 bytes")
                .fix("store the key's 32 bytes and no line end; a key may begin or end with white space of its own"));
        }
        Err(e) => return Err(unusable(path, &e.to_string())),
    };
    match file.kek {
        Kek::Aes(aes) if aes.bits() == 256 => {
            private(path, open_to_others)?;
            Ok(SecretBytes::new(aes.expose().to_vec()))
        }
        _ => Err(unusable(path, "a content key has 32 bytes").fix("an RSA key is given with --kek")),
    }
}

/// A key encryption key. If it is secret, its file must be closed to others.
pub fn kek(path: &Path) -> Result<KekFile, Problem> {
    let (bytes, open_to_others) = read(path)?;
    let file = KekFile::parse(&bytes).map_err(|e| unusable(path, &e.to_string()))?;
    if !matches!(file.kek, Kek::RsaPublic(_)) {
        private(path, open_to_others)?;
    }
    Ok(file)
}

/// A wrapped key, raw.
pub fn wrapped(path: &Path) -> Result<Vec<u8>, Problem> {
    read(path).map(|(bytes, _)| bytes.expose().to_vec())
}

/// The content, and the file's mode if others may read it.
fn read(path: &Path) -> Result<(SecretBytes, Option<u32>), Problem> {
    let failed = |e: std::io::Error| unusable(path, &e.to_string());
    // Enough at once, so that no copy of a secret stays behind where the vector grew.
    let mut bytes = Vec::with_capacity(usize::try_from(LONGEST).unwrap_or_default() + 1);
    let open_to_others = if is_dash(path) {
        std::io::stdin().lock().take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
        None
    } else {
        let file = File::open(path).map_err(failed)?;
        let mode = others(&file).map_err(failed)?;
        file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
        mode
    };
    let bytes = SecretBytes::new(bytes);
    if bytes.len() as u64 > LONGEST {
        return Err(unusable(path, "it is longer than 64 KiB, which no key is"));
    }
    Ok((bytes, open_to_others))
}

#[cfg(unix)]
fn others(file: &File) -> std::io::Result<Option<u32>> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata()?.permissions().mode();
    Ok((mode & 0o077 != 0).then_some(mode & 0o7777))
}

#[cfg(not(unix))]
fn others(_: &File) -> std::io::Result<Option<u32>> {
    Ok(None)
}

fn private(path: &Path, open_to_others: Option<u32>) -> Result<(), Problem> {
    match open_to_others {
        None => Ok(()),
        Some(mode) => Err(unusable(path, "it holds a secret and is open to other users")
            .because(format!("its mode is {mode:04o}"))
            .fix(format!("chmod 600 {}", safe(&path.display().to_string())))),
    }
}

fn unusable(path: &Path, why: &str) -> Problem {
    Problem::new(codes::KEY_FILE, format!("`{}` can't be used", safe(&path.display().to_string()))).because(why)
}
