//! Secrets of vaults on `*.vault.azure.net` (Key Vault secrets REST API). A managed HSM has none.
//!
//! - `operations`: set, get, list, update; `deleted`: delete, recover, purge; `backup`: backup and restore.
//! - `bundle` writes the answers; `store` holds the tables.

mod backup;
mod bundle;
mod deleted;
mod operations;
mod store;

use http::Method;

use super::keystore::KeyStore;
use crate::operation::{Access, Operation, Run};

pub(super) use bundle::id;
pub(super) use store::{INVENTORY, SCHEMA, purge_due, purge_vault};

/// Api-versions of secrets, oldest first: one more than keys have.
const API: &[&str] = &["7.2", "7.3", "7.4", "7.5", "7.6-preview.2", "7.6", "2025-07-01", "2026-04-01"];

/// Role assignments count down to a single secret.
pub(super) fn scope(vault: &KeyStore, secret: &str) -> String {
    format!("{}/secrets/{secret}", vault.id)
}

const fn operation(
    name: &'static str,
    method: Method,
    path: &'static str,
    action: &'static str,
    run: Run,
) -> Operation {
    Operation { name, method, path, when: &[], api: API, access: Access::Data(action), lro: false, run }
}

const GET: &str = "Microsoft.KeyVault/vaults/secrets/getSecret/action";
const METADATA: &str = "Microsoft.KeyVault/vaults/secrets/readMetadata/action";
const UPDATE: &str = "Microsoft.KeyVault/vaults/secrets/update/action";

/// Operations on secrets. A path without a version means the newest one.
pub(super) static OPERATIONS: &[Operation] = &[
    operation(
        "SetSecret",
        Method::PUT,
        "/secrets/{secret}",
        "Microsoft.KeyVault/vaults/secrets/setSecret/action",
        operations::set,
    ),
    operation("GetSecret", Method::GET, "/secrets/{secret}", GET, operations::get),
    operation("GetSecret", Method::GET, "/secrets/{secret}/{version}", GET, operations::get),
    operation("GetSecrets", Method::GET, "/secrets", METADATA, operations::list),
    operation("GetSecretVersions", Method::GET, "/secrets/{secret}/versions", METADATA, operations::versions),
    operation("UpdateSecret", Method::PATCH, "/secrets/{secret}", UPDATE, operations::update),
    operation("UpdateSecret", Method::PATCH, "/secrets/{secret}/{version}", UPDATE, operations::update),
    operation(
        "DeleteSecret",
        Method::DELETE,
        "/secrets/{secret}",
        "Microsoft.KeyVault/vaults/secrets/delete",
        deleted::delete,
    ),
    operation("GetDeletedSecrets", Method::GET, "/deletedsecrets", METADATA, deleted::list),
    operation("GetDeletedSecret", Method::GET, "/deletedsecrets/{secret}", METADATA, deleted::get),
    operation(
        "RecoverDeletedSecret",
        Method::POST,
        "/deletedsecrets/{secret}/recover",
        "Microsoft.KeyVault/vaults/secrets/recover/action",
        deleted::recover,
    ),
    operation(
        "PurgeDeletedSecret",
        Method::DELETE,
        "/deletedsecrets/{secret}",
        "Microsoft.KeyVault/vaults/secrets/purge/action",
        deleted::purge,
    ),
    operation(
        "BackupSecret",
        Method::POST,
        "/secrets/{secret}/backup",
        "Microsoft.KeyVault/vaults/secrets/backup/action",
        backup::backup,
    ),
    operation(
        "RestoreSecret",
        Method::POST,
        "/secrets/restore",
        "Microsoft.KeyVault/vaults/secrets/restore/action",
        backup::restore,
    ),
];

/// Azure's operation name in the log for an operation on secrets.
pub(super) fn operation_name(operation: &str) -> Option<&'static str> {
    Some(match operation {
        "SetSecret" => "SecretSet",
        "GetSecret" => "SecretGet",
        "GetSecrets" => "SecretList",
        "GetSecretVersions" => "SecretListVersions",
        "UpdateSecret" => "SecretUpdate",
        "DeleteSecret" => "SecretDelete",
        "GetDeletedSecret" => "SecretGetDeleted",
        "GetDeletedSecrets" => "SecretListDeleted",
        "RecoverDeletedSecret" => "SecretRecover",
        "PurgeDeletedSecret" => "SecretPurge",
        "BackupSecret" => "SecretBackup",
        "RestoreSecret" => "SecretRestore",
        _ => return None,
    })
}
