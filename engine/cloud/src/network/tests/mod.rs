//! Microsoft.Network, seen from outside.

mod interfaces;
mod kit;
mod networks;
mod rules;
