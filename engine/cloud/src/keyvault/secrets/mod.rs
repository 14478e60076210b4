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
use crate::operation::{Operation, Rows};

pub(super) use bundle::id;
pub(super) use store::{INVENTORY, SCHEMA, purge_due, purge_vault};

/// Api-versions of secrets, oldest first: one more than keys have.
const API: &[&str] = &["7.2", "7.3", "7.4", "7.5", "7.6-preview.2", "7.6", "2025-07-01", "2026-04-01"];

/// Role assignments count down to a single secret.
pub(super) fn scope(vault: &KeyStore, secret: &str) -> String {
    format!("{}/secrets/{secret}", vault.id)
}

const ROWS: Rows = Rows::data(API);

const GET: &str = "Microsoft.KeyVault/vaults/secrets/getSecret/action";
const METADATA: &str = "Microsoft.KeyVault/vaults/secrets/readMetadata/action";
const UPDATE: &str = "Microsoft.KeyVault/vaults/secrets/update/action";

/// Operations on secrets. A path without a version means the newest one.
pub(super) static OPERATIONS: &[Operation] = &[
    ROWS.row(
        "SetSecret",
        Method::PUT,
        "/secrets/{secret}",
        "Microsoft.KeyVault/vaults/secrets/setSecret/action",
        operations::set,
    ),
    ROWS.row("GetSecret", Method::GET, "/secrets/{secret}", GET, operations::get),
    ROWS.row("GetSecret", Method::GET, "/secrets/{secret}/{version}", GET, operations::get),
    ROWS.row("GetSecrets", Method::GET, "/secrets", METADATA, operations::list),
    ROWS.row("GetSecretVersions", Method::GET, "/secrets/{secret}/versions", METADATA, operations::versions),
    ROWS.row("UpdateSecret", Method::PATCH, "/secrets/{secret}", UPDATE, operations::update),
    ROWS.row("UpdateSecret", Method::PATCH, "/secrets/{secret}/{version}", UPDATE, operations::update),
    ROWS.row(
        "DeleteSecret",
        Method::DELETE,
        "/secrets/{secret}",
        "Microsoft.KeyVault/vaults/secrets/delete",
        deleted::delete,
    ),
    ROWS.row("GetDeletedSecrets", Method::GET, "/deletedsecrets", METADATA, deleted::list),
    ROWS.row("GetDeletedSecret", Method::GET, "/deletedsecrets/{secret}", METADATA, deleted::get),
    ROWS.row(
        "RecoverDeletedSecret",
        Method::POST,
        "/deletedsecrets/{secret}/recover",
        "Microsoft.KeyVault/vaults/secrets/recover/action",
        deleted::recover,
    ),
    ROWS.row(
        "PurgeDeletedSecret",
        Method::DELETE,
        "/deletedsecrets/{secret}",
        "Microsoft.KeyVault/vaults/secrets/purge/action",
        deleted::purge,
    ),
    ROWS.row(
        "BackupSecret",
        Method::POST,
        "/secrets/{secret}/backup",
        "Microsoft.KeyVault/vaults/secrets/backup/action",
        backup::backup,
    ),
    ROWS.row(
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
