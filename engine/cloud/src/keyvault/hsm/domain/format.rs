//! What a security domain of the embedded managed HSM holds, in the documents of `sealbook_crypto::security_domain`.

use sealbook_crypto::SecretBytes;
use sealbook_crypto::rsa::RsaKey;
use sealbook_crypto::security_domain::{self, Datum, Holder};
use serde_json::Value;
use zeroize::Zeroizing;

use super::super::state::Domain;
use crate::refusal::Refusal;

/// Tag of the domain's name.
const ID: &str = "SecurityDomainId";
/// Tag of the key that seals backups.
const BACKUP_KEY: &str = "BackupKey";

/// Writes a security domain that `required` of the holders can open together.
pub(super) fn write(domain: &Domain, holders: &[Holder], required: u8) -> Result<Value, Refusal> {
    let datum = |tag: &str, secret: &[u8]| Datum { tag: tag.to_owned(), secret: SecretBytes::from(secret.to_vec()) };
    let data = [datum(ID, domain.id.as_bytes()), datum(BACKUP_KEY, &domain.backup_key[..])];
    security_domain::write(&data, holders, required).map_err(Refusal::internal)
}

/// Reads what was encrypted to the transfer key `key`, whose certificate has this thumbprint; `None` when it was not.
pub(super) fn read(document: &Value, key: &RsaKey, thumbprint: &str) -> Option<Domain> {
    let data = security_domain::receive(document, key, thumbprint).ok()?;
    let secret = |tag: &str| data.iter().find(|datum| datum.tag == tag).map(|datum| &datum.secret);
    let id = String::from_utf8(secret(ID)?.expose().to_vec()).ok()?;
    let backup_key: [u8; 32] = secret(BACKUP_KEY)?.expose().try_into().ok()?;
    Some(Domain { id, backup_key: Zeroizing::new(backup_key) })
}
