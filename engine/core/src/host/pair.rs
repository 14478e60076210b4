//! Key pairs outside of any key store: made by the host, sealed among the run's artifacts, never shown.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealbook_crypto::SecretBytes;
use sealbook_crypto::rsa::{RsaBits, RsaKey, RsaPublic, TransferBlob};
use sealbook_model::grant::Condition;
use serde_json::{Value, json};

use super::artifact::Sealed;
use super::desk::Desk;
use super::fault::Fault;
use super::handle::Pair;
use crate::step::{Failure, StepError};

/// Makes a pair, or finds the one of that name and length that this step made before.
pub(crate) async fn generate(desk: &Desk, name: &str, bits: RsaBits) -> Result<Pair, Failure> {
    let reference = format!("artifact:{}/{name}", desk.call.step);
    if let Some(standing) = desk.shelf.find(&reference).await?
        && standing.is_secret()
        && let Ok(key) = RsaKey::from_pkcs8(standing.read_secret().await?.expose())
        && key.bits() == bits
    {
        return Ok(Pair::open(reference, key));
    }
    let made = tokio::task::spawn_blocking(move || RsaKey::generate(bits)).await;
    let key = made.map_err(|error| Fault::Host(format!("a key pair can't be made: {error}")))?;
    let document = key.to_pkcs8().expose().to_vec();
    desk.shelf.write(&desk.call.step, name, document, true).await?;
    Ok(Pair::open(reference, key))
}

/// Keeps a pair that was released to this machine, given as PKCS#8, in memory, with the conditions of its use.
pub(crate) fn keep(
    desk: &Desk,
    name: &str,
    document: &SecretBytes,
    gate: BTreeSet<Condition>,
) -> Result<Pair, Failure> {
    let key = RsaKey::from_pkcs8(document.expose()).map_err(|_| StepError::Permanent {
        message: "the released key is no RSA key of 2048, 3072 or 4096 bits; steps can use no other".into(),
    })?;
    let pair = Pair::gated(format!("key:{}/{name}", desk.call.step), key, gate);
    Ok(desk.pairs.keep(&desk.call.run, pair))
}

/// The longest PKCS#8 document of an RSA key that is a pair: one of 4096 bits takes 2.4 KB.
const LONGEST: u64 = 4096;

/// Refuses to let a pair's private half out as a file: it is sealed at rest and used by handle, and nothing else.
pub(crate) async fn stays(source: &Sealed) -> Result<(), Failure> {
    if source.is_secret()
        && source.length() <= LONGEST
        && RsaKey::from_pkcs8(source.read_secret().await?.expose()).is_ok()
    {
        return Err(invalid("source", "it is a key pair, whose private half stays where it is"));
    }
    Ok(())
}

/// Opens a pair by its reference.
pub(crate) async fn open(desk: &Desk, reference: &str) -> Result<Pair, Failure> {
    if let Some(pair) = desk.pairs.get(&desk.call.run, reference) {
        return Ok(pair);
    }
    let sealed = desk.shelf.open(reference).await?;
    let key = RsaKey::from_pkcs8(sealed.read_secret().await?.expose());
    let key = key.map_err(|_| invalid("reference", "it is no key pair: the host keeps those as PKCS#8 of RSA keys"))?;
    Ok(Pair::open(reference.to_owned(), key))
}

/// The public half as a JSON Web Key (RFC 7517).
pub(crate) fn jwk(RsaPublic { n, e }: RsaPublic) -> Value {
    json!({ "kty": "RSA", "n": URL_SAFE_NO_PAD.encode(n), "e": URL_SAFE_NO_PAD.encode(e) })
}

/// Wraps a key for a key exchange key, given as its bundle ("Bring your own key specification", Azure Key Vault).
pub(crate) fn transfer_blob(target: &RsaKey, exchange: &Value) -> Result<Vec<u8>, Failure> {
    let jwk = &exchange["key"];
    let kid = jwk["kid"].as_str().ok_or_else(|| invalid("exchange", "it names no key (`key.kid`)"))?;
    if !jwk["key_ops"].as_array().is_some_and(|ops| ops.iter().any(|op| op == "import")) {
        return Err(invalid("exchange", "the key is no key exchange key: its operation has to be `import`"));
    }
    let number =
        |name: &str| jwk[name].as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok());
    let public = number("n").zip(number("e")).map(|(n, e)| RsaPublic { n, e }).filter(|key| key.bits().is_some());
    let public = public.ok_or_else(|| invalid("exchange", "it is no RSA key of 2048, 3072 or 4096 bits"))?;
    let blob = TransferBlob::wrap(kid, &public, &target.to_pkcs8());
    let blob = blob.map_err(|error| Fault::Host(format!("a key can't be wrapped: {error}")))?;
    Ok(blob.encode(concat!("Sealbook ", env!("CARGO_PKG_VERSION"))))
}

fn invalid(field: &str, message: &str) -> Failure {
    StepError::InvalidInput { field: field.into(), message: message.into() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(key: &RsaKey, changes: &Value) -> Value {
        let mut bundle = json!({ "key": { "kid": "https://v.vault.azure.net/keys/kek/1", "key_ops": ["import"] } });
        for part in [&jwk(key.public()), changes] {
            for (name, value) in part.as_object().unwrap() {
                bundle["key"][name] = value.clone();
            }
        }
        bundle
    }

    #[test]
    fn the_exchange_key_opens_the_blob_and_nobody_else() {
        let (target, kek, other) =
            (RsaKey::generate(RsaBits::B2048), RsaKey::generate(RsaBits::B2048), RsaKey::generate(RsaBits::B2048));
        let blob = transfer_blob(&target, &exchange(&kek, &json!({}))).unwrap();
        let blob = TransferBlob::parse(&blob).unwrap();
        assert_eq!(blob.kid, "https://v.vault.azure.net/keys/kek/1");
        let opened = blob.unwrap(&kek).unwrap();
        assert_eq!(RsaKey::from_pkcs8(opened.expose()).unwrap().public().n, target.public().n);
        assert!(blob.unwrap(&other).is_err());
    }

    #[test]
    fn only_an_exchange_key_is_wrapped_for() {
        let (target, kek) = (RsaKey::generate(RsaBits::B2048), RsaKey::generate(RsaBits::B2048));
        let rows = [
            (json!({ "key_ops": ["wrapKey"] }), "its operation has to be `import`"),
            (json!({ "kid": null }), "names no key"),
            (json!({ "n": "AQAB" }), "no RSA key"),
        ];
        for (changes, expected) in rows {
            let failure = transfer_blob(&target, &exchange(&kek, &changes)).unwrap_err();
            assert!(failure.error.to_string().contains(expected), "{:?}", failure.error);
        }
    }
}
