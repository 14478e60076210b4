//! The contract's imports, answered by the double. Same names and shapes as the generated bindings.
#![allow(missing_docs, reason = "the contract is documented in wit/")]

use serde_json::Value;

use super::with_world;
use super::world::World;
use crate::bindings::exports::sealbook::plugin::step::Ownership;
use crate::problem::{Problem, Result};

fn parse(text: &str) -> Result<Value> {
    Ok(serde_json::from_str(text)?)
}

/// Refuses to write over a stranger's thing; says whose thing it is afterwards.
fn ownership(w: &World, found: Option<&Value>, target: &str) -> Result<Ownership> {
    match found.map(crate::cx::mark) {
        None => Ok(Ownership::Ours),
        Some(mark) if mark == Some(super::Fake::RUN) => Ok(Ownership::Ours),
        Some(mark) if w.usable(mark) => Ok(Ownership::Foreign),
        Some(_) => Err(Problem::conflict("it stands there without this run's mark", [target])),
    }
}

pub use super::pools::{directory, hsm};

pub mod log {
    #[derive(Debug)]
    pub enum Level {
        Info,
        Warn,
    }

    pub fn write(level: Level, message: &str) {
        super::with_world(|w| w.log.push(format!("{level:?}: {message}")));
    }
}

pub mod progress {
    pub fn report(done: u64, total: Option<u64>, message: &str) {
        let total = total.map_or_else(|| "?".into(), |t| t.to_string());
        super::with_world(|w| w.log.push(format!("{done}/{total} {message}")));
    }
}

pub mod ownership {
    pub fn usable(mark: Option<&str>) -> bool {
        super::with_world(|w| w.usable(mark))
    }
}

pub mod azure {
    use serde_json::json;

    use super::super::Fake;
    use super::super::world::merge;
    use super::{Ownership, Problem, Result, ownership, parse, with_world};

    pub use crate::bindings::sealbook::plugin::azure::Assignment;

    pub fn get(id: &str, _: Option<&str>) -> Result<Option<String>> {
        with_world(|w| {
            w.pass("azure", verb(id, "read"), id, None)?;
            if let Some(role) = w.roles.iter().find(|r| r.id.eq_ignore_ascii_case(id)) {
                return Ok(Some(json!({ "id": role.id }).to_string()));
            }
            Ok(w.arm.get(&id.to_ascii_lowercase()).map(ToString::to_string))
        })
    }

    pub fn list(id: &str, _: Option<&str>) -> Result<Vec<String>> {
        with_world(|w| {
            w.pass("azure", "read", id.split('?').next().unwrap_or_default(), None)?;
            let members = w.lists.get(&id.to_ascii_lowercase()).cloned().unwrap_or_default();
            Ok(members.iter().map(ToString::to_string).collect())
        })
    }

    pub fn query(id: &str, _: &str, _: Option<&str>) -> Result<String> {
        with_world(|w| {
            w.pass("azure", "read", id, None)?;
            let answer = w.answers.get(&id.to_ascii_lowercase());
            answer.map(ToString::to_string).ok_or_else(|| Problem::permanent(format!("no answer is scripted for {id}")))
        })
    }

    pub fn put(effect: &str, id: &str, body: &str, _: Option<&str>) -> Result<String> {
        with_world(|w| {
            w.pass("azure", "write", id, None)?;
            let body = parse(body)?;
            w.effect((effect, "arm-put", id), &body.to_string(), |w| {
                let whose = ownership(w, w.arm.get(&id.to_ascii_lowercase()), id)?;
                w.stand(id, body.clone(), Some(Fake::RUN));
                Ok((w.arm[&id.to_ascii_lowercase()].clone(), whose))
            })
            .map(|v| v.to_string())
        })
    }

    pub fn patch(effect: &str, id: &str, body: &str, _: Option<&str>) -> Result<String> {
        with_world(|w| {
            w.pass("azure", "write", id, None)?;
            let body = parse(body)?;
            w.effect((effect, "arm-patch", id), &body.to_string(), |w| {
                let key = id.to_ascii_lowercase();
                let mut found =
                    w.arm.get(&key).cloned().ok_or_else(|| Problem::permanent(format!("{id} is not there")))?;
                merge(&mut found, &body);
                if let Some(dress) = w.dress {
                    dress(id, &mut found);
                }
                w.arm.insert(key, found.clone());
                Ok((found, Ownership::Ours))
            })
            .map(|v| v.to_string())
        })
    }

