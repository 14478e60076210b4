//! Real evidence of other people's machines, judged: every file beside the checkout has an entry in `manifest.toml`
//! that says what it is and what must come of it. Evidence made here is attacked in `attacks.rs`.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod attacks;
mod chains;
mod documents;
mod flips;
mod formats;
mod judges;
mod made;
mod manifest;
mod oracle;
mod quotes;
#[path = "../support/shared.rs"]
mod shared;
mod signatures;
#[allow(dead_code, reason = "made for the tests of the library")]
#[path = "../../engine/attestation/src/testing.rs"]
mod testing;
