//! JSON Web Signatures in their compact form (RFC 7515 §7.1), taken apart but not yet believed.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::json::{self, JsonError};

/// How deep a header may be nested; none needs more than an array in an object.
const HEADER_DEPTH: usize = 4;
/// How deep a payload may be nested.
const PAYLOAD_DEPTH: usize = 32;

/// The parts of a signature.
pub(crate) struct Jws<'a> {
    /// The protected header, an object.
    pub header: Value,
    /// The payload, which is JSON in all that is read here.
    pub payload: Value,
    /// What is signed.
    pub signed: &'a [u8],
    /// The signature; empty for `alg: none`.
    pub signature: Vec<u8>,
}

/// Why a text is no signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JwsError {
    #[error("it has {length} bytes, and more than {limit} are not read")]
    TooLong { length: usize, limit: usize },
    #[error("it has {0} parts; a signature in compact form has three, joined by dots")]
    Parts(usize),
    #[error("the {0} is not BASE64URL without padding")]
    Encoding(&'static str),
    #[error("the {0} is not read: {1}")]
    Json(&'static str, JsonError),
    #[error("the {0} is no JSON object")]
    Object(&'static str),
    #[error("the header demands extensions (crit), and none is known here")]
    Critical,
}

impl<'a> Jws<'a> {
    /// Takes a signature of at most `limit` bytes apart. Nothing is decoded when it is longer.
    pub(crate) fn parse(text: &'a str, limit: usize) -> Result<Self, JwsError> {
        if text.len() > limit {
            return Err(JwsError::TooLong { length: text.len(), limit });
        }
        let parts: Vec<&str> = text.split('.').collect();
        let [header, payload, signature] = parts[..] else { return Err(JwsError::Parts(parts.len())) };
        let decode = |what, part| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| JwsError::Encoding(what));
        let object = |what, part, depth| {
            let value = json::read(&decode(what, part)?, limit, depth).map_err(|why| JwsError::Json(what, why))?;
            if value.is_object() { Ok(value) } else { Err(JwsError::Object(what)) }
        };
        let signed = text.get(..text.len() - signature.len() - 1).unwrap_or_default().as_bytes();
        let header = object("header", header, HEADER_DEPTH)?;
        if header.get("crit").is_some() {
            return Err(JwsError::Critical);
        }
        let payload = object("payload", payload, PAYLOAD_DEPTH)?;
        Ok(Self { header, payload, signed, signature: decode("signature", signature)? })
    }

    /// Returns a member of the header that is text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.header.get(name).and_then(Value::as_str)
    }

    /// Demands RS256 (RFC 7518 §3.3), which is all that the attestation service and the vaults sign with. What the
    /// header says chooses nothing: a verifier that lets it choose can be told `none`, or to take a public key for a
    /// shared secret.
    pub(crate) fn rs256(&self) -> Result<&'static str, String> {
        let why = match self.header.get("alg") {
            None => "the header names no algorithm; RS256 is the one that is accepted".to_owned(),
            Some(Value::String(name)) if name == "RS256" => return Ok("RS256"),
            Some(Value::String(name)) if name.eq_ignore_ascii_case("none") => {
                "the algorithm is none: the text is not signed, anybody can have written it".to_owned()
            }
            Some(Value::String(name)) if name.starts_with("HS") => format!(
                "the algorithm is {name}, made with a shared secret; whoever has the public key could have made it"
            ),
            Some(other) => format!("the algorithm is {}; RS256 is the one that is accepted", crate::line::show(other)),
        };
        Err(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn part(value: &Value) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
    }

    #[test]
    fn only_three_clean_parts_are_taken() {
        let (header, payload) = (part(&json!({"alg": "RS256"})), part(&json!({"a": 1})));
        let good = format!("{header}.{payload}.c2ln");
        let jws = Jws::parse(&good, 1000).unwrap();
        assert_eq!((jws.signed, &jws.signature[..]), (format!("{header}.{payload}").as_bytes(), &b"sig"[..]));
        assert_eq!((jws.text("alg"), jws.payload["a"].as_i64()), (Some("RS256"), Some(1)));
        assert!(Jws::parse(&format!("{header}.{payload}."), 1000).unwrap().signature.is_empty());

        let doubled = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none","alg":"RS256"}"#);
        let deep = BASE64_URL_SAFE_NO_PAD.encode("[".repeat(50));
        let table = [
            (String::new(), "it has 1 parts"),
            (format!("{good}.{good}"), "it has 6 parts"),
            (format!("{header}.{payload}"), "it has 2 parts"),
            (format!("{header}=.{payload}.c2ln"), "the header is not BASE64URL"),
            (format!("{header}.{payload}.c2l+"), "the signature is not BASE64URL"),
            (format!("{header}.{payload}.c2lu\n"), "the signature is not BASE64URL"),
            (format!("{header}.{payload}.c2k\u{e9}"), "the signature is not BASE64URL"),
            (format!("{header}.{payload}.c2l"), "the signature is not BASE64URL"),
            (format!("{doubled}.{payload}.c2ln"), "the header is not read: the name \"alg\" is there twice"),
            (format!("{}.{payload}.c2ln", part(&json!([1]))), "the header is no JSON object"),
            (format!("{header}.{}.c2ln", part(&json!("x"))), "the payload is no JSON object"),
            (format!("{header}.{deep}.c2ln"), "deeper than 32 levels"),
            (format!("{}.{payload}.c2ln", part(&json!({"alg": "RS256", "crit": ["b64"]}))), "demands extensions"),
            (format!("{header}.{payload}.{}", "A".repeat(1000)), "more than 1000 are not read"),
        ];
        for (text, expected) in table {
            let why = Jws::parse(&text, 1000).map(|_| ()).unwrap_err().to_string();
            assert!(why.contains(expected), "{text}: {why}");
        }
    }

    #[test]
    fn every_other_algorithm_is_refused_by_its_name() {
        let table = [
            (json!({"alg": "RS256"}), Ok("RS256")),
            (json!({}), Err("names no algorithm")),
            (json!({"alg": "none"}), Err("is none: the text is not signed")),
            (json!({"alg": "NoNe"}), Err("is none")),
            (json!({"alg": "HS256"}), Err("HS256, made with a shared secret")),
            (json!({"alg": "RS512"}), Err("is RS512")),
            (json!({"alg": "PS256"}), Err("is PS256")),
            (json!({"alg": "rs256"}), Err("is rs256")),
            (json!({"alg": null}), Err("is null")),
            (json!({"alg": ["RS256"]}), Err("is an array of 1")),
        ];
        for (header, expected) in table {
            let text = format!("{}.e30.", part(&header));
            match (Jws::parse(&text, 1000).unwrap().rs256(), expected) {
                (Ok(name), Ok(expected)) => assert_eq!(name, expected),
                (Err(why), Err(expected)) => assert!(why.contains(expected), "{header}: {why}"),
                (got, _) => panic!("{header}: {got:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "[A-Za-z0-9_.é-]{0,200}", limit in 0..300_usize) {
            let _ = Jws::parse(&text, limit);
        }
    }
}
