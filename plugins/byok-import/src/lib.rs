//! Imports a key into a key store out of a transfer blob.
use sealbook_sdk::prelude::*;

/// Which key, and out of which blob.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// The store's address, with its closing slash.
    store: StoreUri,
    /// The store's resource id: roles on the key are given beneath it.
    store_id: ArmId,
    /// The key's name in the store.
    #[schemars(regex(pattern = r"^[a-zA-Z0-9-]{1,127}$"))]
    name: String,
    /// Reference to the transfer blob (`artifact:…`).
    blob: String,
    /// What it may be used for.
    #[serde(default = "wrapping")]
    key_ops: Vec<String>,
    /// Whether undo leaves the key to its store. Say so when this run makes the store without purge protection: its own
    /// undo purges it with everything in it.
    #[serde(default)]
    goes_with_store: bool,
}

fn wrapping() -> Vec<String> {
    ["wrapKey", "unwrapKey"].map(Into::into).into()
}

/// The key.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// Its resource id: the scope for roles on this key alone.
    #[schemars(extend("x-is" = "${inputs.store_id}/keys/${inputs.name}"))]
    id: ArmId,
    /// Its address without a version.
    #[schemars(extend("x-is" = "${inputs.store}keys/${inputs.name}"))]
    uri: KeyUri,
    /// The address of the version that was imported.
    #[schemars(extend("x-az" = "az keyvault key show --id ${inputs.store}keys/${inputs.name} --query key.kid --output tsv"))]
    kid: KeyUri,
    /// Its name.
    #[schemars(extend("x-is" = "${inputs.name}"))]
    name: String,
    /// Its kind, as the store says it.
    kty: String,
    /// Whether the store would ever hand it out.
    exportable: bool,
    /// What it may be used for.
    key_ops: Vec<String>,
    /// Whether somebody imported it by hand, out of a blob of his own: then nobody else can tell which key it is.
    by_hand: bool,
}

/// Imports a key.
pub struct ByokImport;

impl Step for ByokImport {
    const ASKS: &'static [&'static str] = &["keyvault:read,create ${inputs.store}keys/${inputs.name}", "artifacts:use"];
    type In = In;
    type Out = Out;

    fn check(cx: &Cx, i: &In) -> Result<Check<Out>> {
        let uri = i.uri()?;
        let Some(bundle) = cx.keyvault().find(&uri)? else {
            let check =
                Check::needed(format!("Import the key {} out of its transfer blob into the store's HSMs", i.name))
                    .costs(i.price().0, i.price().1)
                    .az(format!(
                        "az keyvault key import --id {uri} --byok-file target.byok --kty RSA --ops {}",
                        i.key_ops.join(" ")
                    ));
            return Ok(match i.goes_with_store {
                true => check,
                false => check
                    .leaves(format!("the deleted key {}, unusable, as long as its store keeps deleted keys", i.name)),
            });
        };
        cx.claim(&format!("A key {}", i.name), &uri, &bundle)?;
        let found = i.out(&bundle)?;
        let sorted = |ops: &[String]| {
            let mut ops = ops.to_vec();
            ops.sort_unstable();
            ops.join(", ")
        };
        if sorted(&found.key_ops) != sorted(&i.key_ops) {
            let message = format!(
                "The key {} may be used for {} instead of {}",
                i.name,
                sorted(&found.key_ops),
                sorted(&i.key_ops)
            );
            return Err(Problem::conflict(message, [found.kid.as_str()]));
        }
        Ok(Check::Satisfied(found))
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        let blob = cx.artifacts().open(&i.blob)?;
        let parameters = json!({
            "key": { "kty": "RSA-HSM", "key_ops": i.key_ops },
            "Hsm": true,
            "attributes": { "enabled": true },
        });
        i.out(&cx.keyvault().import("import", &i.uri()?, parameters, &blob)?)
    }

    fn verify(cx: &Cx, i: &In, outputs: &Out) -> Result<Vec<Evidence>> {
        let Some(bundle) = cx.keyvault().find(&outputs.uri)? else {
            return Ok(vec![Evidence::new("the key is there", false, outputs.uri.as_str())]);
        };
        let seen = i.out(&bundle)?;
        let exportable = if seen.exportable { "it can be exported" } else { "it can't be exported" };
        Ok(vec![
            Evidence::same("kind", &seen.kty, "RSA-HSM"),
            Evidence::new("it stays in the store from now on", !seen.exportable, exportable),
            Evidence::new("only its public part is shown", bundle["key"].get("d").is_none(), "modulus and exponent"),
        ])
    }

    fn undo(cx: &Cx, i: &In, past: Past<Out>) -> Result<Undone> {
        if i.goes_with_store {
            return Ok(Undone::clean());
        }
        let uri = i.uri()?;
        let Some(bundle) = cx.keyvault().find(&uri)? else { return Ok(Undone::clean()) };
        if !past.may_remove(cx, "import", mark(&bundle)) {
            return Ok(Undone::clean());
        }
        let Some(deleted) = cx.keyvault().delete("delete", &uri)? else { return Ok(Undone::clean()) };
        let until = deleted["scheduledPurgeDate"].as_i64().map(sealbook_sdk::rfc3339);
        let why = "the store keeps deleted keys for its retention; nobody can use it";
        Ok(Undone::clean().leaving(format!("soft-deleted key {} in {}", i.name, i.store), why, until.as_deref()))
    }
}

