//! The contract's imports: keys of vaults and managed HSMs.

use serde_json::json;

use super::super::Fake;
use super::super::world::merge;
use super::{Ownership, Problem, Result, artifacts, attestation, crypto, ownership, parse, with_world};

/// The key's address without its version.
fn base(uri: &str) -> String {
    uri.split('/').take(5).collect::<Vec<_>>().join("/")
}

pub fn get(uri: &str) -> Result<Option<String>> {
    with_world(|w| {
        w.pass("keyvault", "read", uri, None)?;
        let versions = w.keys.get(&base(uri));
        let named = uri.split('/').nth(5).is_some();
        let found = versions.and_then(|v| v.iter().rev().find(|b| !named || b["key"]["kid"] == uri));
        Ok(found.map(ToString::to_string))
    })
}

pub fn versions(uri: &str) -> Result<Vec<String>> {
    with_world(|w| {
        w.pass("keyvault", "read", uri, None)?;
        let item = |b: &super::Value| {
            json!({ "kid": b["key"]["kid"], "attributes": b["attributes"], "tags": b["tags"] }).to_string()
        };
        Ok(w.keys.get(&base(uri)).map(|v| v.iter().map(item).collect()).unwrap_or_default())
    })
}

pub fn create(effect: &str, uri: &str, parameters: &str) -> Result<String> {
    with_world(|w| {
        w.pass("keyvault", "create", uri, None)?;
        let p = parse(parameters)?;
        w.effect((effect, "key-create", uri), &p.to_string(), |w| {
            let standing = w.keys.get(uri).and_then(|v| v.last().cloned());
            let whose = ownership(w, standing.as_ref(), uri)?;
            if let Some(standing) = standing {
                return Ok((standing, whose));
            }
            let mut key = json!({ "kty": p["kty"] });
            if !p["key_ops"].is_null() {
                key["key_ops"] = p["key_ops"].clone();
            }
            if let Some(bits) = p["key_size"].as_u64() {
                key["n"] = json!("A".repeat(usize::try_from(bits / 6 + 1).unwrap_or_default()));
            }
            let wanted = json!({ "key": key, "attributes": p["attributes"].as_object().cloned().unwrap_or_default() });
            Ok((w.add_key(uri, &wanted, Some(Fake::RUN)), whose))
        })
        .map(|v| v.to_string())
    })
}

pub fn import(effect: &str, uri: &str, parameters: &str, blob: &artifacts::Artifact) -> Result<String> {
    with_world(|w| {
        w.pass("keyvault", "create", uri, None)?;
        let p = parse(parameters)?;
        let blob: super::Value = serde_json::from_slice(&blob.bytes)?;
        w.effect((effect, "key-import", uri), &format!("{p} {blob}"), |w| {
            let standing = w.keys.get(uri).and_then(|v| v.last().cloned());
            let whose = ownership(w, standing.as_ref(), uri)?;
            if let Some(standing) = standing {
                return Ok((standing, whose));
            }
            let key = json!({ "kty": p["key"]["kty"], "key_ops": p["key"]["key_ops"], "n": blob["ciphertext"] });
            Ok((w.add_key(uri, &json!({ "key": key }), Some(Fake::RUN)), whose))
        })
        .map(|v| v.to_string())
    })
}

pub fn update(effect: &str, uri: &str, parameters: &str) -> Result<String> {
    with_world(|w| {
        w.pass("keyvault", "update", uri, None)?;
        let p = parse(parameters)?;
        w.effect((effect, "key-update", uri), &p.to_string(), |w| {
            let found = w.keys.get_mut(&base(uri)).and_then(|v| v.last_mut());
            let bundle = found.ok_or_else(|| Problem::permanent(format!("{uri} is not there")))?;
            merge(bundle, &p);
            Ok((bundle.clone(), Ownership::Ours))
        })
        .map(|v| v.to_string())
    })
}

pub fn rotate(effect: &str, uri: &str) -> Result<String> {
    with_world(|w| {
        w.pass("keyvault", "create", uri, None)?;
        w.effect((effect, "key-rotate", uri), "", |w| {
            Ok((w.add_key(uri, &json!({}), Some(Fake::RUN)), Ownership::Ours))
        })
        .map(|v| v.to_string())
    })
}

