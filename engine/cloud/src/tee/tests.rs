//! The hardware of confidential machines, as a guest finds it.

mod guest;
mod hardware;
