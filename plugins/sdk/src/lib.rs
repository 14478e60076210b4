//! Write a Sealbook plugin in one small file.
//!
//! A plugin is one type that implements [`Step`]: typed inputs and outputs, a `check` that only looks, an `apply`
//! that acts, an `undo` that takes back. Everything it may touch comes through [`Cx`]; it has no socket, file,
//! clock or entropy of its own. On wasm the calls go to the host; on the host they go to [`testing::Fake`], so
//! that `cargo test` exercises the plugin's logic without any cloud.
//!
//! ```
//! use sealbook_sdk::prelude::*;
//!
//! /// Which vault.
//! #[derive(Deserialize, JsonSchema)]
//! pub struct In {
//!     /// Resource id of the vault to close.
//!     vault: ArmId,
//! }
//!
//! /// Closes a vault's firewall to all but trusted Azure services.
//! pub struct VaultFirewall;
//!
//! impl Step for VaultFirewall {
//!     const ASKS: &'static [&'static str] = &["azure:read,write ${inputs.vault}"];
//!     type In = In;
//!     type Out = Value;
//!
//!     fn check(cx: &Cx, i: &In) -> Result<Check<Value>> {
//!         let acls = cx.azure().get(&i.vault)?["properties"]["networkAcls"].take();
//!         if acls["defaultAction"] == "Deny" && acls["bypass"] == "AzureServices" {
//!             return Ok(Check::Satisfied(acls));
//!         }
//!         Ok(Check::needed("only trusted Azure services reach the vault").before(acls))
//!     }
//!
//!     fn apply(cx: &Cx, i: &In) -> Result<Value> {
//!         let acls = json!({ "defaultAction": "Deny", "bypass": "AzureServices" });
//!         cx.azure().patch("close", &i.vault, json!({ "properties": { "networkAcls": acls } }))
//!     }
//!
//!     fn undo(cx: &Cx, i: &In, past: Past<Value>) -> Result<Undone> {
//!         let body = json!({ "properties": { "networkAcls": past.before } });
//!         cx.azure().patch("reopen", &i.vault, body)?;
//!         Ok(Undone::clean())
//!     }
//! }
//! sealbook_sdk::export!(VaultFirewall);
//! ```

#[doc(hidden)]
pub mod bindings;
mod cx;
#[doc(hidden)]
pub mod guest;
mod ids;
mod problem;
mod step;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod time;

pub use cx::{
    Artifact, Artifacts, Attestation, Azure, Blobs, Crypto, Cx, DataKey, Directory, Hsm, Key, KeyVault,
    LocalAssignment, Pair, Token, mark,
};
pub use ids::{ArmId, BlobUri, ContainerUri, InvalidId, KeyUri, StoreUri};
pub use problem::{Problem, Result};
pub use step::{Check, Cost, Evidence, Leftover, Limits, Operation, Ownership, Past, Preview, Step, Undone};
pub use time::rfc3339;

/// Everything a plugin file names.
pub mod prelude {
    pub use crate::{
        ArmId, Artifact, BlobUri, Check, ContainerUri, Cost, Cx, Evidence, KeyUri, Leftover, Limits, Ownership, Past,
        Problem, Result, Step, StoreUri, Undone, mark,
    };
    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};
    pub use serde_json::{Value, json};
}

/// What the contract's imports are on this target: the host's functions on wasm, the fake's elsewhere.
mod sys {
    #[cfg(target_family = "wasm")]
    pub use crate::bindings::sealbook::plugin::{
        artifacts, attestation, azure, blob, crypto, directory, hsm, keyvault, log, ownership, progress,
    };
    #[cfg(not(target_family = "wasm"))]
    pub use crate::testing::imports::{
        artifacts, attestation, azure, blob, crypto, directory, hsm, keyvault, log, ownership, progress,
    };
}

/// Exports a [`Step`] as a component. The package's description becomes the plugin's summary.
///
/// Only on wasm: elsewhere the linker refuses the names that a component exports, and tests need none of it.
#[macro_export]
macro_rules! export {
    ($step:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Component;
            impl $crate::bindings::exports::sealbook::plugin::step::Guest for Component {
                fn describe() -> $crate::bindings::exports::sealbook::plugin::step::Description {
                    $crate::guest::describe::<$step>(env!("CARGO_PKG_DESCRIPTION"))
                }
                fn check(inputs: String) -> $crate::Result<$crate::bindings::exports::sealbook::plugin::step::Checked> {
                    $crate::guest::check::<$step>(&inputs)
                }
                fn apply(inputs: String) -> $crate::Result<String> {
                    $crate::guest::apply::<$step>(&inputs)
                }
                fn verify(inputs: String, outputs: String) -> $crate::Result<Vec<$crate::Evidence>> {
                    $crate::guest::verify::<$step>(&inputs, &outputs)
                }
                fn undo(
                    inputs: String,
                    before: String,
                    outputs: Option<String>,
                    operations: Vec<$crate::bindings::exports::sealbook::plugin::step::Operation>,
                ) -> $crate::Result<Vec<$crate::Leftover>> {
                    $crate::guest::undo::<$step>(&inputs, &before, outputs.as_deref(), operations)
                }
            }
    $crate::bindings::export!(Component with_types_in $crate::bindings);
        };
    };
}
