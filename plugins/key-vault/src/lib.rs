//! Creates a Key Vault in RBAC mode.
use sealbook_sdk::prelude::*;

/// Which vault, and how well it guards its keys.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// The subscription that holds the group.
    subscription: ArmId,
    /// The tenant whose identities the vault trusts (its directory id).
    tenant: String,
    /// Resource id of the group to create the vault in.
    group: ArmId,
    /// The Azure region. A storage account or disk in another region may still use the keys; a disk encryption set may not.
    location: String,
    /// The vault's name: unique in all of Azure, and taken as long as a deleted vault of that name is kept.
    #[schemars(regex(pattern = r"^[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]$"))]
    name: String,
    /// Premium keeps keys in HSMs; standard protects them by software.
    #[serde(default)]
    sku: Sku,
    /// Whether nobody, not even an Owner, can remove the vault or its keys for good before the retention ends. It can't be turned off again.
    #[serde(default = "yes")]
    purge_protection: bool,
    /// How many days a deleted vault or key is kept. It can't be changed later.
    #[serde(default = "ninety")]
    #[schemars(range(min = 7, max = 90))]
    retention_days: u8,
}

/// The protection level.
#[derive(Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Sku {
    Standard,
    #[default]
    Premium,
}

fn yes() -> bool {
    true
}

fn ninety() -> u8 {
    90
}

/// The vault.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// Its resource id: the scope for roles.
    #[schemars(extend("x-is" = "${inputs.group}/providers/Microsoft.KeyVault/vaults/${inputs.name}"))]
    id: ArmId,
    /// Its name.
    #[schemars(extend("x-is" = "${inputs.name}"))]
    name: String,
    /// Its address, with a closing slash: the beginning of every key's address.
    #[schemars(extend("x-is" = "https://${inputs.name}.vault.azure.net/"))]
    uri: StoreUri,
    /// Whether purge protection is on.
    purge_protection: bool,
    /// How many days deleted things are kept.
    retention_days: u64,
}

/// Creates a vault.
pub struct KeyVault;

impl Step for KeyVault {
    const ASKS: &'static [&'static str] = &[
        "azure:read,write ${inputs.group}/providers/Microsoft.KeyVault/vaults/${inputs.name}",
        "azure:read,write ${inputs.subscription}/providers/Microsoft.KeyVault/locations/${inputs.location}/deletedVaults/${inputs.name}",
    ];
    type In = In;
    type Out = Out;

    fn check(cx: &Cx, i: &In) -> Result<Check<Out>> {
        let id = i.id()?;
        if let Some(vault) = cx.azure().find(&id)? {
            cx.claim(&format!("A vault {}", i.name), &id, &vault)?;
            i.check(&id, &vault["properties"])?;
            return Ok(Check::Satisfied(out(id, &vault)?));
        }
        if let Some(deleted) = cx.azure().find(&i.deleted_id()?)? {
            return Err(i.name_is_kept(&deleted["properties"]));
        }
        let protection = if i.purge_protection { "with" } else { "without" };
        let (sku, days) = (i.sku_name(), i.retention_days);
        let check = Check::needed(format!(
            "Create the {sku} vault {} in {}, in RBAC mode, {protection} purge protection, keeping deleted keys {days} days",
            i.name, i.location
        ));
        let check = match i.purge_protection {
            true => check.leaves(format!(
                "the deleted vault {} and its name, for {days} days; it costs nothing meanwhile",
                i.name
            )),
            false => check,
        };
        let purge = if i.purge_protection { " --enable-purge-protection true" } else { "" };
        Ok(check.az(format!(
            "az keyvault create --name {} --resource-group {} --location {} --sku {sku} --enable-rbac-authorization true --retention-days {days}{purge}",
            i.name, i.group.name(), i.location
        )))
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        let mut properties = json!({
            "tenantId": i.tenant,
            "sku": { "family": "A", "name": i.sku },
            "accessPolicies": [],
            "enableRbacAuthorization": true,
            "enableSoftDelete": true,
            "softDeleteRetentionInDays": i.retention_days,
        });
        // Azure refuses the value `false`: leaving it out is the only way to say no.
        if i.purge_protection {
            properties["enablePurgeProtection"] = json!(true);
        }
        let id = i.id()?;
        let vault = cx.azure().put("create", &id, json!({ "location": i.location, "properties": properties }))?;
        out(id, &vault)
    }

    fn verify(cx: &Cx, i: &In, outputs: &Out) -> Result<Vec<Evidence>> {
        let vault = cx.azure().get(&outputs.id)?;
        let p = &vault["properties"];
        let protected = p["enablePurgeProtection"] == true;
        Ok(vec![
            Evidence::same("protection level", p["sku"]["name"].as_str().unwrap_or_default(), i.sku_name()),
            Evidence::new(
                "rights come from Azure roles",
                p["enableRbacAuthorization"] == true,
                "enableRbacAuthorization",
            ),
            Evidence::new("purge protection", protected == i.purge_protection, if protected { "on" } else { "off" }),
            Evidence::same(
                "deleted keys are kept (days)",
                &p["softDeleteRetentionInDays"].to_string(),
                &i.retention_days.to_string(),
            ),
            Evidence::same("address", p["vaultUri"].as_str().unwrap_or_default(), outputs.uri.as_str()),
        ])
    }

    fn undo(cx: &Cx, i: &In, past: Past<Out>) -> Result<Undone> {
        let what = format!("vault {}", i.name);
        let removed = cx.azure().take_back(cx, &past, "create", &what, &i.id()?)?;
        if let Some(kept) = cx.azure().purge(cx, &past, "create", &i.deleted_id()?)? {
            let why = "purge protection keeps it, and its name stays taken; it costs nothing meanwhile";
            return Ok(Undone::from(removed).leaving(
                format!("soft-deleted {what}"),
                why,
                kept["scheduledPurgeDate"].as_str(),
            ));
        }
        Ok(removed.into())
    }
}