impl In {
    fn uri(&self) -> Result<KeyUri> {
        Ok(self.store.key(&self.name)?)
    }

    /// List price over the 730 hours of a month; in a managed HSM keys cost nothing of their own.
    fn price(&self) -> (&'static str, f64) {
        if self.store.as_str().ends_with(".managedhsm.azure.net/") {
            ("key in a managed HSM (the managed HSM's price is for all of them)", 0.0)
        } else {
            ("HSM key (1 USD per version and month of use)", 1.0 / 730.0)
        }
    }

    fn out(&self, bundle: &Value) -> Result<Out> {
        let key = &bundle["key"];
        let ops = key["key_ops"].as_array().map(|a| a.iter().filter_map(Value::as_str).map(Into::into).collect());
        Ok(Out {
            id: self.store_id.join(&format!("keys/{}", self.name))?,
            uri: self.uri()?,
            kid: key["kid"].as_str().unwrap_or_default().parse()?,
            name: self.name.clone(),
            kty: key["kty"].as_str().unwrap_or_default().into(),
            exportable: bundle["attributes"]["exportable"] == true,
            key_ops: ops.unwrap_or_default(),
            by_hand: mark(bundle).is_none(),
        })
    }
}

sealbook_sdk::export!(ByokImport);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::{Fake, Tested};

    const URI: &str = "https://v.vault.azure.net/keys/mine";

    fn step(fake: &Fake) -> Tested<ByokImport> {
        let vault = "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v";
        fake.step(json!({
            "store": "https://v.vault.azure.net/", "store_id": vault, "name": "mine", "blob": "artifact:target.byok" }))
    }

    fn world() -> Fake {
        Fake::new().artifact("target.byok", br#"{"ciphertext":"modulus"}"#)
    }

    #[test]
    fn it_imports_once_and_takes_back() {
        let fake = world();
        fake.lose("import");
        step(&fake).apply().unwrap_err();
        let done = step(&fake).run().unwrap();
        assert!(done.evidence.iter().all(|e| e.passed), "{:?}", done.evidence);
        assert_eq!(done.outputs.clone().unwrap()["kid"], format!("{URI}/{:032x}", 1));
        assert_eq!(fake.key_bundle(URI).unwrap()["key"]["n"], "modulus");
        assert_eq!(done.outputs.clone().unwrap()["by_hand"], false);
        let fake = world();
        let done = step(&fake).run().unwrap();
        let left = step(&fake).undo(done).unwrap().0;
        assert_eq!(left[0].until.as_deref(), Some("2027-01-15T08:00:00Z"));
        assert!(fake.key_bundle(URI).is_none());
    }

    #[test]
    fn a_strangers_key_and_one_for_another_use_are_conflicts() {
        let fake = world().key(URI, &json!({})).unmark_key(URI);
        assert!(matches!(step(&fake).check(), Err(Problem::Conflict(_))));
        let ops = json!({ "key": { "key_ops": ["unwrapKey", "wrapKey"] } });
        let fake = world().key(URI, &ops).unmark_key(URI).adopting();
        assert_eq!(step(&fake).check().unwrap().satisfied().unwrap()["by_hand"], true);
        let fake = world().key(URI, &json!({ "key": { "key_ops": ["sign"] } }));
        let Err(Problem::Conflict(c)) = step(&fake).check() else { panic!("no conflict") };
        assert!(c.message.contains("sign instead of unwrapKey, wrapKey"), "{c:?}");
    }
}
