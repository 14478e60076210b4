//! What a vault's diagnostic log (category `AuditEvent`) records of the data plane.

use serde_json::{Value, json};

use super::secrets;
use super::vault::Vault;
use crate::audit::Entry;
use crate::cx::Cx;

/// Azure's operation name in the log for an operation of the data plane.
pub(super) fn operation_name(operation: &str) -> &str {
    match operation {
        "CreateKey" => "KeyCreate",
        "GetKey" => "KeyGet",
        "GetKeys" => "KeyList",
        "GetKeyVersions" => "KeyListVersions",
        "UpdateKey" => "KeyUpdate",
        "ImportKey" => "KeyImport",
        "RotateKey" => "KeyRotate",
        "GetKeyRotationPolicy" => "KeyRotationPolicyGet",
        "UpdateKeyRotationPolicy" => "KeyRotationPolicySet",
        "BackupKey" => "KeyBackup",
        "RestoreKey" => "KeyRestore",
        "DeleteKey" => "KeyDelete",
        "GetDeletedKey" => "KeyGetDeleted",
        "GetDeletedKeys" => "KeyListDeleted",
        "RecoverDeletedKey" => "KeyRecover",
        "PurgeDeletedKey" => "KeyPurge",
        "encrypt" => "KeyEncrypt",
        "decrypt" => "KeyDecrypt",
        "wrapKey" => "KeyWrap",
        "unwrapKey" => "KeyUnwrap",
        "sign" => "KeySign",
        "verify" => "KeyVerify",
        "release" => "KeyRelease",
        other => secrets::operation_name(other).unwrap_or(other),
    }
}

/// What an entry is about.
pub(super) struct Subject<'a> {
    /// The vault in whose log it goes.
    pub vault: &'a Vault,
    /// Name in the log.
    pub operation: &'a str,
    /// HTTP status.
    pub status: u16,
    /// Identifier of the key, with its version where one was used.
    pub id: Option<String>,
    /// Address of the request.
    pub uri: String,
    /// Algorithm of a cryptographic operation.
    pub algorithm: Option<String>,
    /// Azure's error code of a refusal, the innermost one.
    pub error: Option<String>,
}

impl Subject<'_> {
    /// The entry for the log.
    pub fn entry(self, cx: &Cx<'_>) -> Entry {
        let mut properties = json!({
            "requestUri": self.uri,
            "httpStatusCode": self.status,
            "clientInfo": cx.request.header("user-agent").unwrap_or_default(),
            "vaultProperties": { "type": "Microsoft.KeyVault/vaults", "name": self.vault.name },
        });
        let mut optional = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                properties[name] = value.into();
            }
        };
        optional("id", self.id);
        optional("algorithm", self.algorithm);
        optional("errorCode", self.error);
        Entry {
            resource: self.vault.id.clone(),
            category: "AuditEvent",
            operation: self.operation.to_owned(),
            status: self.status,
            properties,
        }
    }
}

/// The entry for a rotation that the vault carried out by itself, as the key's policy says.
pub(super) fn rotated(vault: &Vault, kid: &str) -> Entry {
    Entry {
        resource: vault.id.clone(),
        category: "AuditEvent",
        operation: "KeyRotateIfDue".to_owned(),
        status: 200,
        properties: json!({
            "id": kid,
            "httpStatusCode": 200,
            "vaultProperties": { "type": "Microsoft.KeyVault/vaults", "name": vault.name },
        }),
    }
}

/// The identifier of a key or secret that an answer names.
pub(super) fn id_in(body: &Value) -> Option<String> {
    [&body["key"]["kid"], &body["kid"], &body["id"]].into_iter().find_map(Value::as_str).map(str::to_owned)
}

/// The innermost error code that an answer names.
pub(super) fn error_in(body: &Value) -> Option<String> {
    let error = &body["error"];
    error["innererror"]["code"].as_str().or_else(|| error["code"].as_str()).map(str::to_owned)
}