pub fn rotation_policy(uri: &str) -> Result<String> {
    with_world(|w| {
        w.pass("keyvault", "read", uri, None)?;
        Ok(policy(w, uri).to_string())
    })
}

pub fn set_rotation_policy(effect: &str, uri: &str, policy: &str) -> Result<String> {
    with_world(|w| {
        w.pass("keyvault", "update", uri, None)?;
        let p = parse(policy)?;
        w.effect((effect, "key-rotation-policy", uri), &p.to_string(), |w| {
            w.rotation_policies.insert(uri.into(), p.clone());
            Ok((p.clone(), Ownership::Ours))
        })
        .map(|v| v.to_string())
    })
}

/// The policy of a key, or the one that every new key has.
fn policy(w: &super::super::world::World, uri: &str) -> super::Value {
    let notify = json!({ "trigger": { "timeBeforeExpiry": "P30D" }, "action": { "type": "Notify" } });
    w.rotation_policies.get(uri).cloned().unwrap_or_else(|| json!({ "lifetimeActions": [notify], "attributes": {} }))
}

pub fn delete(effect: &str, uri: &str) -> Result<Option<String>> {
    with_world(|w| {
        w.pass("keyvault", "create", uri, None)?;
        let deleted = w.effect((effect, "key-delete", uri), "", |w| {
            let gone = w.keys.remove(uri).and_then(|mut v| v.pop());
            let deleted = gone.map(|mut bundle| {
                bundle["scheduledPurgeDate"] = json!(1_800_000_000);
                bundle
            });
            Ok((deleted.unwrap_or_default(), Ownership::Ours))
        })?;
        Ok((!deleted.is_null()).then(|| deleted.to_string()))
    })
}

pub fn wrap(uri: &str, algorithm: &str, secret: &crypto::Key) -> Result<Vec<u8>> {
    with_world(|w| {
        w.pass("keyvault", "wrap", uri, None)?;
        Ok([base(uri).as_bytes(), algorithm.as_bytes(), &secret.bytes].join(&0))
    })
}

pub fn release(uri: &str, token: &attestation::Token, algorithm: &str) -> Result<crypto::Pair> {
    with_world(|w| {
        w.pass("keyvault", "release", uri, None)?;
        let versions = w.keys.get(&base(uri));
        let bundle = versions.and_then(|versions| versions.last());
        let bundle = bundle.ok_or_else(|| Problem::permanent(format!("{uri} is not there")))?;
        // A policy of the double names what the claims must hold.
        let policy = bundle["release_policy"].as_object().cloned().unwrap_or_default();
        if policy.iter().any(|(claim, wanted)| token.claims.get(claim) != Some(wanted)) {
            return Err(Problem::permanent("the attestation statement does not satisfy the policy"));
        }
        if !token.ours {
            return Err(Problem::precondition("it is wrapped for another machine", "attest this one"));
        }
        let n = bundle["key"]["n"].as_str().unwrap_or_default().to_owned();
        w.pairs.insert(format!("artifact:released {algorithm}"), n.clone());
        Ok(crypto::Pair { name: format!("released {algorithm}"), n })
    })
}

pub fn unwrap(uri: &str, algorithm: &str, wrapped: &[u8]) -> Result<crypto::Key> {
    with_world(|w| {
        w.pass("keyvault", "unwrap", uri, None)?;
        let head = [base(uri).as_bytes(), algorithm.as_bytes(), b""].join(&0);
        // What was encrypted outside to the key's public half opens as well.
        let outside = w
            .keys
            .get(&base(uri))
            .and_then(|versions| versions.last())
            .map(|bundle| [bundle["key"]["n"].as_str().unwrap_or_default().as_bytes(), b""].join(&0));
        let stripped = outside.and_then(|head| wrapped.strip_prefix(head.as_slice()));
        let bytes = stripped
            .or_else(|| wrapped.strip_prefix(head.as_slice()))
            .ok_or_else(|| Problem::permanent("not wrapped with this key"))?;
        Ok(crypto::Key { name: "unwrapped".into(), bytes: bytes.into() })
    })
}
