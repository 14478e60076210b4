//! Creates a managed HSM.
use sealbook_sdk::prelude::*;

/// List price of a pool of the kind Standard_B1, per hour, from its creation to its purge.
const USD_PER_HOUR: f64 = 3.20;

/// Which managed HSM, and how well it guards its keys.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// The subscription that holds the group.
    subscription: ArmId,
    /// The tenant whose identities it trusts (its directory id).
    tenant: String,
    /// Resource id of the group to create it in.
    group: ArmId,
    /// The Azure region.
    location: String,
    /// Its name: unique in all of Azure, and taken as long as a deleted one of that name is kept.
    #[schemars(regex(pattern = r"^[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]$"))]
    name: String,
    /// Object id of its first administrator, who activates it and assigns its roles.
    administrator: String,
    /// Whether nobody can purge it before the retention ends. It is paid for until then, deleted or not.
    #[serde(default)]
    purge_protection: bool,
    /// How many days it is kept after its deletion, its deleted keys likewise. It can't be changed later.
    #[serde(default = "seven")]
    #[schemars(range(min = 7, max = 90))]
    retention_days: u8,
}

fn seven() -> u8 {
    7
}

/// The managed HSM.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// Its resource id.
    #[schemars(extend("x-is" = "${inputs.group}/providers/Microsoft.KeyVault/managedHSMs/${inputs.name}"))]
    id: ArmId,
    /// Its name.
    #[schemars(extend("x-is" = "${inputs.name}"))]
    name: String,
    /// Its address, with a closing slash: the beginning of every key's address.
    #[schemars(extend("x-is" = "https://${inputs.name}.managedhsm.azure.net/"))]
    uri: StoreUri,
    /// Whether purge protection is on.
    purge_protection: bool,
    /// How many days deleted things are kept.
    retention_days: u64,
}

/// Creates a managed HSM.
pub struct ManagedHsm;

