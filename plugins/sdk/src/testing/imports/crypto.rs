//! The contract's imports: cryptography.

use serde_json::json;

use super::{Problem, Result, artifacts, parse, with_world};

pub struct Key {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.name)
    }
}

impl Key {
    pub fn bits(&self) -> u32 {
        u32::try_from(self.bytes.len() * 8).unwrap_or(u32::MAX)
    }

    pub fn reference(&self) -> String {
        format!("key:{}", self.name)
    }
}

pub fn generate(name: &str, bits: u32) -> Result<Key> {
    with_world(|w| {
        w.pass("crypto", "use", "", None)?;
        if !matches!(bits, 128 | 256) {
            return Err(Problem::invalid_input("bits", "128 or 256"));
        }
        // Tests want different keys for different names, and the same key again: no randomness.
        let bytes: Vec<u8> = name.bytes().cycle().take(bits as usize / 8).collect();
        w.secret_keys.insert(format!("key:{name}"), bytes.clone());
        Ok(Key { name: name.into(), bytes })
    })
}

pub fn open(reference: &str) -> Result<Key> {
    with_world(|w| {
        w.pass("crypto", "use", "", None)?;
        let bytes = w.secret_keys.get(reference).cloned();
        let bytes = bytes.ok_or_else(|| Problem::permanent(format!("there is no {reference}")))?;
        Ok(Key { name: reference.trim_start_matches("key:").into(), bytes })
    })
}

/// A pair of the double: a name that stands for a modulus.
#[derive(Debug)]
pub struct Pair {
    pub(in super::super) name: String,
    pub(super) n: String,
}

impl Pair {
    pub fn public(&self) -> String {
        json!({ "kty": "RSA", "n": self.n, "e": "AQAB" }).to_string()
    }

    pub fn reference(&self) -> String {
        format!("artifact:{}", self.name)
    }
}

pub fn generate_pair(name: &str, bits: u32) -> Result<Pair> {
    with_world(|w| {
        w.pass("crypto", "use", "", None)?;
        if !matches!(bits, 2048 | 3072 | 4096) {
            return Err(Problem::invalid_input("bits", "2048, 3072 or 4096"));
        }
        // As long as a modulus of that length is in base64url.
        let n: String = name.chars().filter(char::is_ascii_alphanumeric).cycle().take(bits as usize / 6 + 1).collect();
        w.pairs.insert(format!("artifact:{name}"), n.clone());
        Ok(Pair { name: name.into(), n })
    })
}

pub fn open_pair(reference: &str) -> Result<Pair> {
    with_world(|w| {
        w.pass("crypto", "use", "", None)?;
        let n = w.pairs.get(reference).cloned();
        let n = n.ok_or_else(|| Problem::permanent(format!("there is no {reference}")))?;
        Ok(Pair { name: reference.trim_start_matches("artifact:").into(), n })
    })
}

pub fn transfer_blob(target: &Pair, exchange: &str, name: &str) -> Result<artifacts::Artifact> {
    let exchange = parse(exchange)?;
    if exchange["key"]["key_ops"] != json!(["import"]) {
        return Err(Problem::invalid_input("exchange", "it is no key exchange key"));
    }
    let blob = json!({ "header": { "kid": exchange["key"]["kid"] }, "ciphertext": target.n }).to_string();
    let artifact = artifacts::Artifact { reference: format!("artifact:{name}"), bytes: blob.into_bytes() };
    with_world(|w| w.artifacts.insert(artifact.reference.clone(), artifact.bytes.clone()));
    Ok(artifact)
}

pub fn seal(recipient: &Pair, secret: &Key) -> Result<Vec<u8>> {
    Ok([recipient.n.as_bytes(), &secret.bytes].join(&0))
}

pub fn unseal(recipient: &Pair, sealed: &[u8]) -> Result<Key> {
    let head = [recipient.n.as_bytes(), b""].join(&0);
    let bytes = sealed.strip_prefix(head.as_slice());
    let bytes = bytes.ok_or_else(|| Problem::permanent("it was not sealed to this pair"))?.to_vec();
    with_world(|w| w.secret_keys.insert("key:unsealed".into(), bytes.clone()));
    Ok(Key { name: "unsealed".into(), bytes })
}

pub fn seal_file(key: &Key, source: &artifacts::Artifact, name: &str, options: &str) -> Result<artifacts::Artifact> {
    let options = parse(options)?;
    let mut bytes = options.to_string().into_bytes();
    bytes.push(0);
    bytes.extend(&key.bytes);
    bytes.extend(source.bytes.iter().map(|byte| byte ^ 0xff));
    made(name, bytes)
}

/// The head of a sealed file of the double, and what follows.
fn head(source: &artifacts::Artifact) -> Result<(super::Value, &[u8])> {
    let at = source.bytes.iter().position(|byte| *byte == 0).unwrap_or(source.bytes.len());
    let (head, rest) = source.bytes.split_at(at);
    Ok((serde_json::from_slice(head)?, rest.get(1..).unwrap_or_default()))
}

pub fn describe_file(source: &artifacts::Artifact) -> Result<String> {
    Ok(head(source)?.0.to_string())
}

pub fn open_file(key: &Key, source: &artifacts::Artifact, name: &str, layout: &str) -> Result<artifacts::Artifact> {
    let (options, rest) = head(source)?;
    let same = options["layout"].as_str().unwrap_or("cobblestone-256") == layout;
    let sealed = rest.strip_prefix(key.bytes.as_slice()).filter(|_| same);
    let sealed = sealed.ok_or_else(|| Problem::permanent("the key does not belong to this file"))?;
    made(name, sealed.iter().map(|byte| byte ^ 0xff).collect())
}

fn made(name: &str, bytes: Vec<u8>) -> Result<artifacts::Artifact> {
    with_world(|w| {
        w.pass("crypto", "use", "", None)?;
        let artifact = artifacts::Artifact { reference: format!("artifact:{name}"), bytes };
        w.artifacts.insert(artifact.reference.clone(), artifact.bytes.clone());
        Ok(artifact)
    })
}

pub fn same(a: &Key, b: &Key) -> bool {
    a.bytes == b.bytes
}
