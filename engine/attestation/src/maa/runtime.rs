//! Keys of the attested environment in its runtime data.

use sealbook_crypto::rsa::RsaPublic;
use serde_json::Value;

use crate::jwk;

/// An RSA public key of the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwk {
    /// Key identifier.
    pub kid: String,
    /// Modulus, big-endian without leading zeros.
    pub n: Vec<u8>,
    /// Public exponent, big-endian without leading zeros.
    pub e: Vec<u8>,
}

/// Finds the key to which a vault wraps what it releases: of `x-ms-runtime.keys`, the first RSA key that is for
/// encryption (`use` or `key_use` is `enc`, or `key_ops` has `encrypt`). The grammar page demands that it has a key
/// identifier; when the first suitable one lacks it, or is broken, there is none: going on to the next would wrap to a
/// key that another reader would not choose.
#[must_use]
pub fn release_key(claims: &Value) -> Option<Jwk> {
    let keys = claims.get("x-ms-runtime")?.get("keys")?.as_array()?;
    let key = keys.iter().find(|key| suitable(key))?;
    let kid = key.get("kid")?.as_str().filter(|kid| !kid.is_empty())?.to_owned();
    let RsaPublic { n, e } = jwk::components(key)?;
    jwk::sound(&e).then_some(Jwk { kid, n, e })
}

fn suitable(key: &Value) -> bool {
    let is = |name: &str, value: &str| key.get(name).is_some_and(|seen| seen == value);
    let encrypts = key.get("key_ops").and_then(Value::as_array).is_some_and(|ops| ops.iter().any(|op| op == "encrypt"));
    is("kty", "RSA") && (is("use", "enc") || is("key_use", "enc") || encrypts)
}
