//! Expressions: `${…}` in texts and values, conditions in `when` and `expect`, and the scope they see.
//!
//! The language is CEL. Sources are short, nesting is shallow, and the work an expression would do is estimated
//! before it runs, so that a playbook can't make the engine spin.
//!
//! ```
//! use std::collections::BTreeMap;
//! use sealbook_model::CloudName;
//! use sealbook_model::expr::{Context, Me, Scope, Template};
//! use serde_json::json;
//!
//! let context = Context {
//!     run: "abc234".parse().unwrap(),
//!     cloud: CloudName::Embedded,
//!     tenant: "t".into(),
//!     subscription: "s".into(),
//!     subscription_name: "Learning".into(),
//!     me: Me { id: "u".into(), name: "learner".into(), kind: "User".into() },
//! };
//! let scope = Scope::new(&context, &BTreeMap::from([("region".into(), json!("italynorth"))]));
//! let name = Template::parse("lab-${run.short}-${inputs.region}").unwrap();
//! assert_eq!(name.text(&scope).unwrap(), "lab-abc234-italynorth");
//! ```

mod cost;
mod functions;
mod references;
mod scope;
mod source;
mod template;
#[cfg(test)]
mod tests;
mod truth;
mod value;
mod with;

pub use references::Reference;
pub use scope::{Context, Me, Scope};
pub use source::{Expr, ExprError};
pub(crate) use template::Part;
pub use template::Template;
pub use with::With;

pub(crate) use scope::BUILT_IN;
pub(crate) use source::RESERVED;
