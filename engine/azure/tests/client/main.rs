//! The client against a scripted Azure: each test says which requests come, in which order, and what is answered.

#![allow(clippy::unwrap_used, reason = "the helpers are tests, too")]

mod arm;
mod blobs;
mod directory;
mod follow;
mod hsm;
mod keys;
mod retry;
mod script;
mod sign_in;
