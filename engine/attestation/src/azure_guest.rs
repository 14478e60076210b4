//! What a confidential VM sends to `POST /attest/AzureGuest` of an attestation provider, and what comes back.
//!
//! The request carries one text: base64url of a JSON document with everything that the machine can say of itself. The
//! answer is encrypted for the machine: an AES-256-GCM message under a key that only the machine's TPM can decrypt, with
//! a key that the request presented and the TPM certified. Microsoft documents the flow ("Guest attestation for
//! confidential VMs: design detail") and not the fields; these are the ones that its clients send, protocol 2.0.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// Api-version of the call.
pub const API: &str = "2020-10-01";
/// Version of the protocol.
pub const PROTOCOL: &str = "2.0";
/// Additional data of the encrypted token.
pub const TOKEN_AAD: &[u8] = b"Transport Key";
/// Longest document, in bytes: an event log is most of it.
pub const MAX: usize = 1 << 20;

/// Standard base64, with or without padding: both occur.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a request or an answer can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AzureGuestError {
    /// It is too long.
    #[error("the document has {0} bytes, at most {MAX} are read")]
    TooLong(usize),
    /// It is no base64url.
    #[error("the document is no base64url")]
    Encoding,
    /// It is not the JSON that the protocol wants.
    #[error("the document is not what the protocol wants: {0}")]
    Json(String),
}

/// Bytes as base64.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64.decode(text.trim_end_matches('=')).map(Self).map_err(|_| serde::de::Error::custom("it is no base64"))
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&str> for Bytes {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

/// All that the machine says of itself (`AttestationInfo`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttestationInfo {
    /// [`PROTOCOL`].
    pub attestation_protocol_version: String,
    /// What the caller wants to find in the token: base64 values by name; `nonce` is customary.
    #[serde(default)]
    pub client_payload: serde_json::Map<String, Value>,
    /// The hardware's evidence.
    pub isolation_info: IsolationInfo,
    /// Build of the operating system.
    #[serde(rename = "OSBuild", default)]
    pub os_build: Bytes,
    /// Its distribution.
    #[serde(rename = "OSDistro", default)]
    pub os_distro: Bytes,
    /// `Linux` or `Windows`.
    #[serde(rename = "OSType", default)]
    pub os_type: Bytes,
    /// Major version of the operating system.
    #[serde(rename = "OSVersionMajor", default)]
    pub os_version_major: u32,
    /// Minor version.
    #[serde(rename = "OSVersionMinor", default)]
    pub os_version_minor: u32,
    /// The firmware's event log.
    #[serde(default)]
    pub tcg_logs: Bytes,
    /// What the TPM says.
    pub tpm_info: TpmInfo,
}

/// The hardware's evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct IsolationInfo {
    /// `SevSnp` or `TDX`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// Report and runtime data.
    pub evidence: IsolationEvidence,
}

/// Report and runtime data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct IsolationEvidence {
    /// A [`Proof`] as JSON.
    pub proof: Bytes,
    /// The paravisor's runtime data: JSON, its hash is in the report.
    #[serde(rename = "RunTimeData")]
    pub runtime_data: Bytes,
}

/// A hardware report and what vouches for its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Proof {
    /// The SNP report, base64url.
    pub snp_report: String,
    /// The VCEK certificate and its chain, PEM.
    pub vcek_cert_chain: Bytes,
}

/// What the TPM says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TpmInfo {
    /// Certificate of the attestation key, DER, as it lies in the TPM: filled up with zeros.
    #[serde(default)]
    pub aik_cert: Bytes,
    /// The attestation key: `TPM2B_PUBLIC`.
    pub aik_pub: Bytes,
    /// Statement about the encryption key: `TPMS_ATTEST` of type certify.
    pub enc_key_certify_info: Bytes,
    /// Its RSASSA signature by the attestation key.
    pub enc_key_certify_info_signature: Bytes,
    /// The encryption key: `TPM2B_PUBLIC`. The token is encrypted for it, and names it.
    pub enc_key_pub: Bytes,
    /// Register values.
    #[serde(rename = "PCRs")]
    pub pcrs: Vec<Pcr>,
    /// The quote: `TPMS_ATTEST`.
    pub pcr_quote: Bytes,
    /// The registers that are quoted.
    pub pcr_set: Vec<u8>,
    /// The quote's RSASSA signature.
    pub pcr_signature: Bytes,
}

/// A register's value in the SHA-256 bank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Pcr {
    /// Its value.
    pub digest: Bytes,
    /// Its number.
    pub index: u8,
}

/// The encrypted token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EncryptedToken {
    /// The token, encrypted with AES-256-GCM.
    pub jwt: Bytes,
    /// The AES key under RSAES-PKCS1-v1_5 for the encryption key.
    pub encrypted_inner_key: Bytes,
    /// How the token is encrypted.
    pub encryption_params: EncryptionParams,
    /// The tag.
    pub authentication_data: Bytes,
}

/// How the token is encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EncryptionParams {
    /// The nonce.
    pub iv: Bytes,
}

impl AttestationInfo {
    /// The request's body.
    #[must_use]
    pub fn body(&self) -> Value {
        serde_json::json!({ "AttestationInfo": encode(self) })
    }

    /// Reads a request's body.
    ///
    /// # Errors
    /// [`AzureGuestError`].
    pub fn from_body(body: &Value) -> Result<Self, AzureGuestError> {
        let text = body["AttestationInfo"].as_str();
        decode(text.ok_or_else(|| AzureGuestError::Json("AttestationInfo is missing".into()))?)
    }
}

