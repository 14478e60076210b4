//! The security domain of Azure's managed HSM: the documents that carry it, as the Azure CLI's `security-domain` commands
//! write and read them. The embedded Azure writes them, a run opens them: both with this.
//!
//! What a managed HSM gives out (`EncData`, `SharedKeys`): each secret is encrypted under a key that SP 800-108 derives
//! from a master key and the secret's tag; the master key is split by Shamir's scheme, a share for each holder's
//! certificate ([`write`], [`open`]). What another one takes (`EncData`, `WrappedKey`): the same secrets under a new
//! master key, which is encrypted to its transfer key as a whole ([`carry`], [`receive`]). What the secrets are is a
//! managed HSM's own affair.

pub mod certificate;
mod jwe;

use serde_json::{Value, json};

use crate::rsa::{RsaKey, RsaPublic};
use crate::{SecretBytes, hmac_sha512, random, shamir};

/// Name of the derivation.
const KDF: &str = "sp108_kdf";

/// Why a security domain can't be written or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// The document is no security domain, or was not made for these keys.
    #[error("it is no security domain, or was made for other keys")]
    Malformed,
    /// Too few of the keys open a share.
    #[error("{have} of the keys open a share, and {required} are required")]
    Quorum {
        /// How many open one.
        have: usize,
        /// How many it takes.
        required: usize,
    },
}

/// One secret of a security domain.
#[derive(Debug)]
pub struct Datum {
    /// What it is.
    pub tag: String,
    /// The secret.
    pub secret: SecretBytes,
}

/// Somebody to whom something is encrypted.
#[derive(Debug)]
pub struct Holder {
    /// The certificate's key.
    pub key: RsaPublic,
    /// SHA-256 of the certificate, base64url.
    pub thumbprint: String,
}

impl Holder {
    /// Reads a certificate; `None` when it is none, or not that of an RSA key.
    #[must_use]
    pub fn of_certificate(der: &[u8]) -> Option<Self> {
        Some(Self { key: certificate::public_key(der)?, thumbprint: certificate::thumbprint(der) })
    }
}

/// A security domain that a quorum has opened.
#[derive(Debug)]
pub struct Opened {
    /// Its secrets.
    pub data: Vec<Datum>,
    /// How many shares there are.
    pub shares: usize,
    /// How many of them it takes.
    pub required: usize,
}

/// Derives the 512-bit key of a tag: SP 800-108 in counter mode with HMAC-SHA-512, the tag as label, no context.
fn derive(master: &SecretBytes, tag: &str) -> SecretBytes {
    let mut input = 1_u32.to_be_bytes().to_vec();
    input.extend_from_slice(tag.as_bytes());
    input.push(0);
    input.extend_from_slice(&512_u32.to_be_bytes());
    SecretBytes::new(hmac_sha512(master.expose(), &input).to_vec())
}

fn encrypted(data: &[Datum], master: &SecretBytes) -> Result<Value, DomainError> {
    let mut all = Vec::new();
    for Datum { tag, secret } in data {
        let compact = jwe::with_key(&derive(master, tag), tag, secret.expose())?;
        all.push(json!({ "compact_jwe": compact, "tag": tag }));
    }
    Ok(json!({ "data": all, "kdf": KDF }))
}

fn decrypted(document: &Value, master: &SecretBytes) -> Result<Vec<Datum>, DomainError> {
    let one = |datum: &Value| {
        let tag = datum["tag"].as_str()?;
        let secret = jwe::open_with_key(datum["compact_jwe"].as_str()?, &derive(master, tag))?;
        Some(Datum { tag: tag.to_owned(), secret })
    };
    let data = document["EncData"]["data"].as_array().filter(|_| document["EncData"]["kdf"] == KDF);
    let data = data.ok_or(DomainError::Malformed)?;
    data.iter().map(one).collect::<Option<_>>().ok_or(DomainError::Malformed)
}

/// Writes a security domain that `required` of the holders can open together.
///
/// # Errors
/// [`DomainError::Quorum`] for a quorum below two or above the number of holders.
pub fn write(data: &[Datum], holders: &[Holder], required: u8) -> Result<Value, DomainError> {
    let quorum = DomainError::Quorum { have: holders.len(), required: required.into() };
    let master = SecretBytes::new(random::<32>().to_vec());
    let count = u8::try_from(holders.len()).map_err(|_| quorum)?;
    let shares = shamir::split(master.expose(), required, count).map_err(|_| quorum)?;
    let mut all = Vec::new();
    for (holder, share) in holders.iter().zip(&shares) {
        let compact = jwe::for_recipient(&holder.key, share)?;
        all.push(json!({ "enc_key": compact, "x5t_256": holder.thumbprint }));
    }
    Ok(json!({
        "EncData": encrypted(data, &master)?,
        "SharedKeys": { "enc_shares": all, "key_algorithm": "shamir_share", "required": required },
        "version": 1,
    }))
}