impl Step for ManagedHsm {
    const ASKS: &'static [&'static str] = &[
        "azure:read,write ${inputs.group}/providers/Microsoft.KeyVault/managedHSMs/${inputs.name}",
        "azure:read,write ${inputs.subscription}/providers/Microsoft.KeyVault/locations/${inputs.location}/deletedManagedHSMs/${inputs.name}",
    ];
    type In = In;
    type Out = Out;

    fn check(cx: &Cx, i: &In) -> Result<Check<Out>> {
        let id = i.id()?;
        if let Some(pool) = cx.azure().find(&id)? {
            cx.claim(&format!("A managed HSM {}", i.name), &id, &pool)?;
            i.check(&id, &pool["properties"])?;
            return Ok(Check::Satisfied(out(id, &pool)?));
        }
        if let Some(deleted) = cx.azure().find(&i.deleted_id()?)? {
            return Err(i.name_is_kept(&deleted["properties"]));
        }
        let days = i.retention_days;
        let check = Check::needed(format!(
            "Create the managed HSM {} in {}: {USD_PER_HOUR:.2} USD an hour, {:.2} a day, from now until it is purged",
            i.name,
            i.location,
            USD_PER_HOUR * 24.0
        ))
        .costs_on("managed HSM", USD_PER_HOUR, i.after_undo());
        let check = match i.purge_protection {
            true => check.leaves(format!(
                "the deleted managed HSM {}, for {days} days, at {:.2} USD: purge protection keeps anybody from ending it",
                i.name,
                i.after_undo()
            )),
            false => check,
        };
        let purge = if i.purge_protection { " --enable-purge-protection true" } else { "" };
        Ok(check.az(format!(
            "az keyvault create --hsm-name {} --resource-group {} --location {} --administrators {} --retention-days {days}{purge}",
            i.name,
            i.group.name(),
            i.location,
            i.administrator
        )))
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        let mut properties = json!({
            "tenantId": i.tenant,
            "initialAdminObjectIds": [i.administrator],
            "enableSoftDelete": true,
            "softDeleteRetentionInDays": i.retention_days,
        });
        if i.purge_protection {
            properties["enablePurgeProtection"] = json!(true);
        }
        let id = i.id()?;
        let body = json!({
            "location": i.location, "sku": { "family": "B", "name": "Standard_B1" }, "properties": properties });
        out(id.clone(), &cx.azure().put("create", &id, body)?)
    }

    fn verify(cx: &Cx, i: &In, outputs: &Out) -> Result<Vec<Evidence>> {
        let pool = cx.azure().get(&outputs.id)?;
        let p = &pool["properties"];
        let protected = p["enablePurgeProtection"] == true;
        let administrators = p["initialAdminObjectIds"].as_array().cloned().unwrap_or_default();
        Ok(vec![
            Evidence::new("purge protection", protected == i.purge_protection, if protected { "on" } else { "off" }),
            Evidence::same(
                "deleted keys are kept (days)",
                &p["softDeleteRetentionInDays"].to_string(),
                &i.retention_days.to_string(),
            ),
            Evidence::new(
                "its first administrator",
                administrators.contains(&json!(i.administrator)),
                i.administrator.as_str(),
            ),
            Evidence::same("address", p["hsmUri"].as_str().unwrap_or_default(), outputs.uri.as_str()),
        ])
    }

    fn undo(cx: &Cx, i: &In, past: Past<Out>) -> Result<Undone> {
        let what = format!("managed HSM {}", i.name);
        let removed = cx.azure().take_back(cx, &past, "create", &what, &i.id()?)?;
        // A deleted one is paid for as well.
        if let Some(kept) = cx.azure().purge(cx, &past, "create", &i.deleted_id()?)? {
            let why = "purge protection keeps it until its retention ends, and it is paid for until then";
            let until = kept["scheduledPurgeDate"].as_str();
            return Ok(Undone::from(removed).leaving_at_cost(
                format!("soft-deleted {what}"),
                why,
                until,
                i.after_undo(),
            ));
        }
        Ok(removed.into())
    }
}

impl In {
    fn id(&self) -> Result<ArmId> {
        Ok(self.group.join(&format!("providers/Microsoft.KeyVault/managedHSMs/{}", self.name))?)
    }

    fn deleted_id(&self) -> Result<ArmId> {
        let path = format!("providers/Microsoft.KeyVault/locations/{}/deletedManagedHSMs/{}", self.location, self.name);
        Ok(self.subscription.join(&path)?)
    }

    /// What it costs after its deletion.
    fn after_undo(&self) -> f64 {
        if self.purge_protection { USD_PER_HOUR * 24.0 * f64::from(self.retention_days) } else { 0.0 }
    }

    fn check(&self, id: &ArmId, found: &Value) -> Result<()> {
        let settings = [
            ("purge protection", json!(found["enablePurgeProtection"] == true), json!(self.purge_protection)),
            ("retention in days", found["softDeleteRetentionInDays"].clone(), json!(self.retention_days)),
        ];
        Problem::unless_as_wanted(&format!("The managed HSM {}", self.name), id.as_str(), settings)
    }

    fn name_is_kept(&self, deleted: &Value) -> Problem {
        Problem::name_is_kept(
            deleted,
            &format!("A deleted managed HSM still holds the name {}", self.name),
            &format!(", and costs {USD_PER_HOUR:.2} USD an hour as before"),
            format!(
                "Purge it, which ends its bill: az keyvault purge --hsm-name {} --location {}",
                self.name, self.location
            ),
        )
    }
}

fn out(id: ArmId, pool: &Value) -> Result<Out> {
    let p = &pool["properties"];
    Ok(Out {
        name: id.name().into(),
        id,
        uri: p["hsmUri"].as_str().unwrap_or_default().parse()?,
        purge_protection: p["enablePurgeProtection"] == true,
        retention_days: p["softDeleteRetentionInDays"].as_u64().unwrap_or_default(),
    })
}