impl In {
    fn id(&self) -> Result<ArmId> {
        Ok(self.group.join(&format!("providers/Microsoft.KeyVault/vaults/{}", self.name))?)
    }

    fn deleted_id(&self) -> Result<ArmId> {
        let path = format!("providers/Microsoft.KeyVault/locations/{}/deletedVaults/{}", self.location, self.name);
        Ok(self.subscription.join(&path)?)
    }

    fn sku_name(&self) -> &'static str {
        match self.sku {
            Sku::Standard => "standard",
            Sku::Premium => "premium",
        }
    }

    /// Refuses an existing vault that is not as wanted. None of it can be changed back afterwards, so none of it is
    /// changed.
    fn check(&self, id: &ArmId, found: &Value) -> Result<()> {
        let settings = [
            ("sku", found["sku"]["name"].clone(), json!(self.sku_name())),
            ("RBAC mode", json!(found["enableRbacAuthorization"] == true), json!(true)),
            ("purge protection", json!(found["enablePurgeProtection"] == true), json!(self.purge_protection)),
            ("retention in days", found["softDeleteRetentionInDays"].clone(), json!(self.retention_days)),
        ];
        Problem::unless_as_wanted(&format!("The vault {}", self.name), id.as_str(), settings)
    }

    fn name_is_kept(&self, deleted: &Value) -> Problem {
        Problem::name_is_kept(
            deleted,
            &format!("A deleted vault still holds the name {}", self.name),
            "",
            format!("Choose another name (another `suffix`), or free it: az keyvault purge --name {}", self.name),
        )
    }
}

fn out(id: ArmId, vault: &Value) -> Result<Out> {
    let p = &vault["properties"];
    Ok(Out {
        name: id.name().into(),
        id,
        uri: p["vaultUri"].as_str().unwrap_or_default().parse()?,
        purge_protection: p["enablePurgeProtection"] == true,
        retention_days: p["softDeleteRetentionInDays"].as_u64().unwrap_or_default(),
    })
}

sealbook_sdk::export!(KeyVault);

#[cfg(test)]
mod tests;
