//! `home.key`: the secret that other keys derive from, and the key that signs heads of journals.
//!
//! Format, version 1: three lines of text, `sealbook home key 1`, the secret (32 bytes, base64) and the Ed25519 key
//! (PKCS#8, base64).

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealbook_crypto::{SecretBytes, SecretString, SigningKey, random};
use sealbook_model::problem::{Problem, codes};

use super::{files, unusable};

const TITLE: &str = "sealbook home key ";
const VERSION: &str = "1";

pub(super) struct HomeKey {
    secret: SecretBytes,
    signing: SigningKey,
}

impl HomeKey {
    /// Reads the key, or makes one when there is none.
    pub(super) fn load_or_create(root: &Path) -> Result<Self, Problem> {
        let path = root.join("home.key");
        if let Some(key) = Self::load(&path)? {
            return Ok(key);
        }
        // Under a lock, so that of two processes that start at once both get the key of the first.
        let guard = root.join("home.lock");
        let lock = files::private()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&guard)
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|e| unusable(&guard, &e))?;
        let key = match Self::load(&path)? {
            Some(key) => key,
            None => Self::create(&path)?,
        };
        drop(lock);
        Ok(key)
    }

    fn load(path: &Path) -> Result<Option<Self>, Problem> {
        let mut file = match fs::File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(unusable(path, &e)),
        };
        refuse_readable_by_others(path, &file)?;
        let mut text = Vec::with_capacity(1024);
        file.read_to_end(&mut text).map_err(|e| unusable(path, &e))?;
        let text = SecretBytes::new(text);
        Self::parse(path, text.expose()).map(Some)
    }

    fn parse(path: &Path, text: &[u8]) -> Result<Self, Problem> {
        let damaged = |why: &str| {
            Problem::new(codes::HOME_KEY, format!("{} can't be used", path.display()))
                .because(why)
                .fix("restore it from a copy; without it the runs of this home can't be read, and a new home is needed")
        };
        let text = std::str::from_utf8(text).map_err(|_| damaged("it is not text"))?;
        let mut lines = text.lines();
        match lines.next().and_then(|line| line.strip_prefix(TITLE)) {
            Some(VERSION) => {}
            Some(other) => return Err(damaged(&format!("its format is {other}; this Sealbook reads {VERSION}"))),
            None => return Err(damaged("it is not a home key")),
        }
        let mut field = || {
            let line = lines.next().ok_or_else(|| damaged("it is cut short"))?;
            STANDARD.decode(line).map(SecretBytes::new).map_err(|_| damaged("it is not base64"))
        };
        let (secret, signing) = (field()?, field()?);
        if secret.len() != 32 {
            return Err(damaged("its secret has the wrong length"));
        }
        let signing = SigningKey::from_pkcs8(signing.expose()).map_err(|e| damaged(&e.to_string()))?;
        Ok(Self { secret, signing })
    }

    fn create(path: &Path) -> Result<Self, Problem> {
        let key = Self { secret: SecretBytes::new(random::<32>().to_vec()), signing: SigningKey::generate() };
        let line = |bytes: &SecretBytes| SecretString::new(STANDARD.encode(bytes.expose()));
        let (secret, signing) = (line(&key.secret), line(&key.signing.to_pkcs8()));
        let text = SecretString::new(format!("{TITLE}{VERSION}\n{}\n{}\n", secret.expose(), signing.expose()));
        files::write_atomic(path, text.expose().as_bytes()).map_err(|e| unusable(path, &e))?;
        Ok(key)
    }

    pub(super) fn secret(&self) -> &[u8] {
        self.secret.expose()
    }

    pub(super) fn public(&self) -> [u8; 32] {
        self.signing.public()
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message)
    }
}

#[cfg(unix)]
fn refuse_readable_by_others(path: &Path, file: &fs::File) -> Result<(), Problem> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata().map_err(|e| unusable(path, &e))?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(Problem::new(codes::HOME_KEY, format!("{} is open to other users", path.display()))
        .because(format!("its mode is {:04o}", mode & 0o7777))
        .fix(format!("chmod 600 {}", path.display())))
}

#[cfg(not(unix))]
fn refuse_readable_by_others(_: &Path, _: &fs::File) -> Result<(), Problem> {
    Ok(())
}
