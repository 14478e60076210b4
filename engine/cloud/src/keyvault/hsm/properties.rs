//! Rules for a pool's properties, free of the database. Most are a vault's.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::super::properties::{self as vault, Mode, bad};
use crate::refusal::Refusal;

/// SKUs that can be made here, with their family.
const SKUS: [(&str, &str); 2] = [("Standard_B1", "B"), ("Custom_B32", "B")];

/// Reads a pool's `sku`; `old` is the stored one, which stays what it was.
pub(super) fn sku(old: Option<&Value>, given: &Value) -> Result<Value, Refusal> {
    if let (Some(old), true) = (old, given.is_null()) {
        return Ok(old.clone());
    }
    let name = given["name"].as_str().unwrap_or_default();
    let Some((name, family)) = SKUS.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) else {
        let known = SKUS.map(|(name, _)| name).join(", ");
        let refusal =
            bad(format!("The parameter 'sku' has an invalid value: the name must be one of {known}, not '{name}'."));
        return Err(if name.contains('_') { refusal.gap(format!("the managed HSM SKU {name}")) } else { refusal });
    };
    if !given["family"].as_str().is_some_and(|given| given.eq_ignore_ascii_case(family)) {
        return Err(bad(format!("The parameter 'sku' has an invalid value: the family of {name} is '{family}'.")));
    }
    let sku = json!({ "name": name, "family": family });
    match old {
        Some(old) if *old != sku => Err(bad("The property \"sku\" has been set already and it can't be modified.")),
        _ => Ok(sku),
    }
}

/// Computes the properties of a pool from a request.
///
/// `old` are the stored ones, `given` the request's `properties`, `tenant` the subscription's tenant.
pub(super) fn apply(mode: Mode, old: Option<&Value>, given: &Value, tenant: &str) -> Result<Value, Refusal> {
    let given = given.as_object().ok_or_else(|| bad("The parameter 'properties' is not specified."))?;
    let mut properties = Map::new();
    properties.insert("tenantId".into(), vault::tenant_id(mode, old, given, tenant)?.into());
    properties.insert("initialAdminObjectIds".into(), administrators(old, given)?);
    properties.insert("enableSoftDelete".into(), vault::soft_delete(given)?.into());
    properties.insert("softDeleteRetentionInDays".into(), retention(old, given)?.into());
    properties.insert("enablePurgeProtection".into(), purge_protection(old, given)?.into());
    let acls = vault::network_acls(mode, old, given)?;
    let open = json!({ "bypass": "AzureServices", "defaultAction": "Allow", "ipRules": [], "virtualNetworkRules": [] });
    properties.insert("networkAcls".into(), acls.unwrap_or(open));
    properties.insert("publicNetworkAccess".into(), vault::public_access(mode, old, given)?.into());
    properties.insert("regions".into(), regions(given)?);
    Ok(Value::Object(properties))
}

/// The first administrators. They count at creation alone; later their role assignments do.
fn administrators(old: Option<&Value>, given: &Map<String, Value>) -> Result<Value, Refusal> {
    const NAME: &str = "initialAdminObjectIds";
    if let Some(old) = old {
        return Ok(old[NAME].clone());
    }
    let ids = given.get(NAME).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let all_ids = ids.iter().all(|id| id.as_str().is_some_and(|id| Uuid::try_parse(id).is_ok()));
    if ids.is_empty() || !all_ids {
        return Err(bad(format!("The property '{NAME}' must be a list of at least one object id (a GUID).")));
    }
    Ok(Value::Array(ids.to_vec()))
}

/// Days, as a number or, as the Azure CLI writes it, as text.
fn retention(old: Option<&Value>, given: &Map<String, Value>) -> Result<i64, Refusal> {
    const NAME: &str = "softDeleteRetentionInDays";
    let old = old.and_then(|old| old[NAME].as_i64());
    let days = match given.get(NAME) {
        None | Some(Value::Null) => return Ok(old.unwrap_or(90)),
        Some(value) => value
            .as_i64()
            .or_else(|| value.as_str()?.parse().ok())
            .ok_or_else(|| bad(format!("The property '{NAME}' must be a number of days, not {value}.")))?,
    };
    if old.is_some_and(|old| old != days) {
        return Err(bad(format!("The property \"{NAME}\" has been set already and it can't be modified.")));
    }
    if !(7..=90).contains(&days) {
        return Err(bad(format!("The property \"{NAME}\" must be between 7 and 90 days, not {days}.")));
    }
    Ok(days)
}

