//! The documents that carry a security domain, as the Azure CLI's `security-domain` commands write and read them.
//!
//! What goes out (`EncData`, `SharedKeys`): each secret is encrypted under a key that SP 800-108 derives from a master
//! key and the secret's tag; the master key is split by Shamir's scheme, a share for each certificate. What comes back
//! (`EncData`, `WrappedKey`): the same secrets under a new master key, which is encrypted to the transfer key as a
//! whole. What the secrets are is a managed HSM's own affair.

use sealbook_crypto::rsa::RsaKey;
use sealbook_crypto::{SecretBytes, hmac_sha512, shamir};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::super::state::Domain;
use super::certificate::Recipient;
use super::jwe;
use crate::refusal::Refusal;

/// Tag of the domain's name.
const ID: &str = "SecurityDomainId";
/// Tag of the key that seals backups.
const BACKUP_KEY: &str = "BackupKey";
/// Name of the derivation.
const KDF: &str = "sp108_kdf";

/// Derives the 512-bit key of a tag: SP 800-108 in counter mode with HMAC-SHA-512, the tag as label, no context.
pub(super) fn derive(master: &SecretBytes, tag: &str) -> SecretBytes {
    let mut input = 1_u32.to_be_bytes().to_vec();
    input.extend_from_slice(tag.as_bytes());
    input.push(0);
    input.extend_from_slice(&512_u32.to_be_bytes());
    SecretBytes::new(hmac_sha512(master.expose(), &input).to_vec())
}

fn encrypted(domain: &Domain, master: &SecretBytes) -> Result<Value, Refusal> {
    let mut data = Vec::new();
    for (tag, secret) in [(ID, domain.id.as_bytes()), (BACKUP_KEY, &domain.backup_key[..])] {
        let compact = jwe::with_key(&derive(master, tag), tag, secret)?;
        data.push(json!({ "compact_jwe": compact, "tag": tag }));
    }
    Ok(json!({ "data": data, "kdf": KDF }))
}

/// Writes a security domain that `required` of the recipients can open together.
pub(super) fn write(domain: &Domain, recipients: &[Recipient], required: u8) -> Result<Value, Refusal> {
    let master = SecretBytes::new(sealbook_crypto::random::<32>().to_vec());
    let count = u8::try_from(recipients.len()).map_err(Refusal::internal)?;
    let shares = shamir::split(master.expose(), required, count).map_err(Refusal::internal)?;
    let mut encrypted_shares = Vec::new();
    for (recipient, share) in recipients.iter().zip(&shares) {
        let compact = jwe::for_recipient(&recipient.key, share)?;
        encrypted_shares.push(json!({ "enc_key": compact, "x5t_256": recipient.thumbprint }));
    }
    Ok(json!({
        "EncData": encrypted(domain, &master)?,
        "SharedKeys": { "enc_shares": encrypted_shares, "key_algorithm": "shamir_share", "required": required },
        "version": 1,
    }))
}

