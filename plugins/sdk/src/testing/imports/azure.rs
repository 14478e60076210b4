//! The contract's imports: Azure Resource Manager and Azure RBAC.

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
            let mut found = w.arm.get(&key).cloned().ok_or_else(|| Problem::permanent(format!("{id} is not there")))?;
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
