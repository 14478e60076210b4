//! What tests are held against and does not lie in the repository: data of others, and judges from outside.

#![allow(dead_code, reason = "every test binary uses another part of it")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The official contracts and the recorded evidence, which are other people's data: `SEALBOOK_SHARED`, else `shared`
/// beside the checkout.
pub fn shared(what: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("SEALBOOK_SHARED").map_or_else(beside, PathBuf::from).join(what);
    if folder.is_dir() {
        return Some(folder);
    }
    skipped(&format!("{} is missing; SEALBOOK_SHARED says where it is", folder.display()))
}

/// The Python that has these modules: `SEALBOOK_PYTHON`, else python3. Without them a test is skipped, with the reason
/// printed, but where `REQUIRE_INTEROP` or `CI` is set it fails.
pub fn python(modules: &str) -> Option<String> {
    let python = std::env::var("SEALBOOK_PYTHON").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&python).args(["-c", &format!("import {modules}")]).output();
    if has.is_ok_and(|o| o.status.success()) {
        return Some(python);
    }
    skipped(&format!("{python} lacks one of {modules}: pip install -r tests/interop/requirements.txt"))
}

/// Says why a test does nothing; where everything is demanded (`CI`, `REQUIRE_INTEROP`), it fails.
pub fn skipped<T>(why: &str) -> Option<T> {
    let demanded = ["REQUIRE_INTEROP", "CI"].iter().any(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty()));
    assert!(!demanded, "{why}");
    println!("skipped: {why}");
    None
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}
