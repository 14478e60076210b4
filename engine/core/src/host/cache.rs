//! The ahead-of-time cache: compiled components on disk, authenticated before they are trusted.
//!
//! An entry is native code that will run with the engine's own rights, so it counts only with an HMAC under a key
//! that is derived from the home's: `tag (32) ‖ code`, in `<component digest>-<compatibility>.cwasm`. The tag covers
//! the name too, so that entries can't be swapped. Whatever does not fit is compiled anew and overwritten.

use std::hash::{Hash, Hasher};
use std::path::PathBuf;

use sealbook_crypto::{SecretBytes, Sha256, hmac_sha256, verify_hmac_sha256};
use sealbook_model::id::Digest;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::files;

const TAG: usize = 32;

/// The folder of compiled components. Losing it costs time only.
pub(crate) struct Cache {
    folder: PathBuf,
    key: SecretBytes,
    compatibility: String,
}

impl Cache {
    pub(crate) fn new(folder: PathBuf, key: &[u8; 32], engine: &Engine) -> Self {
        let mut hasher = Compatibility(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let compatibility = hex::encode(&hasher.0.finish()[..8]);
        Self { folder, key: SecretBytes::new(key.to_vec()), compatibility }
    }

    /// Loads a component. None: there is no entry that can be trusted and used.
    pub(crate) fn load(&self, engine: &Engine, digest: &Digest) -> Option<Component> {
        let path = self.path(digest);
        let entry = std::fs::read(&path).ok()?;
        let (tag, code) = entry.split_at_checked(TAG)?;
        if verify_hmac_sha256(self.key.expose(), &self.message(digest, code), tag).is_err() {
            tracing::warn!(entry = %path.display(), "cached code is not authentic; compiling again");
            return None;
        }
        #[expect(unsafe_code, reason = "native code whose HMAC under the home's key was verified above")]
        // SAFETY: `deserialize` demands bytes that `Component::serialize` made. The tag proves that this home made
        // them, for this very component and this very configuration of the compiler, and that no bit has changed.
        let component = unsafe { Component::deserialize(engine, code) };
        component.inspect_err(|error| tracing::debug!(%error, "cached code does not load; compiling again")).ok()
    }

    /// Stores a compiled component. A failure costs the next start its speed, nothing else.
    pub(crate) fn store(&self, digest: &Digest, component: &Component) {
        let stored = component.serialize().map_err(std::io::Error::other).and_then(|code| {
            files::private_folder(&self.folder)?;
            let tag = hmac_sha256(self.key.expose(), &self.message(digest, &code));
            files::write_atomic(&self.path(digest), &[tag.as_slice(), &code].concat())
        });
        if let Err(error) = stored {
            tracing::debug!(%error, "compiled component was not cached");
        }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{}-{}.cwasm", digest.hex(), self.compatibility))
    }

    fn message(&self, digest: &Digest, code: &[u8]) -> Vec<u8> {
        let name = format!("sealbook-aot-1 {digest} {} ", self.compatibility);
        [name.as_bytes(), code].concat()
    }
}

/// Turns wasmtime's hash of compiler, target and settings into bytes that are stable from build to build.
struct Compatibility(Sha256);

impl Hasher for Compatibility {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finish();
        u64::from_le_bytes([digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7]])
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::host::engine::engine;

    #[test]
    fn only_what_this_home_compiled_for_this_component_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let (engine, folder) = (engine().unwrap(), dir.path().join("cache"));
        let bytes = wat::parse_str("(component (core module (func (export \"f\"))))").unwrap();
        let (digest, other) = (Digest::of(&bytes), Digest::of(b"another"));
        let cache = Cache::new(folder.clone(), &[7; 32], &engine);
        assert!(cache.load(&engine, &digest).is_none());
        cache.store(&digest, &Component::from_binary(&engine, &bytes).unwrap());
        assert!(cache.load(&engine, &digest).is_some());
        assert!(Cache::new(folder.clone(), &[8; 32], &engine).load(&engine, &digest).is_none(), "another home's key");

        let path = cache.path(&digest);
        let good = std::fs::read(&path).unwrap();
        std::fs::write(cache.path(&other), &good).unwrap();
        assert!(cache.load(&engine, &other).is_none(), "an entry under another name");
        for (what, at) in [("tag", 0), ("code", TAG), ("end", good.len() - 1)] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, bad).unwrap();
            assert!(cache.load(&engine, &digest).is_none(), "{what}");
        }
        for length in [0, 5, TAG, good.len() - 1] {
            std::fs::write(&path, &good[..length]).unwrap();
            assert!(cache.load(&engine, &digest).is_none(), "{length}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_may_read_or_enter() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let (engine, folder) = (engine().unwrap(), dir.path().join("cache"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
        let bytes = wat::parse_str("(component)").unwrap();
        let cache = Cache::new(folder.clone(), &[7; 32], &engine);
        cache.store(&Digest::of(&bytes), &Component::from_binary(&engine, &bytes).unwrap());
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        let entries: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(entries.len(), 1);
        assert_eq!(mode(&entries[0]), 0o600);
    }
}
