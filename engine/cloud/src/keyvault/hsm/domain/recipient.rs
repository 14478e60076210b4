//! The certificates of a download (`SecurityDomainJsonWebKey`).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sealbook_crypto::security_domain::Holder;
use serde_json::Value;

use super::super::super::requests::bad;
use crate::refusal::Refusal;

/// Reads an entry of `certificates`. Its key is that of its certificate.
pub(super) fn read(jwk: &Value) -> Result<Holder, Refusal> {
    let invalid = |why: &str| bad(format!("Property certificates has invalid value: {why}."));
    let text = jwk["x5c"][0].as_str().ok_or_else(|| invalid("each needs its certificate in x5c"))?;
    let der = STANDARD.decode(text).map_err(|_| invalid("x5c must be base64"))?;
    let holder = Holder::of_certificate(&der).ok_or_else(|| invalid("x5c must be the certificate of an RSA key"))?;
    if holder.key.bits().is_none() {
        return Err(invalid("keys must be RSA keys of 2048, 3072 or 4096 bits"));
    }
    let named = |name: &str, value: &str| jwk[name].is_null() || jwk[name] == value;
    if !named("x5t#S256", &holder.thumbprint) {
        return Err(invalid("x5t#S256 is not the thumbprint of x5c"));
    }
    if !named("n", &URL_SAFE_NO_PAD.encode(&holder.key.n)) || !named("e", &URL_SAFE_NO_PAD.encode(&holder.key.e)) {
        return Err(invalid("n and e are not the key of x5c"));
    }
    Ok(holder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_crypto::rsa::{RsaBits, RsaKey};
    use sealbook_crypto::security_domain::certificate;
    use serde_json::json;

    #[test]
    fn recipients_are_their_certificates() {
        let key = RsaKey::generate(RsaBits::B2048);
        let (public, der) =
            (key.public(), certificate::self_signed(&key, "a holder", ((2026, 1, 1), (2027, 1, 1))).unwrap());
        let good = json!({
            "x5c": [STANDARD.encode(&der)], "x5t#S256": certificate::thumbprint(&der), "kty": "RSA",
            "n": URL_SAFE_NO_PAD.encode(&public.n), "e": "AQAB",
        });
        assert_eq!(read(&good).unwrap().key, public);
        let rows = [
            ("x5c", json!([]), "each needs its certificate"),
            ("x5c", json!(["%"]), "must be base64"),
            ("x5c", json!(["AAAA"]), "certificate of an RSA key"),
            ("x5t#S256", json!("abc"), "is not the thumbprint"),
            ("n", json!("AQAB"), "are not the key"),
            ("e", json!("Aw"), "are not the key"),
        ];
        for (name, value, expected) in rows {
            let mut bad = good.clone();
            bad[name] = value;
            let refusal = read(&bad).unwrap_err();
            assert!(refusal.message.contains(expected), "{}", refusal.message);
        }
    }
}