fn purge_protection(old: Option<&Value>, given: &Map<String, Value>) -> Result<bool, Refusal> {
    const NAME: &str = "enablePurgeProtection";
    let on = old.is_some_and(|old| old[NAME] == true);
    match vault::boolean(given, NAME)? {
        Some(false) if on => Err(bad(
            "The property \"enablePurgeProtection\" cannot be set to false. Enabling the purge protection for a managed \
             HSM is an irreversible action.",
        )),
        asked => Ok(asked.unwrap_or(on)),
    }
}

fn regions(given: &Map<String, Value>) -> Result<Value, Refusal> {
    match given.get("regions").and_then(Value::as_array) {
        Some(regions) if !regions.is_empty() => {
            Err(bad("The embedded managed HSM has one region: the property 'regions' must be empty.")
                .gap("managed HSMs in several regions"))
        }
        _ => Ok(json!([])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: &str = "11111111-2222-3333-4444-555555555555";
    const ADMIN: &str = "99999999-2222-3333-4444-555555555555";

    fn base(more: Value) -> Value {
        let mut all = json!({ "tenantId": TENANT, "initialAdminObjectIds": [ADMIN] });
        for (name, value) in more.as_object().unwrap() {
            all[name] = value.clone();
        }
        all
    }

    #[test]
    fn defaults_of_a_new_pool() {
        let made = apply(Mode::Replace, None, &base(json!({ "softDeleteRetentionInDays": "7" })), TENANT).unwrap();
        assert_eq!(
            made,
            json!({
                "tenantId": TENANT,
                "initialAdminObjectIds": [ADMIN],
                "enableSoftDelete": true,
                "softDeleteRetentionInDays": 7,
                "enablePurgeProtection": false,
                "networkAcls": {
                    "bypass": "AzureServices", "defaultAction": "Allow", "ipRules": [], "virtualNetworkRules": [],
                },
                "publicNetworkAccess": "Enabled",
                "regions": [],
            })
        );
        for mode in [Mode::Replace, Mode::Change] {
            assert_eq!(apply(mode, Some(&made), &made, TENANT).unwrap(), made, "{mode:?}");
        }
    }

    #[test]
    fn what_azure_refuses_is_refused() {
        let protected = base(json!({ "enablePurgeProtection": true, "softDeleteRetentionInDays": 7 }));
        let rows: &[(Option<&Value>, Value, &str)] = &[
            (None, json!(7), "'properties' is not specified"),
            (None, base(json!({ "tenantId": "other" })), "is not the tenant of this subscription"),
            (None, base(json!({ "initialAdminObjectIds": [] })), "at least one object id"),
            (None, base(json!({ "initialAdminObjectIds": ["me"] })), "at least one object id"),
            (None, base(json!({ "initialAdminObjectIds": null })), "at least one object id"),
            (None, base(json!({ "enableSoftDelete": false })), "cannot be set to false"),
            (None, base(json!({ "softDeleteRetentionInDays": 6 })), "between 7 and 90 days, not 6"),
            (None, base(json!({ "softDeleteRetentionInDays": "91" })), "between 7 and 90 days, not 91"),
            (None, base(json!({ "softDeleteRetentionInDays": "many" })), "must be a number of days"),
            (Some(&protected), base(json!({ "softDeleteRetentionInDays": 8 })), "can't be modified"),
            (Some(&protected), base(json!({ "enablePurgeProtection": false })), "irreversible action"),
            (None, base(json!({ "regions": [{ "name": "northeurope" }] })), "has one region"),
            (None, base(json!({ "publicNetworkAccess": "Sometimes" })), "publicNetworkAccess"),
        ];
        for (old, given, expected) in rows {
            let refusal = apply(Mode::Replace, *old, given, TENANT).unwrap_err();
            assert_eq!((refusal.status, refusal.code.as_str()), (400, "BadRequest"));
            assert!(refusal.message.contains(expected), "{} for {given}", refusal.message);
        }
    }

    #[test]
    fn skus() {
        let b1 = json!({ "name": "Standard_B1", "family": "B" });
        let rows = [
            (None, json!({ "name": "standard_b1", "family": "b" }), None),
            (None, json!({ "name": "Custom_B32", "family": "B" }), None),
            (Some(&b1), Value::Null, None),
            (None, Value::Null, Some("must be one of")),
            (None, json!({ "name": "Custom_C10", "family": "C" }), Some("must be one of")),
            (None, json!({ "name": "Standard_B1", "family": "C" }), Some("the family of")),
            (Some(&b1), json!({ "name": "Custom_B32", "family": "B" }), Some("can't be modified")),
        ];
        for (old, given, expected) in rows {
            match (sku(old, &given), expected) {
                (Ok(_), None) => {}
                (Err(refusal), Some(text)) => assert!(refusal.message.contains(text), "{}", refusal.message),
                (read, _) => panic!("{read:?} for {given}"),
            }
        }
    }
}
