//! Creates a storage account.
use sealbook_sdk::prelude::*;

/// Which account.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// Resource id of the group to create it in.
    group: ArmId,
    /// The Azure region.
    location: String,
    /// The account's name: 3 to 24 lower-case letters and digits, unique in all of Azure.
    #[schemars(regex(pattern = r"^[a-z0-9]{3,24}$"))]
    name: String,
    /// How many copies are kept, and where.
    #[serde(default = "one_region")]
    sku: String,
    /// Whether the account gets an identity of its own. Without one it can't call a key vault.
    #[serde(default)]
    identity: Identity,
}

/// The account's identity.
#[derive(Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Identity {
    #[default]
    None,
    System,
}

fn one_region() -> String {
    "Standard_LRS".into()
}

/// The account.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// Its resource id: the scope for roles.
    #[schemars(extend("x-is" = "${inputs.group}/providers/Microsoft.Storage/storageAccounts/${inputs.name}"))]
    id: ArmId,
    /// Its name.
    #[schemars(extend("x-is" = "${inputs.name}"))]
    name: String,
    /// Where its blobs are, with a closing slash.
    #[schemars(extend("x-is" = "https://${inputs.name}.blob.core.windows.net/"))]
    blob_uri: String,
    /// Object id of its identity, if it has one.
    #[schemars(extend("x-az" = "az storage account show --ids ${inputs.group}/providers/Microsoft.Storage/storageAccounts/${inputs.name} --query identity.principalId --output tsv"))]
    principal_id: Option<String>,
}

/// Creates a storage account.
pub struct StorageAccount;

impl Step for StorageAccount {
    const ASKS: &'static [&'static str] =
        &["azure:read,write ${inputs.group}/providers/Microsoft.Storage/storageAccounts/${inputs.name}"];
    type In = In;
    type Out = Out;

    fn check(cx: &Cx, i: &In) -> Result<Check<Out>> {
        let id = i.id()?;
        if let Some(account) = cx.azure().find(&id)? {
            cx.claim(&format!("A storage account {}", i.name), &id, &account)?;
            if i.identity == Identity::None || account["identity"]["principalId"].is_string() {
                return Ok(Check::Satisfied(out(id, &account)));
            }
            // Adding an identity takes nothing from anybody; the account's other settings stay as they are.
            return Ok(Check::needed(format!("Give the account {} an identity of its own", i.name))
                .az(format!("az storage account update --ids {id} --assign-identity")));
        }
        let identity = if i.identity == Identity::System { ", with an identity of its own" } else { "" };
        Ok(Check::needed(format!(
            "Create the storage account {} ({}) in {}: TLS 1.2, Entra sign-in only, no public blobs{identity}",
            i.name, i.sku, i.location
        ))
        .costs("storage account (about 0.02 USD per GB and month; empty it costs nothing)", 0.0)
        .az(format!(
            "az storage account create --name {} --resource-group {} --location {} --sku {} --kind StorageV2 --min-tls-version TLS1_2 --allow-blob-public-access false --allow-shared-key-access false{}",
            i.name, i.group.name(), i.location, i.sku,
            if i.identity == Identity::System { " --assign-identity" } else { "" }
        )))
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        let id = i.id()?;
        // Found, and check let it pass: it is ours or to be adopted, and lacks only the identity. One that is still
        // being created is this step's own PUT, cut short before: that is finished below.
        if let Some(found) = cx.azure().find(&id)?
            && i.identity == Identity::System
            && !found["identity"]["principalId"].is_string()
            && state(&found) == "Succeeded"
        {
            let account = cx.azure().patch("identify", &id, json!({ "identity": { "type": "SystemAssigned" } }))?;
            return Ok(out(id, &account));
        }
        let mut body = json!({
            "sku": { "name": i.sku },
            "kind": "StorageV2",
            "location": i.location,
            "properties": {
                "minimumTlsVersion": "TLS1_2",
                "supportsHttpsTrafficOnly": true,
                "allowBlobPublicAccess": false,
                "allowSharedKeyAccess": false,
            },
        });
        if i.identity == Identity::System {
            body["identity"] = json!({ "type": "SystemAssigned" });
        }
        let account = cx.azure().put("create", &id, body)?;
        Ok(out(id, &account))
    }

    fn verify(cx: &Cx, i: &In, outputs: &Out) -> Result<Vec<Evidence>> {
        let account = cx.azure().get(&outputs.id)?;
        let mut evidence = vec![Evidence::same("provisioning state", state(&account), "Succeeded")];
        if i.identity == Identity::System {
            let seen = account["identity"]["principalId"].as_str().unwrap_or("none");
            evidence.push(Evidence::same("its identity", seen, outputs.principal_id.as_deref().unwrap_or_default()));
        }
        Ok(evidence)
    }

    fn undo(cx: &Cx, i: &In, past: Past<Out>) -> Result<Undone> {
        Ok(cx.azure().take_back(cx, &past, "create", &format!("storage account {}", i.name), &i.id()?)?.into())
    }
}

impl In {
    fn id(&self) -> Result<ArmId> {
        Ok(self.group.join(&format!("providers/Microsoft.Storage/storageAccounts/{}", self.name))?)
    }
}

fn state(account: &Value) -> &str {
    account["properties"]["provisioningState"].as_str().unwrap_or("Succeeded")
}

fn out(id: ArmId, account: &Value) -> Out {
    let name = id.name().to_owned();
    let blobs = account["properties"]["primaryEndpoints"]["blob"].as_str();
    Out {
        blob_uri: blobs.map_or_else(|| format!("https://{name}.blob.core.windows.net/"), Into::into),
        principal_id: account["identity"]["principalId"].as_str().map(Into::into),
        name,
        id,
    }
}

sealbook_sdk::export!(StorageAccount);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::{Fake, Tested};

    const ID: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/acct";

    fn world() -> Fake {
        Fake::new().dress(|_, account| {
            if account["identity"]["type"] == "SystemAssigned" {
                account["identity"]["principalId"] = json!("oid");
            }
        })
    }

    fn step(fake: &Fake) -> Tested<StorageAccount> {
        let group = "/subscriptions/s/resourceGroups/g";
        fake.step(json!({ "group": group, "location": "italynorth", "name": "acct", "identity": "system" }))
    }

    #[test]
    fn it_creates_an_account_with_an_identity() {
        let fake = world();
        let done = step(&fake).run().unwrap();
        let out = done.outputs.clone().unwrap();
        assert_eq!(
            (out["principal_id"].as_str(), out["blob_uri"].as_str()),
            (Some("oid"), Some("https://acct.blob.core.windows.net/"))
        );
        assert_eq!(fake.arm(ID).unwrap()["properties"]["allowSharedKeyAccess"], false);
        assert!(done.evidence.iter().all(|e| e.passed));
        assert_eq!(step(&fake).undo(done).unwrap(), Undone::clean());
        assert!(fake.arm(ID).is_none());
    }

    #[test]
    fn an_adopted_account_only_gets_its_identity_and_stays() {
        let fake = world().foreign(ID, json!({ "sku": { "name": "Standard_GRS" } })).adopting();
        let done = step(&fake).run().unwrap();
        assert_eq!(fake.arm(ID).unwrap()["sku"]["name"], "Standard_GRS");
        step(&fake).undo(done).unwrap();
        assert!(fake.arm(ID).is_some());
    }

    #[test]
    fn a_strangers_account_is_a_conflict() {
        let fake = world().foreign(ID, json!({}));
        assert!(matches!(step(&fake).check(), Err(Problem::Conflict(_))));
    }
}
