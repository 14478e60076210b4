//! Principals of the tenant, and the tokens that every service validates.

pub(crate) mod keys;
pub(crate) mod mint;
pub(crate) mod principals;
pub(crate) mod tenants;
pub(crate) mod token;
