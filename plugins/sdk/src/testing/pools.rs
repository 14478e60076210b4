//! The double of managed HSMs and of the directory.
#![allow(missing_docs, reason = "the contract is documented in wit/")]

pub mod hsm {
    use serde_json::{Value, json};

    use super::super::Fake;
    use super::super::imports::artifacts::Artifact;
    use super::super::imports::crypto::Pair;
    use super::super::with_world;
    use crate::bindings::exports::sealbook::plugin::step::Ownership;
    use crate::problem::{Problem, Result};

    pub use crate::bindings::sealbook::plugin::hsm::LocalAssignment;

    const STATUS: &str = "/properties/securityDomainProperties/activationStatus";

    /// Turns a managed HSM active, and says whose doing that is.
    fn activate(w: &mut super::super::world::World, id: &str) -> Result<()> {
        let pool = w.arm.get_mut(&id.to_ascii_lowercase());
        let pool = pool.ok_or_else(|| Problem::precondition(format!("{id} is not there"), "create it"))?;
        if crate::cx::mark(pool) != Some(Fake::RUN) {
            return Err(Problem::conflict("it stands there without this run's mark", [id]));
        }
        pool["properties"]["securityDomainProperties"]["activationStatus"] = "Active".into();
        Ok(())
    }

    pub fn download(effect: &str, id: &str, uri: &str, holders: &[&Pair], quorum: u32, name: &str) -> Result<Artifact> {
        let holders: Vec<&str> = holders.iter().map(|pair| pair.name.as_str()).collect();
        let content = with_world(|w| {
            w.pass("hsm", "write", uri, None)?;
            w.pass("azure", "read", id, None)?;
            let document = json!({ "holders": holders, "required": quorum, "of": uri });
            w.effect((effect, "hsm-download", id), &document.to_string(), |w| {
                activate(w, id)?;
                Ok((document.clone(), Ownership::Ours))
            })
        })?;
        let artifact = Artifact { reference: format!("artifact:{name}"), bytes: content.to_string().into_bytes() };
        with_world(|w| w.artifacts.insert(artifact.reference.clone(), artifact.bytes.clone()));
        Ok(artifact)
    }

    pub fn examine(domain: &Artifact, holders: &[&Pair]) -> Result<String> {
        with_world(|w| w.pass("crypto", "use", "", None))?;
        let document: Value = serde_json::from_slice(&domain.bytes)?;
        let known = |pair: &&&Pair| document["holders"].as_array().is_some_and(|all| all.contains(&json!(pair.name)));
        let have = holders.iter().filter(known).count() as u64;
        if have < document["required"].as_u64().unwrap_or_default() {
            return Err(Problem::invalid_input("holders", format!("{have} of the keys open a share")));
        }
        let shares = document["holders"].as_array().map_or(0, Vec::len);
        Ok(json!({ "shares": shares, "required": document["required"], "secrets": ["BackupKey"] }).to_string())
    }

    pub fn upload(effect: &str, id: &str, uri: &str, domain: &Artifact, holders: &[&Pair]) -> Result<()> {
        examine(domain, holders)?;
        with_world(|w| {
            w.pass("hsm", "write", uri, None)?;
            w.pass("azure", "read", id, None)?;
            w.effect((effect, "hsm-upload", id), uri, |w| {
                let active = w.arm.get(&id.to_ascii_lowercase()).and_then(|pool| pool.pointer(STATUS)).cloned();
                if active == Some(json!("Active")) {
                    return Err(Problem::conflict("it is active already", [id]));
                }
                activate(w, id)?;
                Ok((Value::Null, Ownership::Ours))
            })
            .map(drop)
        })
    }

    fn place(uri: &str, scope: &str) -> String {
        format!("{uri}{}", scope.trim_start_matches('/'))
    }

    pub fn assigned(uri: &str, scope: &str, principal: &str, role: &str) -> Result<Option<LocalAssignment>> {
        with_world(|w| {
            let at = place(uri, scope);
            w.pass("hsm", "assign", &at, Some(role))?;
            let found = w.roles.iter().find(|r| r.scope == at && r.principal == principal && r.role == role);
            let name = |id: &str| id.rsplit('/').next().unwrap_or_default().to_owned();
            Ok(found.map(|r| LocalAssignment { name: name(&r.id), already: true }))
        })
    }

    pub fn assign(effect: &str, uri: &str, scope: &str, principal: &str, role: &str) -> Result<LocalAssignment> {
        with_world(|w| {
            let at = place(uri, scope);
            w.pass("hsm", "assign", &at, Some(role))?;
            let target =
                format!("{}/providers/Microsoft.Authorization/roleAssignments/{effect}", at.trim_end_matches('/'));
            let made = w.effect((effect, "hsm-role-assignment", &target), principal, |w| {
                let equal = w.roles.iter().find(|r| r.scope == at && r.principal == principal && r.role == role);
                if let Some(role) = equal {
                    let name = role.id.rsplit('/').next().unwrap_or_default();
                    return Ok((json!({ "name": name, "already": true }), Ownership::Foreign));
                }
                w.add_role(effect, &at, principal, role);
                Ok((json!({ "name": effect, "already": false }), Ownership::Ours))
            })?;
            let name = made["name"].as_str().unwrap_or_default().to_owned();
            Ok(LocalAssignment { name, already: made["already"] == true })
        })
    }

    pub fn unassign(effect: &str, uri: &str, scope: &str, name: &str, role: &str) -> Result<bool> {
        with_world(|w| {
            let at = place(uri, scope);
            w.pass("hsm", "assign", &at, Some(role))?;
            let gone = w.effect((effect, "hsm-role-unassign", &at), name, |w| {
                let before = w.roles.len();
                w.roles.retain(|r| r.scope != at || r.id.rsplit('/').next() != Some(name));
                Ok((json!(w.roles.len() < before), Ownership::Ours))
            })?;
            Ok(gone == json!(true))
        })
    }
}

pub mod directory {
    use serde_json::json;

    use super::super::with_world;
    use crate::bindings::exports::sealbook::plugin::step::Ownership;
    use crate::problem::Result;

    pub fn find(app_id: &str) -> Result<Option<String>> {
        with_world(|w| {
            w.pass("directory", "read", app_id, None)?;
            Ok(w.principals.get(app_id).map(ToString::to_string))
        })
    }

    pub fn register(effect: &str, app_id: &str) -> Result<String> {
        with_world(|w| {
            w.pass("directory", "write", app_id, None)?;
            w.effect((effect, "service-principal", app_id), "", |w| {
                if let Some(standing) = w.principals.get(app_id) {
                    return Ok((standing.clone(), Ownership::Foreign));
                }
                let made =
                    json!({ "id": format!("oid-of-{app_id}"), "appId": app_id, "displayName": "an application" });
                w.principals.insert(app_id.into(), made.clone());
                Ok((made, Ownership::Ours))
            })
            .map(|v| v.to_string())
        })
    }
}