    pub fn delete(effect: &str, id: &str, _: Option<&str>) -> Result<bool> {
        with_world(|w| {
            w.pass("azure", verb(id, "write"), id, None)?;
            let gone = w.effect((effect, "arm-delete", id), "", |w| {
                let roles = w.roles.len();
                w.roles.retain(|r| !r.id.eq_ignore_ascii_case(id));
                let gone = w.arm.remove(&id.to_ascii_lowercase());
                if let (Some(bury), Some(gone)) = (w.bury, &gone)
                    && let Some((id, trace)) = bury(id, gone)
                {
                    w.stand(&id, trace, None);
                }
                Ok((json!(gone.is_some() || w.roles.len() < roles), Ownership::Ours))
            })?;
            Ok(gone == json!(true))
        })
    }

    pub fn post(effect: &str, id: &str, body: &str, _: Option<&str>) -> Result<Option<String>> {
        with_world(|w| {
            w.pass("azure", "write", id, None)?;
            let answer = w.effect((effect, "arm-post", id), body, |w| {
                // An action on a resource changes that resource: the test's dress decides how.
                let (resource, action) = id.rsplit_once('/').unwrap_or((id, ""));
                let key = resource.to_ascii_lowercase();
                if action == "purge" {
                    w.arm.remove(&key);
                } else if let (Some(dress), Some(mut found)) = (w.dress, w.arm.get(&key).cloned()) {
                    dress(resource, &mut found);
                    w.arm.insert(key, found);
                }
                Ok((w.answers.get(&id.to_ascii_lowercase()).cloned().unwrap_or_default(), Ownership::Ours))
            })?;
            Ok((!answer.is_null()).then(|| answer.to_string()))
        })
    }

    pub fn assigned(scope: &str, principal: &str, role: &str) -> Result<Option<Assignment>> {
        with_world(|w| {
            w.pass("azure", "assign", scope, Some(role))?;
            let found = w.roles.iter().find(|r| r.scope == scope && r.principal == principal && r.role == role);
            Ok(found.map(|r| Assignment { id: r.id.clone(), already: r.id.ends_with("/theirs") }))
        })
    }

    pub fn assign(effect: &str, scope: &str, principal: &str, kind: &str, role: &str) -> Result<Assignment> {
        with_world(|w| {
            w.pass("azure", "assign", scope, Some(role))?;
            let target = format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{effect}");
            let request = format!("{principal} {kind} {role}");
            let made = w.effect((effect, "role-assignment", &target), &request, |w| {
                let standing =
                    w.roles.iter().find(|r| r.scope == scope && r.principal == principal && r.role == role).cloned();
                Ok(match standing {
                    Some(role) if role.id != target => (json!({ "id": role.id, "already": true }), Ownership::Foreign),
                    Some(_) => (json!({ "id": target, "already": false }), Ownership::Ours),
                    None => {
                        (json!({ "id": w.add_role(effect, scope, principal, role), "already": false }), Ownership::Ours)
                    }
                })
            })?;
            let id = made["id"].as_str().unwrap_or_default().to_owned();
            Ok(Assignment { id, already: made["already"] == true })
        })
    }

    /// Role assignments need the verb of roles, whatever is done to them.
    fn verb<'a>(id: &str, verb: &'a str) -> &'a str {
        if id.contains("/roleAssignments/") { "assign" } else { verb }
    }
}

pub mod keyvault {
    use serde_json::json;

    use super::super::Fake;
    use super::super::world::merge;
    use super::{Ownership, Problem, Result, artifacts, crypto, ownership, parse, with_world};

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
                let wanted =
                    json!({ "key": key, "attributes": p["attributes"].as_object().cloned().unwrap_or_default() });
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
        w.rotation_policies
            .get(uri)
            .cloned()
            .unwrap_or_else(|| json!({ "lifetimeActions": [notify], "attributes": {} }))
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
}

pub mod blob {
    use serde_json::json;

    use super::super::Fake;
    use super::{Ownership, Result, artifacts, ownership, with_world};

    fn properties(uri: &str, bytes: &[u8], mark: Option<&str>) -> super::Value {
        json!({ "uri": uri, "bytes": bytes.len(), "etag": format!("\"{}\"", &artifacts::sha256(bytes)[..8]), "sha256": artifacts::sha256(bytes),
                "content_type": "text/plain", "metadata": mark.map_or_else(|| json!({}), |m| json!({ "sealbookrun": m })) })
    }

    pub fn head(uri: &str) -> Result<Option<String>> {
        with_world(|w| {
            w.pass("blob", "read", uri, None)?;
            Ok(w.blobs.get(uri).map(|(bytes, mark)| properties(uri, bytes, mark.as_deref()).to_string()))
        })
    }

