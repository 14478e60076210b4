//! Tests of the whole through HTTP requests.

mod access;
mod activity;
mod applications;
mod custom_roles;
mod device;
mod dispatch;
mod faults;
pub(crate) mod fixture;
mod gadgets;
mod groups;
mod kinds;
mod polling;
mod refusals;
mod resources;
mod robustness;
mod sign_in;
mod tenants;
