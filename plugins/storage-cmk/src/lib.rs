//! Encrypts a storage account with a key of your own.
use sealbook_sdk::prelude::*;

/// Which account, which key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// Resource id of the storage account. Its identity must be allowed to wrap with the key.
    account: ArmId,
    /// The key's address without a version, so that the account follows the key when it is rotated.
    key: KeyUri,
}

/// How the account is encrypted.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// `Microsoft.Keyvault`, or `Microsoft.Storage` for Microsoft's own keys.
    key_source: String,
    /// What Azure says of the key, under Azure's own names (`keyname`, `keyvaulturi`, `currentVersionedKeyIdentifier`).
    keyvaultproperties: Value,
}

/// Encrypts a storage account with a key in a key store.
pub struct StorageCmk;

const OWN: &str = "Microsoft.Keyvault";

impl Step for StorageCmk {
    const ASKS: &'static [&'static str] = &["azure:read,write ${inputs.account}"];
    type In = In;
    type Out = Out;

    fn check(cx: &Cx, i: &In) -> Result<Check<Out>> {
        i.unversioned()?;
        let now = setting(&cx.azure().get(&i.account)?);
        if i.set_in(&now) {
            return Ok(Check::Satisfied(out(&now)));
        }
        let from = if now["keySource"] == OWN { "another key of yours" } else { "keys that Microsoft keeps" };
        let (account, key) = (i.account.name(), i.key.name());
        Ok(Check::needed(format!("Change the encryption of {account} from {from} to the key {key} in {}", i.key.store_name()))
            .also("What is stored stays where it is: only the key that wraps the account's data key changes")
            .before(now)
            .az(format!(
                "az storage account update --ids {} --encryption-key-source {OWN} --encryption-key-vault {} --encryption-key-name {key}",
                i.account, i.key.store()
            )))
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        i.unversioned()?;
        let key = json!({ "keyname": i.key.name(), "keyvaulturi": i.key.store() });
        let body = json!({ "properties": { "encryption": { "keySource": OWN, "keyvaultproperties": key } } });
        Ok(out(&setting(&cx.azure().patch("encrypt", &i.account, body)?)))
    }

    fn verify(cx: &Cx, i: &In, _: &Out) -> Result<Vec<Evidence>> {
        let now = setting(&cx.azure().get(&i.account)?);
        let key = &now["keyvaultproperties"];
        let current = key["currentVersionedKeyIdentifier"].as_str().unwrap_or("none");
        let versioned = key["keyversion"].as_str();
        Ok(vec![
            Evidence::same("who keeps the key", now["keySource"].as_str().unwrap_or_default(), OWN),
            Evidence::same("key store", bare(key["keyvaulturi"].as_str().unwrap_or_default()), bare(i.key.store())),
            Evidence::same("key", key["keyname"].as_str().unwrap_or_default(), i.key.name()),
            Evidence::new("version in use", current.starts_with(i.key.as_str()), current),
            Evidence::new("follows rotation", versioned.is_none(), versioned.unwrap_or("no version is pinned")),
        ])
    }

    fn undo(cx: &Cx, i: &In, past: Past<Out>) -> Result<Undone> {
        let Some(account) = cx.azure().find(&i.account)? else { return Ok(Undone::clean()) };
        let now = setting(&account);
        // Not changed by this step, or changed again by somebody since: then it is not this step's to put back.
        if !past.may_restore("encrypt") || !i.set_in(&now) || i.set_in(&past.before) {
            return Ok(Undone::clean());
        }
        let mut before = json!({ "keySource": past.before["keySource"] });
        if past.before["keySource"] == OWN {
            for name in ["keyname", "keyvaulturi", "keyversion"] {
                before["keyvaultproperties"][name] = past.before["keyvaultproperties"][name].clone();
            }
        }
        cx.azure().patch("restore", &i.account, json!({ "properties": { "encryption": before } }))?;
        Ok(Undone::clean())
    }
}

impl In {
    fn unversioned(&self) -> Result<()> {
        match self.key.version() {
            None => Ok(()),
            Some(version) => {
                let message = format!("leave out the version {version}: a pinned version is never rotated");
                Err(Problem::invalid_input("key", message))
            }
        }
    }

