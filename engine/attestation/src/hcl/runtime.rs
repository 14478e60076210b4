//! The runtime data of a confidential VM on Azure: JSON that the hardware report vouches for by its hash.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealbook_crypto::rsa::RsaPublic;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::jwk;

/// Why runtime data cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeError {
    /// Not JSON, or of another shape.
    #[error("the runtime data is not what the paravisor writes: {0}")]
    Shape(String),
    /// A key is missing, doubled, or no RSA key of 2048 bits or more.
    #[error("the runtime data has no usable key {0}")]
    Key(&'static str),
    /// User data of another length.
    #[error("the user data is not 64 bytes in hex")]
    UserData,
}

/// `vm-configuration`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct VmConfiguration {
    /// Thumbprint of the virtual TPM's root certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_cert_thumbprint: Option<String>,
    /// Whether the serial console is on.
    #[serde(default)]
    pub console_enabled: bool,
    /// Whether secure boot is on.
    #[serde(default)]
    pub secure_boot: bool,
    /// Whether the VM has a virtual TPM.
    #[serde(default)]
    pub tpm_enabled: bool,
    /// Whether the virtual TPM's state is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tpm_persisted: Option<bool>,
    /// Whether devices may be passed through after a filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filtered_vpci_devices_allowed: Option<bool>,
    /// The VM's id.
    #[serde(rename = "vmUniqueId")]
    pub vm_unique_id: String,
    /// What newer paravisors add, and the time that old ones wrote (`current-time`).
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Runtime data, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeData {
    /// The attestation key of the virtual TPM (`HCLAkPub`): signs quotes.
    pub attestation_key: RsaPublic,
    /// The encryption key of the virtual TPM (`HCLEkPub`); old VMs have none.
    pub encryption_key: Option<RsaPublic>,
    /// The VM's configuration.
    pub vm_configuration: VmConfiguration,
    /// 64 bytes from the guest (NV index `0x01400002`); old VMs have none.
    pub user_data: Option<[u8; 64]>,
    /// The whole document: what the attestation service puts into `x-ms-runtime`.
    pub document: Value,
}

impl RuntimeData {
    /// Reads the JSON.
    ///
    /// # Errors
    /// [`RuntimeError`] names what is missing.
    pub fn parse(json: &[u8]) -> Result<Self, RuntimeError> {
        let shape = |why: &dyn std::fmt::Display| RuntimeError::Shape(why.to_string());
        let document: Value = serde_json::from_slice(json).map_err(|error| shape(&error))?;
        let keys = document.get("keys").and_then(Value::as_array).ok_or_else(|| shape(&"it has no keys"))?;
        let key = |wanted: &'static str| {
            let mut of_name = keys.iter().filter(|key| key.get("kid").and_then(Value::as_str) == Some(wanted));
            match (of_name.next(), of_name.next()) {
                (None, _) => Ok(None),
                (Some(found), None) => rsa(found).map(Some).ok_or(RuntimeError::Key(wanted)),
                (Some(_), Some(_)) => Err(RuntimeError::Key(wanted)),
            }
        };
        let attestation_key = key("HCLAkPub")?.ok_or(RuntimeError::Key("HCLAkPub"))?;
        let encryption_key = key("HCLEkPub")?;
        let vm = document.get("vm-configuration").ok_or_else(|| shape(&"it has no vm-configuration"))?;
        let vm_configuration = VmConfiguration::deserialize(vm).map_err(|error| shape(&error))?;
        let user_data = match document.get("user-data") {
            None => None,
            Some(text) => {
                let mut bytes = [0; 64];
                let text = text.as_str().ok_or(RuntimeError::UserData)?;
                hex::decode_to_slice(text, &mut bytes).map_err(|_| RuntimeError::UserData)?;
                Some(bytes)
            }
        };
        Ok(Self { attestation_key, encryption_key, vm_configuration, user_data, document })
    }

    /// Makes runtime data as the paravisor of today does.
    #[must_use]
    pub fn new(
        attestation_key: RsaPublic,
        encryption_key: RsaPublic,
        vm_configuration: VmConfiguration,
        user_data: [u8; 64],
    ) -> Self {
        let key = |kid: &str, operation: &str, key: &RsaPublic| {
            let (n, e) = (URL_SAFE_NO_PAD.encode(&key.n), URL_SAFE_NO_PAD.encode(&key.e));
            json!({ "kid": kid, "key_ops": [operation], "kty": "RSA", "e": e, "n": n })
        };
        let document = json!({
            "keys": [key("HCLAkPub", "sign", &attestation_key), key("HCLEkPub", "encrypt", &encryption_key)],
            "vm-configuration": vm_configuration,
            "user-data": hex::encode_upper(user_data),
        });
        let (encryption_key, user_data) = (Some(encryption_key), Some(user_data));
        Self { attestation_key, encryption_key, vm_configuration, user_data, document }
    }

    /// Writes the JSON, without spaces.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.document.to_string().into_bytes()
    }
}

/// The RSA key of a JSON Web Key, when it has a length that is used.
fn rsa(key: &Value) -> Option<RsaPublic> {
    let public = jwk::components(key).filter(|_| key.get("kty").is_some_and(|kty| kty == "RSA"))?;
    (public.bits().is_some() && jwk::sound(&public.e)).then_some(public)
}