/// Reads what was encrypted to the transfer key `key`, whose certificate has this thumbprint; `None` when it was not.
pub(super) fn read(document: &Value, key: &RsaKey, thumbprint: &str) -> Option<Domain> {
    let wrapped = &document["WrappedKey"];
    if wrapped["x5t_256"] != thumbprint || document["EncData"]["kdf"] != KDF {
        return None;
    }
    let master = jwe::open_with_private_key(wrapped["enc_key"].as_str()?, key)?;
    let secret = |tag: &str| {
        let mut data = document["EncData"]["data"].as_array()?.iter();
        let datum = data.find(|datum| datum["tag"] == tag)?;
        jwe::open_with_key(datum["compact_jwe"].as_str()?, &derive(&master, tag))
    };
    let id = String::from_utf8(secret(ID)?.expose().to_vec()).ok()?;
    let backup_key: [u8; 32] = secret(BACKUP_KEY)?.expose().try_into().ok()?;
    Some(Domain { id, backup_key: Zeroizing::new(backup_key) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_crypto::rsa::RsaBits;

    fn recipient(key: &RsaKey, name: &str) -> Recipient {
        Recipient { key: key.public(), thumbprint: name.to_owned() }
    }

    /// The shares that these private keys open.
    fn shares(document: &Value, keys: &[&RsaKey]) -> Vec<SecretBytes> {
        let all = document["SharedKeys"]["enc_shares"].as_array().unwrap();
        let opened = all.iter().flat_map(|share| {
            keys.iter().filter_map(|key| jwe::open_with_private_key(share["enc_key"].as_str().unwrap(), key))
        });
        opened.collect()
    }

    #[test]
    fn a_quorum_opens_it_and_fewer_do_not() {
        let keys: Vec<RsaKey> = (0..3).map(|_| RsaKey::generate(RsaBits::B2048)).collect();
        let recipients: Vec<Recipient> = keys.iter().zip(["a", "b", "c"]).map(|(k, n)| recipient(k, n)).collect();
        let domain = Domain::generate();
        let document = write(&domain, &recipients, 2).unwrap();
        for pair in [[0, 1], [2, 0], [1, 2]] {
            let opened = shares(&document, &pair.map(|i| &keys[i]));
            let master = shamir::join(&opened, 2).unwrap();
            for (datum, expected) in [(0, domain.id.as_bytes()), (1, &domain.backup_key[..])] {
                let datum = &document["EncData"]["data"][datum];
                let key = derive(&master, datum["tag"].as_str().unwrap());
                let secret = jwe::open_with_key(datum["compact_jwe"].as_str().unwrap(), &key).unwrap();
                assert_eq!(secret.expose(), expected);
            }
        }
        let alone = shares(&document, &[&keys[0]]);
        assert_eq!(alone.len(), 1);
        assert!(shamir::join(&alone, 2).is_err());
        let guess = shamir::join(&[alone[0].clone(), SecretBytes::new(2_u16.to_le_bytes().repeat(32))], 2);
        let opened = guess.ok().and_then(|master| {
            let datum = &document["EncData"]["data"][1];
            jwe::open_with_key(datum["compact_jwe"].as_str().unwrap(), &derive(&master, BACKUP_KEY))
        });
        assert!(opened.is_none());
    }

    #[test]
    fn what_was_made_for_another_key_is_refused() {
        let (ours, other) = (RsaKey::generate(RsaBits::B2048), RsaKey::generate(RsaBits::B2048));
        let domain = Domain::generate();
        let master = SecretBytes::new(vec![7; 32]);
        let document = |key: &RsaKey, name: &str| {
            json!({
                "EncData": encrypted(&domain, &master).unwrap(),
                "WrappedKey": { "enc_key": jwe::for_recipient(&key.public(), &master).unwrap(), "x5t_256": name },
            })
        };
        let read_back = read(&document(&ours, "t"), &ours, "t").unwrap();
        assert_eq!((read_back.id, read_back.backup_key), (domain.id.clone(), domain.backup_key.clone()));
        assert!(read(&document(&other, "t"), &ours, "t").is_none());
        assert!(read(&document(&ours, "u"), &ours, "t").is_none());
        let mut cut = document(&ours, "t");
        cut["EncData"]["data"].as_array_mut().unwrap().pop();
        assert!(read(&cut, &ours, "t").is_none());
        assert!(read(&json!({}), &ours, "t").is_none());
    }

    /// What the Azure CLI's own derivation gives for this key and tag.
    #[test]
    fn the_derivation_is_that_of_the_azure_cli() {
        let derived = derive(&SecretBytes::new(vec![0x41; 32]), "label");
        assert_eq!(hex::encode(derived.expose()), DERIVED);
    }

    const DERIVED: &str = "9c41b4a9a405e391404337ffa1ec581d08ace0e44397c9c16c8bfa1e7f6f1dfdc31ecf9b7e3101f9d071c215fcea52cc2b6d771c539f29c6971eb13a5862605d";
}
