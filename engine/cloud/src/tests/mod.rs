//! Tests of the whole through HTTP requests.

mod access;
mod dispatch;
mod faults;
pub(crate) mod fixture;
mod groups;
mod robustness;
mod sign_in;
