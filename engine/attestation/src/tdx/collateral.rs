//! What Intel's provisioning certification service (PCS v4) says of a platform.

use dcap_qvl::QuoteCollateralV3;
use serde_json::Value;
use serde_json::value::RawValue;

/// Why bytes are no collateral.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CollateralError {
    /// Not JSON, or a member is missing.
    #[error("{what} cannot be read: {why}")]
    Json {
        /// Which part.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
}

/// Collateral for one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collateral(pub(super) QuoteCollateralV3);

/// The service's answers, one by one, with the chains that came in their headers.
#[derive(Debug, Clone, Copy)]
pub struct CollateralParts<'a> {
    /// `GET /rootcacrl`, DER.
    pub root_ca_crl: &'a [u8],
    /// `GET /pckcrl`, DER.
    pub pck_crl: &'a [u8],
    /// The chain of the PCK revocation list, PEM.
    pub pck_crl_issuer_chain: &'a str,
    /// `GET /tcb`: `{"tcbInfo": …, "signature": hex}`.
    pub tcb_info: &'a [u8],
    /// Its chain, PEM.
    pub tcb_info_issuer_chain: &'a str,
    /// `GET /qe/identity`: `{"enclaveIdentity": …, "signature": hex}`.
    pub qe_identity: &'a [u8],
    /// Its chain, PEM.
    pub qe_identity_issuer_chain: &'a str,
}

impl Collateral {
    /// Reads all of it from one JSON, as `dcap-qvl` and the tools around it write it (byte strings in hex).
    ///
    /// # Errors
    /// [`CollateralError::Json`].
    pub fn parse(json: &[u8]) -> Result<Self, CollateralError> {
        serde_json::from_slice(json)
            .map(Self)
            .map_err(|error| CollateralError::Json { what: "the collateral", why: error.to_string() })
    }

    /// Puts the service's answers together. What is signed are the bytes of the inner objects, exactly.
    ///
    /// # Errors
    /// [`CollateralError::Json`] names the answer.
    pub fn from_parts(parts: &CollateralParts<'_>) -> Result<Self, CollateralError> {
        let (tcb_info, tcb_info_signature) = signed("the TCB info", "tcbInfo", parts.tcb_info)?;
        let (qe_identity, qe_identity_signature) = signed("the QE identity", "enclaveIdentity", parts.qe_identity)?;
        Ok(Self(QuoteCollateralV3 {
            pck_crl_issuer_chain: parts.pck_crl_issuer_chain.to_owned(),
            root_ca_crl: parts.root_ca_crl.to_vec(),
            pck_crl: parts.pck_crl.to_vec(),
            tcb_info_issuer_chain: parts.tcb_info_issuer_chain.to_owned(),
            tcb_info,
            tcb_info_signature,
            qe_identity_issuer_chain: parts.qe_identity_issuer_chain.to_owned(),
            qe_identity,
            qe_identity_signature,
            pck_certificate_chain: None,
        }))
    }
}

fn signed(what: &'static str, member: &str, json: &[u8]) -> Result<(String, Vec<u8>), CollateralError> {
    let refuse = |why: String| CollateralError::Json { what, why };
    let members: std::collections::BTreeMap<String, Box<RawValue>> =
        serde_json::from_slice(json).map_err(|error| refuse(error.to_string()))?;
    let inner = members.get(member).ok_or_else(|| refuse(format!("it has no {member}")))?;
    let signature = members.get("signature").and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
    let signature = signature.as_ref().and_then(Value::as_str).and_then(|text| hex::decode(text).ok());
    Ok((inner.get().to_owned(), signature.ok_or_else(|| refuse("it has no signature in hex".into()))?))
}