impl IsolationEvidence {
    /// Puts a report and its certificates in.
    #[must_use]
    pub fn new(snp_report: &[u8], certificates: &str, runtime_data: Vec<u8>) -> Self {
        let snp_report = URL_SAFE_NO_PAD.encode(snp_report);
        let proof = Proof { snp_report, vcek_cert_chain: certificates.into() };
        // Strings and base64 always are JSON.
        Self { proof: Bytes(serde_json::to_vec(&proof).unwrap_or_default()), runtime_data: Bytes(runtime_data) }
    }

    /// Reads the report and its certificates (PEM).
    ///
    /// # Errors
    /// [`AzureGuestError`].
    pub fn proof(&self) -> Result<(Vec<u8>, String), AzureGuestError> {
        let proof: Proof = json(&self.proof.0)?;
        let report = URL_SAFE_NO_PAD.decode(proof.snp_report.trim_end_matches('='));
        let chain = String::from_utf8(proof.vcek_cert_chain.0);
        match (report, chain) {
            (Ok(report), Ok(chain)) => Ok((report, chain)),
            _ => Err(AzureGuestError::Encoding),
        }
    }
}

impl EncryptedToken {
    /// The answer's `token`.
    #[must_use]
    pub fn text(&self) -> String {
        encode(self)
    }

    /// Reads an answer's `token`.
    ///
    /// # Errors
    /// [`AzureGuestError`].
    pub fn from_text(text: &str) -> Result<Self, AzureGuestError> {
        decode(text)
    }
}

fn encode(document: &impl Serialize) -> String {
    // Maps with text keys always are JSON.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(document).unwrap_or_default())
}

fn decode<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, AzureGuestError> {
    if text.len() > MAX / 3 * 4 {
        return Err(AzureGuestError::TooLong(text.len() / 4 * 3));
    }
    json(&URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| AzureGuestError::Encoding)?)
}

fn json<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, AzureGuestError> {
    serde_json::from_slice(bytes).map_err(|error| AzureGuestError::Json(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn info() -> AttestationInfo {
        let some = |byte: u8| Bytes(vec![byte; 5]);
        AttestationInfo {
            attestation_protocol_version: PROTOCOL.into(),
            client_payload: [("nonce".to_owned(), json!("AQI="))].into_iter().collect(),
            isolation_info: IsolationInfo {
                kind: "SevSnp".into(),
                evidence: IsolationEvidence::new(&[0xfb, 0xff], "-----BEGIN", b"{}".to_vec()),
            },
            os_build: "6.8".into(),
            os_distro: "Ubuntu".into(),
            os_type: "Linux".into(),
            os_version_major: 22,
            os_version_minor: 4,
            tcg_logs: some(1),
            tpm_info: TpmInfo {
                aik_cert: some(2),
                aik_pub: some(3),
                enc_key_certify_info: some(4),
                enc_key_certify_info_signature: some(5),
                enc_key_pub: some(6),
                pcrs: vec![Pcr { digest: some(7), index: 7 }],
                pcr_quote: some(8),
                pcr_set: vec![7],
                pcr_signature: some(9),
            },
        }
    }

    #[test]
    fn requests_and_answers_come_back_and_have_the_names_that_clients_send() {
        let info = info();
        assert_eq!(AttestationInfo::from_body(&info.body()), Ok(info.clone()));
        let text = info.body()["AttestationInfo"].as_str().unwrap().to_owned();
        let sent: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
        assert_eq!((&sent["OSType"], &sent["TpmInfo"]["PCRs"][0]["Index"]), (&json!("TGludXg="), &json!(7)));
        let proof = BASE64.decode(sent["IsolationInfo"]["Evidence"]["Proof"].as_str().unwrap()).unwrap();
        let proof: Value = serde_json::from_slice(&proof).unwrap();
        assert_eq!((&proof["SnpReport"], &proof["VcekCertChain"]), (&json!("-_8"), &json!("LS0tLS1CRUdJTg==")));
        assert_eq!(sent["IsolationInfo"]["Evidence"]["RunTimeData"], "e30=");
        let (report, chain) = info.isolation_info.evidence.proof().unwrap();
        assert_eq!((&report[..], &*chain), (&[0xfb, 0xff][..], "-----BEGIN"));
        let token = EncryptedToken {
            jwt: Bytes(vec![1]),
            encrypted_inner_key: Bytes(vec![2]),
            encryption_params: EncryptionParams { iv: Bytes(vec![3]) },
            authentication_data: Bytes(vec![4]),
        };
        assert_eq!(EncryptedToken::from_text(&token.text()), Ok(token));
    }

    #[test]
    fn what_is_not_of_the_protocol_is_refused() {
        let text = |document: &Value| URL_SAFE_NO_PAD.encode(document.to_string());
        for body in [json!({}), json!({ "AttestationInfo": 1 }), json!({ "AttestationInfo": "%" })] {
            assert!(AttestationInfo::from_body(&body).is_err(), "{body}");
        }
        let mut document: Value = serde_json::to_value(info()).unwrap();
        document["TpmInfo"]["PcrQuote"] = json!("no base64!");
        let body = json!({ "AttestationInfo": text(&document) });
        assert!(matches!(AttestationInfo::from_body(&body), Err(AzureGuestError::Json(_))));
        let huge = "A".repeat(MAX / 3 * 4 + 1);
        assert!(matches!(EncryptedToken::from_text(&huge), Err(AzureGuestError::TooLong(_))));
    }
}
