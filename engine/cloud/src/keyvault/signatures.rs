//! Signatures over digests: sign and verify (RFC 7518 §3; `ES256K`: RFC 8812 §3.2).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealbook_crypto::ec::Curve;
use sealbook_crypto::rsa::SignaturePadding;
use sealbook_crypto::{Digest, Hash};
use serde_json::{Value, json};

use super::cryptography::{Action, permitted};
use super::material::{self, Private, Public};
use super::requests::{self, bad};
use super::store::Version;
use super::{bundle, keys, keystore};
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;

/// How an algorithm signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Rsa(SignaturePadding),
    Ec(Curve),
}

/// A signature algorithm.
#[derive(Debug)]
struct Algorithm {
    name: &'static str,
    scheme: Scheme,
    hash: Hash,
}

const fn algorithm(name: &'static str, scheme: Scheme, hash: Hash) -> Algorithm {
    Algorithm { name, scheme, hash }
}

/// What a vault signs with (`JsonWebKeySignatureAlgorithm`).
static ALGORITHMS: [Algorithm; 10] = [
    algorithm("RS256", Scheme::Rsa(SignaturePadding::Pkcs1v15), Hash::Sha256),
    algorithm("RS384", Scheme::Rsa(SignaturePadding::Pkcs1v15), Hash::Sha384),
    algorithm("RS512", Scheme::Rsa(SignaturePadding::Pkcs1v15), Hash::Sha512),
    algorithm("PS256", Scheme::Rsa(SignaturePadding::Pss), Hash::Sha256),
    algorithm("PS384", Scheme::Rsa(SignaturePadding::Pss), Hash::Sha384),
    algorithm("PS512", Scheme::Rsa(SignaturePadding::Pss), Hash::Sha512),
    algorithm("ES256", Scheme::Ec(Curve::P256), Hash::Sha256),
    algorithm("ES384", Scheme::Ec(Curve::P384), Hash::Sha384),
    algorithm("ES512", Scheme::Ec(Curve::P521), Hash::Sha512),
    algorithm("ES256K", Scheme::Ec(Curve::P256K), Hash::Sha256),
];

impl Algorithm {
    /// Reads `alg`.
    fn read(body: &Value) -> Result<&'static Self, Refusal> {
        let name = body["alg"].as_str().ok_or_else(|| bad("Property alg is required."))?;
        ALGORITHMS.iter().find(|algorithm| algorithm.name == name).ok_or_else(|| {
            let known: Vec<&str> = ALGORITHMS.iter().map(|algorithm| algorithm.name).collect();
            let refusal = bad(format!("Property alg has invalid value {name}: algorithms are {}.", known.join(", ")));
            if name == "RSNULL" { refusal.gap("the reserved algorithm RSNULL") } else { refusal }
        })
    }

    /// Refuses a key of another type or curve.
    fn check_key(&self, kid: &str, version: &Version) -> Result<(), Refusal> {
        let (uses, needs) = match (self.scheme, &version.public) {
            (Scheme::Rsa(_), Public::Rsa(_)) => return Ok(()),
            (Scheme::Ec(curve), Public::Ec(public)) if public.curve == curve => return Ok(()),
            (Scheme::Ec(curve), Public::Ec(public)) => {
                (format!("uses curve '{}'", public.curve.name()), format!("curve '{}'", curve.name()))
            }
            (Scheme::Rsa(_), Public::Ec(_) | Public::Aes(_)) => {
                (format!("is of type '{}'", version.kty), "a key of type 'RSA' or 'RSA-HSM'".to_owned())
            }
            (Scheme::Ec(_), Public::Rsa(_) | Public::Aes(_)) => {
                (format!("is of type '{}'", version.kty), "a key of type 'EC' or 'EC-HSM'".to_owned())
            }
        };
        let name = self.name;
        Err(bad(format!(
            "Key and signing algorithm are incompatible. Key {kid} {uses}, and algorithm '{name}' can only be used with {needs}."
        )))
    }

    /// Reads the digest, whose length the algorithm fixes.
    fn digest(&self, body: &Value, property: &str) -> Result<Digest, Refusal> {
        let bytes = requests::bytes(body, property)?;
        Digest::from_bytes(self.hash, &bytes).ok_or_else(|| {
            bad(format!(
                "Invalid length of '{property}': {} bytes. {} requires {} bytes, encoded with base64url.",
                bytes.len(),
                self.name,
                self.hash.bytes()
            ))
        })
    }
}

/// The version that a path names, when it permits the action, with its identifier and the request.
fn prepare(cx: &Cx<'_>, p: &Params, action: Action) -> Result<(Version, String, Value), Refusal> {
    let keystore = keystore::of_request(cx)?;
    let key = keys::live(cx, &keystore, p.get("key"))?;
    let version = keys::version_of(cx, &key, p)?;
    permitted(cx, &version, action).map_err(|fault| fault.refusal(action))?;
    let kid = bundle::kid(&keystore, &key.name, Some(&version.version));
    Ok((version, kid, requests::object(cx)?))
}

/// Signs a digest (`sign`).
pub(super) fn sign(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let (version, kid, body) = prepare(cx, p, Action::Sign)?;
    let algorithm = Algorithm::read(&body)?;
    algorithm.check_key(&kid, &version)?;
    let digest = algorithm.digest(&body, "value")?;
    let signature = match (material::open(cx, &kid, &version)?, algorithm.scheme) {
        (Private::Rsa(key), Scheme::Rsa(padding)) => key.sign(padding, &digest).map_err(Refusal::internal)?,
        (Private::Ec(key), Scheme::Ec(_)) => key.sign(&digest).map_err(Refusal::internal)?,
        _ => return Err(Refusal::internal(format!("the private key of {kid} has another type than the public one"))),
    };
    Ok(Answer::ok(&json!({ "kid": kid, "value": URL_SAFE_NO_PAD.encode(signature) })))
}

/// Checks a signature over a digest (`verify`). One that does not verify is an answer, not a refusal.
pub(super) fn verify(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let (version, kid, body) = prepare(cx, p, Action::Verify)?;
    let algorithm = Algorithm::read(&body)?;
    algorithm.check_key(&kid, &version)?;
    let digest = algorithm.digest(&body, "digest")?;
    let signature = requests::bytes(&body, "value")?;
    let verified = match (&version.public, algorithm.scheme) {
        (Public::Rsa(key), Scheme::Rsa(padding)) => key.verify(padding, &digest, &signature).is_ok(),
        (Public::Ec(key), Scheme::Ec(_)) => key.verify(&digest, &signature).is_ok(),
        _ => false,
    };
    Ok(Answer::ok(&json!({ "value": verified })))
}
