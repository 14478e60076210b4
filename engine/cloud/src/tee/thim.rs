//! The certificates of a machine's host, as the trusted hardware identity management of Azure serves them to guests.
//!
//! Source: <https://learn.microsoft.com/azure/security/fundamentals/trusted-hardware-identity-management>.

use serde_json::{Value, json};

use super::hierarchy;
use super::machine::Machine;
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::store::resources::Resource;

/// The certificate of the host's chip, the chain above it, and the patch levels that it is for: `tcbm` is `TCB_VERSION`
/// in hexadecimal, the highest byte first.
pub(crate) fn certification(cx: &Cx<'_>, machine: &Resource) -> Result<Value, Refusal> {
    let hardware = Machine::load(cx, machine)?;
    let vcek = hardware.vcek(cx)?.certificate;
    let (ask, ark) = (hierarchy::ask(cx)?.certificate, hierarchy::ark(cx)?.certificate);
    let tcbm: Vec<u8> = hardware.tcb().encode().into_iter().rev().collect();
    Ok(json!({
        "vcekCert": vcek.pem(),
        "tcbm": hex::encode_upper(tcbm),
        "certificateChain": ask.pem() + &ark.pem(),
        "cacheControl": "86400",
    }))
}