    /// Whether the setting `now` is what this step wants.
    fn set_in(&self, now: &Value) -> bool {
        let key = &now["keyvaultproperties"];
        now["keySource"] == OWN
            && key["keyname"] == self.key.name()
            && key["keyvaulturi"].as_str().is_some_and(|uri| bare(uri).eq_ignore_ascii_case(bare(self.key.store())))
            && key.get("keyversion").is_none()
    }
}

/// The account's encryption setting: source and key, without the empty members that Azure shows for what is not set.
fn setting(account: &Value) -> Value {
    let encryption = &account["properties"]["encryption"];
    let mut key = encryption["keyvaultproperties"].clone();
    if let Some(key) = key.as_object_mut() {
        key.retain(|_, v| !v.is_null() && v != "");
    }
    let source = encryption["keySource"].as_str().unwrap_or("Microsoft.Storage");
    json!({ "keySource": source, "keyvaultproperties": key })
}

fn out(setting: &Value) -> Out {
    let key_source = setting["keySource"].as_str().unwrap_or_default().into();
    Out { key_source, keyvaultproperties: setting["keyvaultproperties"].clone() }
}

/// Azure shows vault addresses with and without the closing slash.
fn bare(uri: &str) -> &str {
    uri.trim_end_matches('/')
}

sealbook_sdk::export!(StorageCmk);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::{Fake, Tested};

    const ID: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/acct";
    const KEY: &str = "https://v.vault.azure.net/keys/k";

    fn world() -> Fake {
        let fake = Fake::new().dress(|_, account| {
            let encryption = &mut account["properties"]["encryption"];
            if encryption["keySource"] == OWN {
                let name = encryption["keyvaultproperties"]["keyname"].as_str().unwrap_or_default();
                let kid = format!("https://v.vault.azure.net/keys/{name}/01");
                encryption["keyvaultproperties"]["currentVersionedKeyIdentifier"] = json!(kid);
            }
        });
        fake.own(ID, json!({ "properties": { "encryption": { "keySource": "Microsoft.Storage" } } }))
    }

    fn step(fake: &Fake, key: &str) -> Tested<StorageCmk> {
        fake.step(json!({ "account": ID, "key": key }))
    }

    #[test]
    fn it_encrypts_and_undo_gives_the_account_back_to_microsofts_keys() {
        let fake = world();
        let done = step(&fake, KEY).run().unwrap();
        assert!(done.evidence.iter().all(|e| e.passed), "{:?}", done.evidence);
        assert_eq!(
            done.outputs.as_ref().unwrap()["keyvaultproperties"]["currentVersionedKeyIdentifier"],
            format!("{KEY}/01")
        );
        step(&fake, KEY).undo(done).unwrap();
        assert_eq!(fake.arm(ID).unwrap()["properties"]["encryption"]["keySource"], "Microsoft.Storage");
    }

    #[test]
    fn undo_goes_back_to_an_earlier_key_of_yours() {
        let fake = world();
        step(&fake, "https://v.vault.azure.net/keys/old").run().unwrap();
        let fake = Fake::new().own(ID, fake.arm(ID).unwrap());
        let done = step(&fake, KEY).run().unwrap();
        step(&fake, KEY).undo(done).unwrap();
        assert_eq!(fake.arm(ID).unwrap()["properties"]["encryption"]["keyvaultproperties"]["keyname"], "old");
    }

    #[test]
    fn a_setting_that_somebody_changed_since_is_left_alone() {
        let fake = world();
        let done = step(&fake, KEY).run().unwrap();
        let changed =
            fake.clone().own(ID, json!({ "properties": { "encryption": { "keySource": "Microsoft.Storage" } } }));
        let before = changed.effects();
        step(&changed, KEY).undo(done).unwrap();
        assert_eq!(changed.effects(), before);
    }

    #[test]
    fn a_pinned_version_is_refused() {
        let Err(Problem::InvalidInput(e)) = step(&world(), &format!("{KEY}/01")).check() else { panic!("accepted") };
        assert_eq!(e.field, "key");
    }
}
