//! Judges from outside, and what a test does without them.

use std::process::Command;

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

/// Says why a test is skipped, or fails where none may be.
pub fn skipped<T>(why: &str) -> Option<T> {
    let demanded = ["REQUIRE_INTEROP", "CI"].iter().any(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty()));
    assert!(!demanded, "{why}");
    println!("skipped: {why}");
    None
}
