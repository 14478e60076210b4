//! The operations on keys, which vaults and managed HSMs share: the paths are the same, the data actions are not.

use http::Method;

use super::keystore::Kind;
use super::{backup, cryptography, deleted_keys, import, keys, release, rotation, signatures};
use crate::operation::{Operation, Rows};

/// Api-versions of the data plane, oldest first.
pub(super) const API: &[&str] = &["7.2", "7.3", "7.4", "7.5", "7.6-preview.2", "7.6", "2025-07-01"];

/// The data actions of a kind of key store.
pub(super) struct Actions {
    /// Behind reading keys.
    pub read: &'static str,
    create: &'static str,
    import: &'static str,
    update: &'static str,
    rotate: &'static str,
    read_policy: &'static str,
    write_policy: &'static str,
    backup: &'static str,
    restore: &'static str,
    delete: &'static str,
    read_deleted: &'static str,
    recover: &'static str,
    purge: &'static str,
    encrypt: &'static str,
    decrypt: &'static str,
    /// Behind wrapKey.
    pub wrap: &'static str,
    /// Behind unwrapKey.
    pub unwrap: &'static str,
    sign: &'static str,
    verify: &'static str,
    release: &'static str,
}

/// Data actions of vaults.
pub(super) const VAULT: Actions = Actions {
    read: "Microsoft.KeyVault/vaults/keys/read",
    create: "Microsoft.KeyVault/vaults/keys/create/action",
    import: "Microsoft.KeyVault/vaults/keys/import/action",
    update: "Microsoft.KeyVault/vaults/keys/update/action",
    rotate: "Microsoft.KeyVault/vaults/keys/rotate/action",
    read_policy: "Microsoft.KeyVault/vaults/keyrotationpolicies/read",
    write_policy: "Microsoft.KeyVault/vaults/keyrotationpolicies/write",
    backup: "Microsoft.KeyVault/vaults/keys/backup/action",
    restore: "Microsoft.KeyVault/vaults/keys/restore/action",
    delete: "Microsoft.KeyVault/vaults/keys/delete",
    read_deleted: "Microsoft.KeyVault/vaults/keys/read",
    recover: "Microsoft.KeyVault/vaults/keys/recover/action",
    purge: "Microsoft.KeyVault/vaults/keys/purge/action",
    encrypt: "Microsoft.KeyVault/vaults/keys/encrypt/action",
    decrypt: "Microsoft.KeyVault/vaults/keys/decrypt/action",
    wrap: "Microsoft.KeyVault/vaults/keys/wrap/action",
    unwrap: "Microsoft.KeyVault/vaults/keys/unwrap/action",
    sign: "Microsoft.KeyVault/vaults/keys/sign/action",
    verify: "Microsoft.KeyVault/vaults/keys/verify/action",
    release: "Microsoft.KeyVault/vaults/keys/release/action",
};

/// Data actions of managed HSMs (`KeyVaultDataAction`, and the role definitions that real pools answer). Rotation policies
/// have none of their own: they are read and written like a key.
pub(super) const HSM: Actions = Actions {
    read: "Microsoft.KeyVault/managedHsm/keys/read/action",
    create: "Microsoft.KeyVault/managedHsm/keys/create",
    import: "Microsoft.KeyVault/managedHsm/keys/import/action",
    update: "Microsoft.KeyVault/managedHsm/keys/write/action",
    rotate: "Microsoft.KeyVault/managedHsm/keys/rotate/action",
    read_policy: "Microsoft.KeyVault/managedHsm/keys/read/action",
    write_policy: "Microsoft.KeyVault/managedHsm/keys/write/action",
    backup: "Microsoft.KeyVault/managedHsm/keys/backup/action",
    restore: "Microsoft.KeyVault/managedHsm/keys/restore/action",
    delete: "Microsoft.KeyVault/managedHsm/keys/delete",
    read_deleted: "Microsoft.KeyVault/managedHsm/keys/deletedKeys/read/action",
    recover: "Microsoft.KeyVault/managedHsm/keys/deletedKeys/recover/action",
    purge: "Microsoft.KeyVault/managedHsm/keys/deletedKeys/delete",
    encrypt: "Microsoft.KeyVault/managedHsm/keys/encrypt/action",
    decrypt: "Microsoft.KeyVault/managedHsm/keys/decrypt/action",
    wrap: "Microsoft.KeyVault/managedHsm/keys/wrap/action",
    unwrap: "Microsoft.KeyVault/managedHsm/keys/unwrap/action",
    sign: "Microsoft.KeyVault/managedHsm/keys/sign/action",
    verify: "Microsoft.KeyVault/managedHsm/keys/verify/action",
    release: "Microsoft.KeyVault/managedHsm/keys/release/action",
};

