//! The JSON in which evidence of Azure's confidential VMs travels: that of Trustee's attesters (versions 0, 1 and 2) and
//! what wraps it (`{"platform", "evidence"}`).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value;

use super::{Endorsement, Evidence};
use crate::snp::Endorsements;
use crate::tpm::{Pcrs, Quote};
use crate::x509::X509Error;

/// Larger documents are refused; real ones stay below 64 KiB, also with bytes as lists of numbers.
const LARGEST: usize = 1024 * 1024;

/// Why a JSON is no evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// Not JSON.
    #[error("it is no JSON: {0}")]
    Json(String),
    /// A member is missing.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// A member cannot be read.
    #[error("{0} cannot be read: {1}")]
    Member(&'static str, String),
}

impl Evidence {
    /// Reads the JSON of a VM: `hcl_report` (or `report`), `vcek` with SNP or `td_quote` with TDX, and `tpm_quote` (or
    /// `quote`) with `message`, `signature` and `pcrs`. Bytes are lists of numbers, hex, base64 or PEM. Collateral of
    /// Intel's is no part of it.
    ///
    /// # Errors
    /// [`EvidenceError`] names the member.
    pub fn from_json(json: &[u8]) -> Result<Self, EvidenceError> {
        if json.len() > LARGEST {
            return Err(EvidenceError::Json(format!("{} bytes are too many for evidence", json.len())));
        }
        let document: Value = serde_json::from_slice(json).map_err(|error| EvidenceError::Json(error.to_string()))?;
        let document = document.get("evidence").unwrap_or(&document);
        let either = |one: &str, two: &str| document.get(one).or_else(|| document.get(two));
        let report = either("hcl_report", "report").ok_or(EvidenceError::Missing("hcl_report"))?;
        let hcl_report = bytes("hcl_report", report, false)?;
        let endorsement = match document.get("td_quote") {
            Some(quote) => Endorsement::Tdx { quote: bytes("td_quote", quote, false)?, collateral: None },
            None => {
                let vcek =
                    bytes("vcek", document.get("vcek").ok_or(EvidenceError::Missing("vcek or td_quote"))?, false)?;
                let refuse = |error: X509Error| EvidenceError::Member("vcek", error.to_string());
                Endorsement::Snp(Endorsements::parse(&vcek).map_err(refuse)?)
            }
        };
        let quote = either("tpm_quote", "quote").map(quote).transpose()?;
        Ok(Self { hcl_report, endorsement, quote, event_log: None })
    }
}

fn quote(document: &Value) -> Result<Quote, EvidenceError> {
    let member = |name: &'static str| bytes(name, document.get(name).ok_or(EvidenceError::Missing(name))?, true);
    let list = document.get("pcrs").and_then(Value::as_array).ok_or(EvidenceError::Missing("pcrs"))?;
    let mut pcrs = Pcrs::new();
    for (number, value) in (0_u8..).zip(list) {
        let value = bytes("pcrs", value, true)?;
        let length =
            |value: Vec<u8>| EvidenceError::Member("pcrs", format!("a value has {} bytes, not 32", value.len()));
        pcrs.insert(number, value.try_into().map_err(length)?);
    }
    Ok(Quote { message: member("message")?, signature: member("signature")?, pcrs })
}

/// Bytes in whichever way they are written; `hex` first where that is usual, for many hex texts are base64 too.
fn bytes(name: &'static str, value: &Value, hex: bool) -> Result<Vec<u8>, EvidenceError> {
    let refuse = |why: &str| EvidenceError::Member(name, why.to_owned());
    match value {
        Value::Array(list) => {
            let byte = |number: &Value| number.as_u64().and_then(|number| u8::try_from(number).ok());
            list.iter().map(|number| byte(number).ok_or_else(|| refuse("a number is no byte"))).collect()
        }
        Value::String(text) if text.contains("-----BEGIN") => Ok(text.clone().into_bytes()),
        Value::String(text) => {
            let bare = text.trim_end_matches('=');
            let from_hex = if hex { hex::decode(text).ok() } else { None };
            from_hex
                .or_else(|| URL_SAFE_NO_PAD.decode(bare).ok())
                .or_else(|| STANDARD_NO_PAD.decode(bare).ok())
                .ok_or_else(|| refuse("neither hex nor base64"))
        }
        _ => Err(refuse("neither a list of numbers nor a text")),
    }
}
