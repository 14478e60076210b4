//! Secure key release: who gets a key, who does not, and that nobody else ever sees it.

mod attacks;
mod keys;
mod kit;
mod policies;
mod sdk;
mod silence;
mod works;