/// The data actions of a kind.
pub(super) fn actions(kind: Kind) -> &'static Actions {
    match kind {
        Kind::Vault => &VAULT,
        Kind::Hsm => &HSM,
    }
}

const ROWS: Rows = Rows::data(API);

/// Operations on keys under a kind's data actions. A path without a version, which clients also write with an empty one
/// (`/keys/k//wrapkey`, `/keys/k/`), means the newest version.
pub(super) const fn table(a: &Actions) -> [Operation; 32] {
    [
        ROWS.row("CreateKey", Method::POST, "/keys/{key}/create", a.create, keys::create),
        ROWS.row("RotateKey", Method::POST, "/keys/{key}/rotate", a.rotate, rotation::rotate),
        ROWS.row("ImportKey", Method::PUT, "/keys/{key}", a.import, import::import),
        ROWS.row("GetKeyRotationPolicy", Method::GET, "/keys/{key}/rotationpolicy", a.read_policy, rotation::policy),
        ROWS.row(
            "UpdateKeyRotationPolicy",
            Method::PUT,
            "/keys/{key}/rotationpolicy",
            a.write_policy,
            rotation::set_policy,
        ),
        ROWS.row("BackupKey", Method::POST, "/keys/{key}/backup", a.backup, backup::backup),
        ROWS.row("RestoreKey", Method::POST, "/keys/restore", a.restore, backup::restore),
        ROWS.row("GetKeys", Method::GET, "/keys", a.read, keys::list),
        ROWS.row("GetKey", Method::GET, "/keys/{key}", a.read, keys::get),
        ROWS.row("GetKey", Method::GET, "/keys/{key}/{version}", a.read, keys::get),
        ROWS.row("GetKeyVersions", Method::GET, "/keys/{key}/versions", a.read, keys::versions),
        ROWS.row("UpdateKey", Method::PATCH, "/keys/{key}", a.update, keys::update),
        ROWS.row("UpdateKey", Method::PATCH, "/keys/{key}/{version}", a.update, keys::update),
        ROWS.row("DeleteKey", Method::DELETE, "/keys/{key}", a.delete, deleted_keys::delete),
        ROWS.row("GetDeletedKeys", Method::GET, "/deletedkeys", a.read_deleted, deleted_keys::list),
        ROWS.row("GetDeletedKey", Method::GET, "/deletedkeys/{key}", a.read_deleted, deleted_keys::get),
        ROWS.row("RecoverDeletedKey", Method::POST, "/deletedkeys/{key}/recover", a.recover, deleted_keys::recover),
        ROWS.row("PurgeDeletedKey", Method::DELETE, "/deletedkeys/{key}", a.purge, deleted_keys::purge),
        ROWS.row("encrypt", Method::POST, "/keys/{key}/encrypt", a.encrypt, cryptography::encrypt),
        ROWS.row("encrypt", Method::POST, "/keys/{key}/{version}/encrypt", a.encrypt, cryptography::encrypt),
        ROWS.row("decrypt", Method::POST, "/keys/{key}/decrypt", a.decrypt, cryptography::decrypt),
        ROWS.row("decrypt", Method::POST, "/keys/{key}/{version}/decrypt", a.decrypt, cryptography::decrypt),
        ROWS.row("wrapKey", Method::POST, "/keys/{key}/wrapkey", a.wrap, cryptography::wrap),
        ROWS.row("wrapKey", Method::POST, "/keys/{key}/{version}/wrapkey", a.wrap, cryptography::wrap),
        ROWS.row("unwrapKey", Method::POST, "/keys/{key}/unwrapkey", a.unwrap, cryptography::unwrap),
        ROWS.row("unwrapKey", Method::POST, "/keys/{key}/{version}/unwrapkey", a.unwrap, cryptography::unwrap),
        ROWS.row("sign", Method::POST, "/keys/{key}/sign", a.sign, signatures::sign),
        ROWS.row("sign", Method::POST, "/keys/{key}/{version}/sign", a.sign, signatures::sign),
        ROWS.row("verify", Method::POST, "/keys/{key}/verify", a.verify, signatures::verify),
        ROWS.row("verify", Method::POST, "/keys/{key}/{version}/verify", a.verify, signatures::verify),
        ROWS.row("release", Method::POST, "/keys/{key}/release", a.release, release::release),
        ROWS.row("release", Method::POST, "/keys/{key}/{version}/release", a.release, release::release),
    ]
}
