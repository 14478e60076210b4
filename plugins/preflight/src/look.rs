//! The single looks: each ends well, with what it saw, or names its cure.

use sealbook_sdk::prelude::*;

use super::{In, Look, Out};

/// What one look came to: seen, or a failing and its cure.
type Looked = std::result::Result<Look, (String, String)>;

fn seen(what: impl Into<String>, seen: impl Into<String>) -> Looked {
    Ok(Look { what: what.into(), seen: seen.into() })
}

fn cure(message: impl Into<String>, fix: impl Into<String>) -> Looked {
    Err((message.into(), fix.into()))
}

impl In {
    /// Looks at everything, so that a learner hears of all obstacles at once.
    pub(super) fn look(&self, cx: &Cx) -> Result<Out> {
        let region = self.region(cx)?;
        // What a region offers can't be asked of one that does not exist.
        let there = region.is_ok();
        let mut looked = vec![region];
        if let Some(size) = self.vm_size.as_deref().filter(|size| there && !size.is_empty()) {
            looked.extend(self.machine(cx, size)?);
        }
        if let Some(name) = &self.storage_account {
            if there {
                looked.push(self.storage_sku(cx)?);
                looked.push(self.storage_quota(cx)?);
            }
            looked.push(self.account_name(cx, name)?);
        }
        if let Some(name) = &self.vault {
            looked.push(self.vault_name(cx, name, there)?);
        }
        let (mut looks, mut obstacles, mut cures) = (Vec::new(), Vec::new(), Vec::new());
        for one in looked {
            match one {
                Ok(look) => looks.push(look),
                Err((message, fix)) => {
                    obstacles.push(message);
                    cures.push(fix);
                }
            }
        }
        match obstacles.is_empty() {
            true => Ok(Out { location: self.location.clone(), looks }),
            false => {
                cures.dedup();
                Err(Problem::precondition(obstacles.join("; "), cures.join(" ")))
            }
        }
    }

    pub(super) fn region(&self, cx: &Cx) -> Result<Looked> {
        let regions = cx.azure().list(&self.subscription.join("locations")?)?;
        Ok(match regions.iter().find(|r| r["name"] == self.location.as_str()) {
            Some(region) => seen("region", region["displayName"].as_str().unwrap_or(&self.location)),
            None => {
                // Geographies like `europe` are listed too; nothing can be made there.
                let physical = |r: &&Value| r["metadata"]["regionType"] != "Logical";
                let mut names: Vec<&str> = regions.iter().filter(physical).filter_map(|r| r["name"].as_str()).collect();
                names.sort_unstable();
                cure(
                    format!("The input `region` can't be `{}`: this subscription has no such region", self.location),
                    format!("Start again with --set region= and one of these: {}.", names.join(", ")),
                )
            }
        })
    }

    /// The size is offered without restriction, and there is quota for one such machine.
    fn machine(&self, cx: &Cx, size: &str) -> Result<Vec<Looked>> {
        let compute = "providers/Microsoft.Compute";
        let filter = format!("location eq '{}'", self.location);
        let sizes = cx.azure().list_where(&self.subscription.join(&format!("{compute}/skus"))?, &filter)?;
        let found =
            sizes.iter().find(|s| s["resourceType"] == "virtualMachines" && s["name"] == size && self.offered_here(s));
        let Some(found) = found else {
            let fix = format!(
                "Start again in a region that offers it: az vm list-skus --size {size} --query \"[].locations\"."
            );
            return Ok(vec![cure(format!("{} does not offer the machine size {size}", self.location), fix)]);
        };
        if let Some(reason) = self.restriction(found) {
            let fix = "Start again in another region (--set region=…), or ask Azure support to lift the restriction. Free trials can't have confidential machines.";
            return Ok(vec![cure(
                format!("{size} is restricted for this subscription in {} ({reason})", self.location),
                fix,
            )]);
        }
        let family = found["family"].as_str().unwrap_or_default();
        let cores = capability(found, "vCPUs").unwrap_or(1);
        let usages =
            cx.azure().list(&self.subscription.join(&format!("{compute}/locations/{}/usages", self.location))?)?;
        let offered =
            seen(format!("machine size {size}"), format!("offered in {}, without restriction", self.location));
        Ok(vec![offered, self.quota(&usages, family, cores, &format!("vCPUs of the family {family}"))])
    }

    fn storage_sku(&self, cx: &Cx) -> Result<Looked> {
        let skus = cx.azure().list(&self.subscription.join("providers/Microsoft.Storage/skus")?)?;
        let sku = self.storage_sku.as_str();
        let found =
            skus.iter().find(|s| s["resourceType"] == "storageAccounts" && s["name"] == sku && self.offered_here(s));
        let fix = "Start again in another region: --set region=….";
        Ok(match (found, found.and_then(|s| self.restriction(s))) {
            (None, _) => cure(format!("{} does not offer {sku} storage", self.location), fix),
            (_, Some(reason)) => cure(format!("{sku} storage is restricted in {} ({reason})", self.location), fix),
            _ => seen("storage", format!("{sku} is offered in {}", self.location)),
        })
    }

