//! What the diagnostic log (category `AuditEvent`) of a vault or managed HSM records of the data plane.

use serde_json::{Value, json};

use super::keystore::KeyStore;
use super::{bundle, release, secrets, store};
use crate::audit::Entry;
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::{Operation, Params};

/// The operation that lets a key out.
const RELEASE: &str = "release";

/// Azure's operation name in the log for an operation of the data plane.
fn operation_name(operation: &str) -> &str {
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
        RELEASE => "KeyRelease",
        "GetRandomBytes" => "RandomBytesGet",
        "HSMSecurityDomain_Download" => "SecurityDomainDownload",
        "HSMSecurityDomain_DownloadPending" => "SecurityDomainDownloadStatus",
        "HSMSecurityDomain_TransferKey" => "SecurityDomainTransferKeyGet",
        "HSMSecurityDomain_Upload" => "SecurityDomainUpload",
        "HSMSecurityDomain_UploadPending" => "SecurityDomainUploadStatus",
        "RoleAssignments_Create" => "RoleAssignmentCreate",
        "RoleAssignments_Get" => "RoleAssignmentGet",
        "RoleAssignments_ListForScope" => "RoleAssignmentList",
        "RoleAssignments_Delete" => "RoleAssignmentDelete",
        "RoleDefinitions_CreateOrUpdate" => "RoleDefinitionCreate",
        "RoleDefinitions_Get" => "RoleDefinitionGet",
        "RoleDefinitions_List" => "RoleDefinitionList",
        "RoleDefinitions_Delete" => "RoleDefinitionDelete",
        other => secrets::operation_name(other).unwrap_or(other),
    }
}

/// What an entry is about.
pub(super) struct Subject<'a> {
    /// The key store in whose log it goes.
    pub keystore: &'a KeyStore,
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
            "vaultProperties": { "type": self.keystore.kind.resource_type(), "name": self.keystore.name },
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
            resource: self.keystore.id.clone(),
            category: "AuditEvent",
            operation: self.operation.to_owned(),
            status: self.status,
            properties,
        }
    }
}

/// The entry for a rotation that the key store carried out by itself, as the key's policy says.
pub(super) fn rotated(keystore: &KeyStore, kid: &str) -> Entry {
    Entry {
        resource: keystore.id.clone(),
        category: "AuditEvent",
        operation: "KeyRotateIfDue".to_owned(),
        status: 200,
        properties: json!({
            "id": kid,
            "httpStatusCode": 200,
            "vaultProperties": { "type": keystore.kind.resource_type(), "name": keystore.name },
        }),
    }
}

/// The entry for a request to the data plane that has been answered.
pub(super) fn of_request(
    cx: &Cx<'_>,
    keystore: &KeyStore,
    operation: &Operation,
    params: &Params,
    answer: &Answer,
) -> Entry {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let request: Value = serde_json::from_slice(&cx.request.body).unwrap_or_default();
    let version = params.find("version");
    let named = params
        .find("key")
        .map(|key| match operation.name {
            RELEASE => used(cx, keystore, key, version),
            _ => bundle::kid(keystore, key, version),
        })
        .or_else(|| params.find("secret").map(|secret| secrets::id(keystore, secret, version)));
    let subject = Subject {
        keystore,
        operation: operation_name(operation.name),
        status: answer.status.as_u16(),
        id: id_in(&body).or(named),
        uri: format!("https://{}{}", cx.request.host, cx.request.path),
        algorithm: match operation.name {
            RELEASE => Some(release::algorithm(&request)),
            _ => request["alg"].as_str().map(str::to_owned),
        },
        error: error_in(&body),
    };
    let mut entry = subject.entry(cx);
    if let Some(reason) = answer.headers.get(release::REASON).and_then(|reason| reason.to_str().ok()) {
        entry.properties["reason"] = reason.into();
    }
    entry
}

/// Identifier of the version that a release is about: the newest one when none was named.
fn used(cx: &Cx<'_>, keystore: &KeyStore, key: &str, version: Option<&str>) -> String {
    let newest = || {
        let row = store::key(cx, &keystore.label, key).ok()??.row;
        Some(store::version(cx, row, None).ok()??.version)
    };
    bundle::kid(keystore, key, version.map(str::to_owned).or_else(newest).as_deref())
}

/// The identifier of a key or secret that an answer names.
fn id_in(body: &Value) -> Option<String> {
    [&body["key"]["kid"], &body["kid"], &body["id"]].into_iter().find_map(Value::as_str).map(str::to_owned)
}

/// The innermost error code that an answer names.
fn error_in(body: &Value) -> Option<String> {
    let error = &body["error"];
    error["innererror"]["code"].as_str().or_else(|| error["code"].as_str()).map(str::to_owned)
}