sealbook_sdk::export!(ManagedHsm);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::{Fake, Tested};

    const ID: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/managedHSMs/h-lab";
    const DELETED: &str = "/subscriptions/s/providers/Microsoft.KeyVault/locations/italynorth/deletedManagedHSMs/h-lab";

    fn world() -> Fake {
        Fake::new()
            .dress(|id, pool| {
                if id == ID {
                    pool["properties"]["hsmUri"] = json!("https://h-lab.managedhsm.azure.net/");
                }
            })
            .bury(|_, pool| {
                let trace = json!({ "properties": {
                    "mhsmId": pool["id"], "tags": pool["tags"], "scheduledPurgeDate": "2031-01-08T00:00:00Z",
                    "purgeProtectionEnabled": pool["properties"]["enablePurgeProtection"] } });
                Some((DELETED.into(), trace))
            })
    }

    fn step(fake: &Fake, more: &Value) -> Tested<ManagedHsm> {
        let mut inputs = json!({
            "subscription": "/subscriptions/s", "tenant": "t", "group": "/subscriptions/s/resourceGroups/g",
            "location": "italynorth", "name": "h-lab", "administrator": "me" });
        inputs.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fake.step(inputs)
    }

    #[test]
    fn its_price_is_said_before_and_undo_ends_it_even_when_it_was_stopped_in_between() {
        let fake = world();
        let step = step(&fake, &json!({}));
        let done = step.run().unwrap();
        let preview = done.preview.clone().unwrap();
        assert!(preview.changes[0].contains("3.20 USD an hour, 76.80 a day"), "{preview:?}");
        assert_eq!((preview.costs[0].usd_per_hour, preview.costs[0].usd_after_undo), (3.20, 0.0));
        assert!(done.evidence.iter().all(|e| e.passed), "{:?}", done.evidence);
        fake.lose("delete");
        step.undo(done.clone()).unwrap_err();
        assert!(fake.arm(DELETED).is_some());
        assert_eq!(step.undo(done).unwrap(), Undone::clean());
        assert!(fake.arm(DELETED).is_none());
    }

    #[test]
    fn under_purge_protection_the_rest_of_the_bill_is_a_leftover() {
        let fake = world();
        let step = step(&fake, &json!({ "purge_protection": true }));
        let done = step.run().unwrap();
        let preview = done.preview.clone().unwrap();
        assert!((preview.costs[0].usd_after_undo - 537.60).abs() < 0.001);
        assert!(preview.leaves[0].contains("537.60 USD"), "{preview:?}");
        let left = step.undo(done).unwrap().0;
        assert_eq!(left[0].until.as_deref(), Some("2031-01-08T00:00:00Z"));
        assert!((left[0].usd - 537.60).abs() < 0.001);
        assert!(fake.arm(DELETED).is_some());
    }

    #[test]
    fn a_strangers_one_a_different_one_and_a_kept_name_are_refused() {
        let fake = world().foreign(ID, json!({ "properties": {} }));
        assert!(matches!(step(&fake, &json!({})).check(), Err(Problem::Conflict(_))));
        assert_eq!(step(&fake, &json!({})).undo_from(&Value::Null, None).unwrap(), Undone::clean());
        assert!(fake.arm(ID).is_some());
        let fake = world().own(ID, json!({ "properties": { "softDeleteRetentionInDays": 30 } }));
        let Err(Problem::Conflict(c)) = step(&fake, &json!({})).check() else { panic!("no conflict") };
        assert!(c.message.contains("retention in days is 30 instead of 7"), "{c:?}");
        let fake = world().foreign(DELETED, json!({ "properties": {} }));
        let Err(Problem::Precondition(p)) = step(&fake, &json!({})).check() else { panic!("no precondition") };
        assert!(p.fix.contains("az keyvault purge --hsm-name h-lab"), "{p:?}");
    }
}
