//! The hardware of confidential machines, as a guest finds it.

pub(crate) mod guest;
mod hardware;