    fn storage_quota(&self, cx: &Cx) -> Result<Looked> {
        let path = format!("providers/Microsoft.Storage/locations/{}/usages", self.location);
        let usages = cx.azure().list(&self.subscription.join(&path)?)?;
        Ok(self.quota(&usages, "StorageAccounts", 1, "storage accounts"))
    }

    fn account_name(&self, cx: &Cx, name: &str) -> Result<Looked> {
        let what = format!("storage account name {name}");
        if self.made_already(cx, &format!("Microsoft.Storage/storageAccounts/{name}"))? {
            return Ok(seen(what, "this run has made it"));
        }
        let id = self.subscription.join("providers/Microsoft.Storage/checkNameAvailability")?;
        let answer = cx.azure().query(&id, &json!({ "name": name, "type": "Microsoft.Storage/storageAccounts" }))?;
        Ok(free(what, &answer))
    }

    fn vault_name(&self, cx: &Cx, name: &str, region_is_there: bool) -> Result<Looked> {
        let what = format!("vault name {name}");
        if self.made_already(cx, &format!("Microsoft.KeyVault/vaults/{name}"))? {
            return Ok(seen(what, "this run has made it"));
        }
        let path = format!("providers/Microsoft.KeyVault/locations/{}/deletedVaults/{name}", self.location);
        if region_is_there && let Some(deleted) = cx.azure().find(&self.subscription.join(&path)?)? {
            let until = deleted["properties"]["scheduledPurgeDate"].as_str().unwrap_or("its retention ends");
            return Ok(cure(
                format!("A deleted vault holds the name {name} until {until}"),
                "Start again with another ending of the names: --set suffix=….",
            ));
        }
        let id = self.subscription.join("providers/Microsoft.KeyVault/checkNameAvailability")?;
        let answer = cx.azure().query(&id, &json!({ "name": name, "type": "Microsoft.KeyVault/vaults" }))?;
        Ok(free(what, &answer))
    }

    /// Whether a resource stands in the group that this run may use: its own, after a crash, or one to adopt.
    fn made_already(&self, cx: &Cx, resource: &str) -> Result<bool> {
        let Some(group) = &self.group else { return Ok(false) };
        let found = cx.azure().find(&group.join(&format!("providers/{resource}"))?)?;
        Ok(found.is_some_and(|r| cx.usable(mark(&r))))
    }

    /// Whether there is quota for `wanted` more.
    fn quota(&self, usages: &[Value], name: &str, wanted: u64, what: &str) -> Looked {
        let usage = usages.iter().find(|u| u["name"]["value"].as_str().is_some_and(|n| n.eq_ignore_ascii_case(name)));
        let number = |key: &str| usage.and_then(|u| u[key].as_u64()).unwrap_or_default();
        let (used, limit) = (number("currentValue"), number("limit"));
        if used + wanted <= limit {
            return seen(
                format!("quota for {what}"),
                format!("{used} of {limit} used in {}, {wanted} needed", self.location),
            );
        }
        cure(
            format!("The quota for {what} in {} is {limit}; {used} in use, {wanted} more needed", self.location),
            "Ask for more in the portal (Quotas) and resume, or start again in another region: --set region=….",
        )
    }

    fn offered_here(&self, sku: &Value) -> bool {
        let locations = sku["locations"].as_array();
        locations
            .is_some_and(|all| all.iter().filter_map(Value::as_str).any(|l| l.eq_ignore_ascii_case(&self.location)))
    }

    /// Why the subscription can't have this SKU in this region, if it can't. Restrictions of single zones do not count.
    fn restriction<'a>(&self, sku: &'a Value) -> Option<&'a str> {
        let here = |r: &&Value| {
            let places = r["restrictionInfo"]["locations"].as_array().or_else(|| r["values"].as_array());
            r["type"] == "Location"
                && places.is_none_or(|all| {
                    all.iter().filter_map(Value::as_str).any(|l| l.eq_ignore_ascii_case(&self.location))
                })
        };
        let restriction = sku["restrictions"].as_array()?.iter().find(here)?;
        Some(restriction["reasonCode"].as_str().unwrap_or("no reason given"))
    }
}

fn capability(sku: &Value, name: &str) -> Option<u64> {
    let all = sku["capabilities"].as_array()?;
    all.iter().find(|c| c["name"] == name)?["value"].as_str()?.parse().ok()
}

/// What `checkNameAvailability` says.
fn free(what: String, answer: &Value) -> Looked {
    if answer["nameAvailable"] == true {
        return seen(what, "free");
    }
    let why = answer["message"].as_str().or_else(|| answer["reason"].as_str()).unwrap_or("Azure does not say why");
    cure(format!("The {what} can't be had: {why}"), "Start again with another ending of the names: --set suffix=….")
}
