//! The run loop against a scripted host and a small make-believe cloud that outlives it.

mod crash;
mod flow;
mod guest;
mod hands_on;
mod kit;
mod looking;
mod patience;
mod report;
mod undo;
