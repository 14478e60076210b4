//! RSA keys as JSON Web Keys (RFC 7517, RFC 7518 §6.3.1).

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sealbook_crypto::rsa::RsaPublic;
use serde_json::Value;

/// Reads modulus and exponent, whatever the key is for; `None` when one is missing, no BASE64URL, or zero. Padding, which
/// the RFC forbids, and leading zeros, which it forbids too, are what some writers put there.
pub(crate) fn components(key: &Value) -> Option<RsaPublic> {
    let member = |name: &str| number(key.get(name)?.as_str()?);
    Some(RsaPublic { n: member("n")?, e: member("e")? })
}

fn number(text: &str) -> Option<Vec<u8>> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()?;
    let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
    let number = bytes.get(zeros..)?.to_vec();
    (!number.is_empty()).then_some(number)
}

/// Whether an exponent is odd and greater than one. The library takes one, under which a signature is its own message.
pub(crate) fn sound(exponent: &[u8]) -> bool {
    exponent != [1] && exponent.last().is_some_and(|last| last % 2 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_read_as_writers_write_them() {
        let table = [
            (json!({ "n": "-_8", "e": "AQAB" }), Some((vec![0xfb, 0xff], vec![1, 0, 1]))),
            (json!({ "n": "-_8=", "e": "AQAB" }), Some((vec![0xfb, 0xff], vec![1, 0, 1]))),
            (json!({ "n": "APv_", "e": "AAEAAQ" }), Some((vec![0xfb, 0xff], vec![1, 0, 1]))),
            (json!({ "n": "+/8", "e": "AQAB" }), None),
            (json!({ "n": "AA", "e": "AQAB" }), None),
            (json!({ "n": "", "e": "AQAB" }), None),
            (json!({ "n": "-_8" }), None),
            (json!({ "n": ["-_8"], "e": "AQAB" }), None),
            (json!("n"), None),
        ];
        for (key, expected) in table {
            assert_eq!(components(&key).map(|key| (key.n, key.e)), expected, "{key}");
        }
        assert_eq!(
            [&[1][..], &[3], &[1, 0, 1], &[2], &[1, 0], &[]].map(sound),
            [false, true, true, false, false, false]
        );
    }
}