/// Opens a security domain with the holders' private keys, in any order.
///
/// # Errors
/// [`DomainError::Quorum`] when too few of the keys open a share, else [`DomainError::Malformed`].
pub fn open(document: &Value, keys: &[&RsaKey]) -> Result<Opened, DomainError> {
    let shared = &document["SharedKeys"];
    let all = shared["enc_shares"].as_array().ok_or(DomainError::Malformed)?;
    let required = shared["required"].as_u64().and_then(|n| u8::try_from(n).ok()).ok_or(DomainError::Malformed)?;
    let share_of =
        |key: &&RsaKey| all.iter().find_map(|share| jwe::open_with_private_key(share["enc_key"].as_str()?, key));
    let mut shares: Vec<SecretBytes> = Vec::new();
    for share in keys.iter().filter_map(share_of) {
        // The same key twice is one share.
        if shares.iter().all(|known| known.expose() != share.expose()) {
            shares.push(share);
        }
    }
    if shares.len() < usize::from(required) {
        return Err(DomainError::Quorum { have: shares.len(), required: required.into() });
    }
    let master = shamir::join(&shares, required).map_err(|_| DomainError::Malformed)?;
    Ok(Opened { data: decrypted(document, &master)?, shares: all.len(), required: required.into() })
}

/// Encrypts the secrets to the transfer key of another managed HSM.
///
/// # Errors
/// [`DomainError::Malformed`] for a key that can't be encrypted to.
pub fn carry(data: &[Datum], transfer: &Holder) -> Result<Value, DomainError> {
    let master = SecretBytes::new(random::<32>().to_vec());
    Ok(json!({
        "EncData": encrypted(data, &master)?,
        "WrappedKey": { "enc_key": jwe::for_recipient(&transfer.key, &master)?, "x5t_256": transfer.thumbprint },
    }))
}

/// Reads what was encrypted to the transfer key `key`, whose certificate has this thumbprint.
///
/// # Errors
/// [`DomainError::Malformed`] when it was not.
pub fn receive(document: &Value, key: &RsaKey, thumbprint: &str) -> Result<Vec<Datum>, DomainError> {
    let wrapped = &document["WrappedKey"];
    let compact = wrapped["enc_key"].as_str().filter(|_| wrapped["x5t_256"] == thumbprint);
    let master = jwe::open_with_private_key(compact.ok_or(DomainError::Malformed)?, key);
    decrypted(document, &master.ok_or(DomainError::Malformed)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rsa::RsaBits;

    fn data() -> Vec<Datum> {
        let datum = |tag: &str, secret: &[u8]| Datum { tag: tag.into(), secret: SecretBytes::from(secret.to_vec()) };
        vec![datum("SecurityDomainId", b"id"), datum("BackupKey", &[7; 32])]
    }

    fn holder(key: &RsaKey, name: &str) -> Holder {
        Holder { key: key.public(), thumbprint: name.to_owned() }
    }

    fn same(a: &[Datum], b: &[Datum]) -> bool {
        let parts = |all: &[Datum]| all.iter().map(|d| (d.tag.clone(), d.secret.expose().to_vec())).collect::<Vec<_>>();
        parts(a) == parts(b)
    }

    #[test]
    fn a_quorum_opens_it_and_fewer_do_not() {
        let keys: Vec<RsaKey> = (0..3).map(|_| RsaKey::generate(RsaBits::B2048)).collect();
        let holders: Vec<Holder> = keys.iter().zip(["a", "b", "c"]).map(|(key, name)| holder(key, name)).collect();
        let document = write(&data(), &holders, 2).unwrap();
        for pair in [[0, 1], [2, 0], [1, 2]] {
            let opened = open(&document, &pair.map(|i| &keys[i])).unwrap();
            assert!(same(&opened.data, &data()));
            assert_eq!((opened.shares, opened.required), (3, 2));
        }
        let stranger = RsaKey::generate(RsaBits::B2048);
        let alone = Err(DomainError::Quorum { have: 1, required: 2 });
        for few in [vec![&keys[0]], vec![&keys[0], &keys[0]], vec![&keys[0], &stranger]] {
            assert_eq!(open(&document, &few).map(|_| ()), alone);
        }
        let mut other = write(&data(), &holders, 2).unwrap();
        other["SharedKeys"] = document["SharedKeys"].clone();
        assert_eq!(open(&other, &[&keys[0], &keys[1]]).map(|_| ()), Err(DomainError::Malformed));
        for (count, required) in [(3, 1), (3, 4)] {
            assert!(write(&data(), &holders[..count], required).is_err());
        }
    }

    #[test]
    fn what_was_carried_for_another_key_is_refused() {
        let (ours, other) = (RsaKey::generate(RsaBits::B2048), RsaKey::generate(RsaBits::B2048));
        let document = carry(&data(), &holder(&ours, "t")).unwrap();
        assert!(same(&receive(&document, &ours, "t").unwrap(), &data()));
        assert!(receive(&document, &other, "t").is_err());
        assert!(receive(&document, &ours, "u").is_err());
        assert!(receive(&json!({}), &ours, "t").is_err());
        let mut changed = document.clone();
        changed["EncData"]["kdf"] = "other".into();
        assert!(receive(&changed, &ours, "t").is_err());
    }

    /// What the Azure CLI's own derivation gives for this key and tag.
    #[test]
    fn the_derivation_is_that_of_the_azure_cli() {
        let derived = derive(&SecretBytes::new(vec![0x41; 32]), "label");
        assert_eq!(hex::encode(derived.expose()), DERIVED);
    }

    const DERIVED: &str = "9c41b4a9a405e391404337ffa1ec581d08ace0e44397c9c16c8bfa1e7f6f1dfdc31ecf9b7e3101f9d071c215fcea52cc2b6d771c539f29c6971eb13a5862605d";
}