    pub fn create_container(effect: &str, uri: &str) -> Result<bool> {
        with_world(|w| {
            w.pass("blob", "create", uri, None)?;
            let made = w.effect((effect, "container-create", uri), "", |w| {
                let made = w.containers.insert(uri.into());
                Ok((json!(made), if made { Ownership::Ours } else { Ownership::Foreign }))
            })?;
            Ok(made == json!(true))
        })
    }

    pub fn put(effect: &str, uri: &str, source: &artifacts::Artifact, _: &str) -> Result<String> {
        with_world(|w| {
            w.pass("blob", "write", uri, None)?;
            w.effect((effect, "blob-put", uri), &source.sha256(), |w| {
                let standing = w.blobs.get(uri).map(|(bytes, mark)| properties(uri, bytes, mark.as_deref()));
                let whose = ownership(w, standing.as_ref(), uri)?;
                w.blobs.insert(uri.into(), (source.bytes.clone(), Some(Fake::RUN.into())));
                Ok((properties(uri, &source.bytes, Some(Fake::RUN)), whose))
            })
            .map(|v| v.to_string())
        })
    }

    pub fn get(uri: &str, name: &str) -> Result<artifacts::Artifact> {
        with_world(|w| {
            w.pass("blob", "read", uri, None)?;
            let (bytes, _) =
                w.blobs.get(uri).ok_or_else(|| super::Problem::permanent(format!("{uri} is not there")))?;
            let artifact = artifacts::Artifact { reference: format!("artifact:{name}"), bytes: bytes.clone() };
            w.artifacts.insert(artifact.reference.clone(), artifact.bytes.clone());
            Ok(artifact)
        })
    }

    pub fn delete(effect: &str, uri: &str) -> Result<bool> {
        with_world(|w| {
            w.pass("blob", "write", uri, None)?;
            let gone = w.effect((effect, "blob-delete", uri), "", |w| {
                Ok((json!(w.blobs.remove(uri).is_some() || w.containers.remove(uri)), Ownership::Ours))
            })?;
            Ok(gone == json!(true))
        })
    }
}

pub mod artifacts {
    use sha2::Digest;

    use super::{Problem, Result, with_world};

    #[derive(Debug)]
    pub struct Artifact {
        pub(in super::super) reference: String,
        pub(in super::super) bytes: Vec<u8>,
    }

    #[derive(Debug)]
    pub struct Draft {
        name: String,
        bytes: std::cell::RefCell<Vec<u8>>,
    }

    pub(super) fn sha256(bytes: &[u8]) -> String {
        sha2::Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
    }

    impl Artifact {
        pub fn length(&self) -> u64 {
            self.bytes.len() as u64
        }

        pub fn sha256(&self) -> String {
            sha256(&self.bytes)
        }

        pub fn read(&self, offset: u64, length: u32) -> Result<Vec<u8>> {
            if self.reference.starts_with("secret:") {
                return Err(Problem::permanent("what came from a secret is not read"));
            }
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.bytes.len());
            Ok(self.bytes[start..].iter().take(length.min(1 << 20) as usize).copied().collect())
        }

        pub fn reference(&self) -> String {
            self.reference.clone()
        }
    }

    impl Draft {
        pub fn append(&self, bytes: &[u8]) -> Result<()> {
            self.bytes.borrow_mut().extend_from_slice(bytes);
            Ok(())
        }
    }

    pub fn open(reference: &str) -> Result<Artifact> {
        with_world(|w| {
            w.pass("artifacts", "use", "", None)?;
            let bytes = w.artifacts.get(reference).cloned();
            let bytes = bytes.ok_or_else(|| Problem::permanent(format!("there is no {reference}")))?;
            Ok(Artifact { reference: reference.into(), bytes })
        })
    }

    pub fn create(name: &str) -> Result<Draft> {
        with_world(|w| w.pass("artifacts", "use", "", None))?;
        Ok(Draft { name: name.into(), bytes: Vec::new().into() })
    }

    pub fn finish(draft: Draft) -> Result<Artifact> {
        let artifact = Artifact { reference: format!("artifact:{}", draft.name), bytes: draft.bytes.into_inner() };
        with_world(|w| w.artifacts.insert(artifact.reference.clone(), artifact.bytes.clone()));
        Ok(artifact)
    }
}

pub mod crypto {
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
        n: String,
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
            let n: String =
                name.chars().filter(char::is_ascii_alphanumeric).cycle().take(bits as usize / 6 + 1).collect();
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

    pub fn same(a: &Key, b: &Key) -> bool {
        a.bytes == b.bytes
    }
}
