//! What people and programs see of a run: events become lines, a live line, or NDJSON.

pub mod html;
pub mod lists;
pub mod log;
pub mod narrate;
pub mod plan;
pub mod problem;
mod reporter;
pub mod table;
pub mod text;
pub mod verdict;

pub use reporter::Reporter;
