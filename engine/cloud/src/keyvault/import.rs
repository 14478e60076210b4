//! Import of keys (`ImportKey`): a JSON Web Key with its private parts, or with a key transfer blob, becomes a version.

use sealbook_crypto::SecretBytes;
use sealbook_crypto::aes::AesKey;
use sealbook_crypto::ec::{EcKey, EcPublic};
use sealbook_crypto::rsa::{RsaComponents, RsaKey, RsaPublic};
use serde_json::{Value, json};

use super::keystore::{KeyStore, Kind};
use super::material::Private;
use super::new_version::{self, Source, Wanted};
use super::requests::{self, Attributes, bad};
use super::{bundle, keys, keystore, release_policy, transfer};
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;

/// Imports a key, or a new version of one (`ImportKey`).
pub(super) fn import(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let keystore = keystore::of_request(cx)?;
    let name = p.get("key");
    requests::check_key_name(name)?;
    let wanted = given(cx, &keystore, &requests::object(cx)?)?;
    let key = keys::named(cx, &keystore, name)?;
    let version = wanted.add(cx, &keystore, &key, cx.now)?;
    Ok(Answer::ok(&bundle::bundle(&keystore, &key, &version)))
}

/// Reads the body of an import (`KeyImportParameters`). The key's operations are those of its JSON Web Key.
fn given(cx: &Cx<'_>, keystore: &KeyStore, body: &Value) -> Result<Wanted, Refusal> {
    let jwk = &body["key"];
    if !jwk.is_object() {
        return Err(bad("Property key is required."));
    }
    let hardware = match (&body["Hsm"], &body["hsm"]) {
        (Value::Bool(hardware), _) | (Value::Null, Value::Bool(hardware)) => *hardware,
        // A managed HSM makes HSM keys of all that it is given.
        (Value::Null, Value::Null) => keystore.kind == Kind::Hsm,
        _ => return Err(bad("Property Hsm has invalid value: it must be true or false.")),
    };
    let attributes = Attributes::read(body)?;
    let kty = new_version::key_type(keystore, jwk, hardware)?;
    let release = release_policy::read(keystore, body, &kty, attributes)?;
    let operations = new_version::requested_operations(&kty, jwk)?;
    if operations.iter().any(|operation| operation == "import") {
        // Whoever brings a key exchange key from outside could open every transfer blob that is made for it.
        return Err(bad("Property key_ops has invalid value: a key exchange key is made in the vault, not imported."));
    }
    let tags = requests::tags(body)?.unwrap_or_else(|| json!({}));
    let private = match kty.as_str() {
        _ if !jwk["key_hsm"].is_null() => transferred(cx, keystore, jwk, &kty)?,
        "EC" | "EC-HSM" => elliptic(jwk)?,
        "oct-HSM" => symmetric(jwk)?,
        _ => rsa(jwk)?,
    };
    Ok(Wanted { kty, source: Source::Given(private), attributes, operations, tags, release })
}

/// The refusal of parts that are no key together. Which of them is wrong is not said.
fn inconsistent() -> Refusal {
    bad("Property key has invalid value: its parts do not make up one valid key.")
}

/// The target of a key transfer blob, which must be of the type and the curve of the JSON Web Key around it.
fn transferred(cx: &Cx<'_>, keystore: &KeyStore, jwk: &Value, kty: &str) -> Result<Private, Refusal> {
    if !kty.ends_with("-HSM") {
        return Err(bad(format!(
            "Property key.kty has invalid value {kty}: a key transfer blob holds a key of type RSA-HSM or EC-HSM."
        )));
    }
    let curve = match kty {
        "EC-HSM" if jwk["crv"].is_null() => return Err(bad("Property crv is required.")),
        "EC-HSM" => Some(new_version::curve(jwk)?),
        _ => None,
    };
    let target = transfer::open(cx, keystore, jwk)?;
    if kty == "oct-HSM" {
        return AesKey::from_bytes(target).map(Private::Aes).ok_or_else(|| {
            bad("Property key.key_hsm has invalid value: the wrapped key has not the length of a symmetric key.")
        });
    }
    let (private, what) = match curve {
        Some(curve) => (EcKey::from_pkcs8(curve, target.expose()).map(Private::Ec), format!("{kty} {}", curve.name())),
        None => {
            let what = format!("{kty} of 2048, 3072 or 4096 bits");
            (RsaKey::from_pkcs8(target.expose()).map(Private::Rsa), what)
        }
    };
    private.map_err(|_| {
        bad(format!(
            "Property key.key_hsm has invalid value: the wrapped key is no PKCS#8 document of a key of type {what}."
        ))
    })
}

fn secret(jwk: &Value, name: &str) -> Result<SecretBytes, Refusal> {
    requests::bytes(jwk, name).map(SecretBytes::from)
}

/// A number without its leading zeros, which some clients send.
fn number(jwk: &Value, name: &str) -> Result<Vec<u8>, Refusal> {
    let bytes = requests::bytes(jwk, name)?;
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    Ok(bytes[start..].to_vec())
}

fn rsa(jwk: &Value) -> Result<Private, Refusal> {
    let public = RsaPublic { n: number(jwk, "n")?, e: number(jwk, "e")? };
    if public.bits().is_none() {
        return Err(bad("Property key.n has invalid value: RSA keys have 2048, 3072 or 4096 bits."));
    }
    let parts = RsaComponents {
        public,
        d: secret(jwk, "d")?,
        p: secret(jwk, "p")?,
        q: secret(jwk, "q")?,
        dp: secret(jwk, "dp")?,
        dq: secret(jwk, "dq")?,
        qi: secret(jwk, "qi")?,
    };
    RsaKey::from_components(&parts).map(Private::Rsa).map_err(|_| inconsistent())
}

fn symmetric(jwk: &Value) -> Result<Private, Refusal> {
    AesKey::from_bytes(secret(jwk, "k")?)
        .map(Private::Aes)
        .ok_or_else(|| bad("Property key.k has invalid value: symmetric keys have 128, 192 or 256 bits."))
}

fn elliptic(jwk: &Value) -> Result<Private, Refusal> {
    if jwk["crv"].is_null() {
        return Err(bad("Property crv is required."));
    }
    let public = EcPublic { curve: new_version::curve(jwk)?, x: number(jwk, "x")?, y: number(jwk, "y")? };
    EcKey::from_components(&public, &secret(jwk, "d")?).map(Private::Ec).map_err(|_| inconsistent())
}
