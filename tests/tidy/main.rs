//! Checks the invariants of docs/architecture.md against the tree itself: who may name which crate, how large a file
//! may grow, that every problem code has a page, and that every dependency has a licence we accept.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod codes;
mod dependencies;
mod files;
mod parity;
mod parity_page;
mod readme;
mod tree;
