//! Shared access signatures of disks and snapshots, as `beginGetAccess` gives them.
//!
//! A volume has at most one. The signature names a policy that is kept here, so it ends when access is revoked, and
//! nothing of it can be made from what is stored without the cloud's key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Duration;
use rusqlite::{OptionalExtension, params};
use sealbook_crypto::SecretBytes;
use uuid::Uuid;

use super::rows::{self, Volume};
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::store::millis;

/// Name of the blob, the same for all disks.
pub(super) const BLOB: &str = "abcd";
/// Domain of the hosts.
pub(super) const DOMAIN: &str = ".blob.storage.azure.net";
/// Version of the protocol that the signatures name.
pub(super) const VERSION: &str = "2018-03-28";

const READ: &str = "md-";
const WRITE: &str = "md-impexp-";

/// What a signature lets do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::compute) enum Right {
    /// Read.
    Read,
    /// Read and write, for an upload.
    Write,
}

/// Access to a volume's content.
#[derive(Clone, Debug)]
pub(in crate::compute) struct Grant {
    /// Policy that the signature names.
    pub policy: String,
    /// What it lets do.
    pub right: Right,
    container: String,
    secret: SecretBytes,
}

impl Grant {
    /// Gives access for a time, in place of the access that was given before.
    pub fn give(cx: &Cx<'_>, volume: &Volume, right: Right, lasts: Duration) -> Result<Self, Refusal> {
        let grant = Self {
            policy: Uuid::new_v4().to_string(),
            right,
            container: rows::label(cx.random::<12>()),
            secret: cx.random::<32>().to_vec().into(),
        };
        let sealed = cx.seal(&place(volume, &grant.policy), grant.secret.expose());
        cx.tx
            .prepare_cached(
                "INSERT OR REPLACE INTO volume_grants (volume, policy, container, secret, writes, expires)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                volume.id,
                grant.policy,
                grant.container,
                sealed,
                right == Right::Write,
                millis(cx.now + lasts)
            ])?;
        Ok(grant)
    }

    /// Lets access that was given last at least so long from now.
    pub fn extend(cx: &Cx<'_>, volume: &Volume, lasts: Duration) -> Result<(), Refusal> {
        cx.tx
            .prepare_cached("UPDATE volume_grants SET expires = max(expires, ?2) WHERE volume = ?1")?
            .execute(params![volume.id, millis(cx.now + lasts)])?;
        Ok(())
    }

    /// The access that is given to a volume now.
    pub fn of(cx: &Cx<'_>, volume: &Volume) -> Result<Option<Self>, Refusal> {
        type Found = (String, String, Vec<u8>, bool);
        let found: Option<Found> = cx
            .tx
            .prepare_cached(
                "SELECT policy, container, secret, writes FROM volume_grants WHERE volume = ?1 AND expires > ?2",
            )?
            .query_row(params![volume.id, millis(cx.now)], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .optional()?;
        let Some((policy, container, sealed, writes)) = found else { return Ok(None) };
        let secret = cx.open(&place(volume, &policy), &sealed)?;
        let right = if writes { Right::Write } else { Right::Read };
        Ok(Some(Self { policy, right, container, secret }))
    }

    /// Takes the access to a volume away; says whether somebody had it.
    pub fn revoke(cx: &Cx<'_>, volume: &Volume) -> Result<bool, Refusal> {
        let gone = cx.tx.prepare_cached("DELETE FROM volume_grants WHERE volume = ?1")?.execute([volume.id])?;
        Ok(gone > 0)
    }

    /// The URL with the signature.
    pub fn url(&self, volume: &Volume) -> String {
        let host = self.host(volume);
        let query: String = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("sv", VERSION), ("sr", "b"), ("si", &self.policy), ("sig", &self.signature(volume))])
            .finish();
        format!("https://{host}/{}/{BLOB}?{query}", self.container)
    }

    /// Host at which the content is found: disks are spread over zones.
    pub fn host(&self, volume: &Volume) -> String {
        let prefix = if self.right == Right::Write { WRITE } else { READ };
        let zone = volume.host.bytes().map(u32::from).sum::<u32>() % 50 + 1;
        format!("{prefix}{}.z{zone}{DOMAIN}", volume.host)
    }

    /// Path of the blob.
    pub fn path(&self) -> String {
        format!("/{}/{BLOB}", self.container)
    }

    /// Whether a signature is this grant's.
    pub fn signed(&self, volume: &Volume, signature: &str) -> bool {
        let tag = STANDARD.decode(signature).unwrap_or_default();
        sealbook_crypto::verify_hmac_sha256(self.secret.expose(), self.text(volume).as_bytes(), &tag).is_ok()
    }

    fn signature(&self, volume: &Volume) -> String {
        STANDARD.encode(sealbook_crypto::hmac_sha256(self.secret.expose(), self.text(volume).as_bytes()))
    }

    fn text(&self, volume: &Volume) -> String {
        format!("{}\n{}\n{}\nb\n{VERSION}", self.host(volume), self.path(), self.policy)
    }
}

/// What is a volume's own in the name of its host.
pub(super) fn own_label(host: &str) -> Option<&str> {
    let (label, zone) = host.strip_suffix(DOMAIN)?.split_once('.')?;
    let own = label.strip_prefix(WRITE).or_else(|| label.strip_prefix(READ))?;
    let digits = zone.strip_prefix('z')?;
    (!own.is_empty() && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then_some(own)
}

/// Associated data of a grant's secret.
fn place(volume: &Volume, policy: &str) -> String {
    format!("volume-grant/{}/{policy}", volume.uid)
}

#[cfg(test)]
mod tests {
    use super::own_label;

    #[test]
    fn hosts_of_disks() {
        for (host, expected) in [
            ("md-b0pm20kcsc4n.z12.blob.storage.azure.net", Some("b0pm20kcsc4n")),
            ("md-impexp-b0pm20kcsc4n.z1.blob.storage.azure.net", Some("b0pm20kcsc4n")),
            ("md-b0pm20kcsc4n.blob.storage.azure.net", None),
            ("md-.z1.blob.storage.azure.net", None),
            ("md-a.zx.blob.storage.azure.net", None),
            ("account.z1.blob.storage.azure.net", None),
            ("md-a.z1.blob.core.windows.net", None),
        ] {
            assert_eq!(own_label(host), expected, "{host}");
        }
    }
}
