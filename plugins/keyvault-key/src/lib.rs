//! Creates a key inside a key store.
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use sealbook_sdk::prelude::*;

/// Which key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// The store's address, with its closing slash.
    store: StoreUri,
    /// The store's resource id: roles on the key are given beneath it.
    store_id: ArmId,
    /// The key's name.
    #[schemars(regex(pattern = r"^[a-zA-Z0-9-]{1,127}$"))]
    name: String,
    /// What kind of key. `RSA-HSM` is made in an HSM and stays there; `RSA` is protected by software.
    kty: Kty,
    /// Its length in bits.
    #[serde(default = "shortest")]
    bits: Bits,
    /// What it may be used for. Not given: everything that its kind can do.
    #[serde(default)]
    key_ops: Option<Vec<String>>,
    /// Whether its private part may leave the store, released to an environment that attests itself. Only with a
    /// `release_policy`, and only from the start.
    #[serde(default)]
    exportable: bool,
    /// Who may have it released: a policy in Azure's grammar (`version`, `anyOf`).
    #[serde(default)]
    release_policy: Option<Value>,
    /// Whether the release policy is for ever.
    #[serde(default)]
    immutable_policy: bool,
    /// Whether it can be used from the start.
    #[serde(default = "yes")]
    enabled: bool,
    /// Whether undo leaves the key to its store. Say so when this run makes the store without purge protection: its own
    /// undo purges it with everything in it.
    #[serde(default)]
    goes_with_store: bool,
}

/// The kinds of keys.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
enum Kty {
    #[serde(rename = "RSA")]
    Rsa,
    #[serde(rename = "RSA-HSM")]
    RsaHsm,
}

/// Lengths of RSA keys.
#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "u32")]
struct Bits(u32);

impl TryFrom<u32> for Bits {
    type Error = String;

    fn try_from(bits: u32) -> Result<Self, String> {
        if matches!(bits, 2048 | 3072 | 4096) {
            Ok(Self(bits))
        } else {
            Err(format!("{bits} is not 2048, 3072 or 4096"))
        }
    }
}

impl JsonSchema for Bits {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Bits".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "enum": [2048, 3072, 4096] })
    }
}

impl Serialize for Bits {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u32(self.0)
    }
}

fn shortest() -> Bits {
    Bits(2048)
}

fn yes() -> bool {
    true
}

/// The key.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// Its resource id: the scope for roles on this key alone.
    #[schemars(extend("x-is" = "${inputs.store_id}/keys/${inputs.name}"))]
    id: ArmId,
    /// Its address without a version: whoever uses this follows rotation.
    #[schemars(extend("x-is" = "${inputs.store}keys/${inputs.name}"))]
    uri: KeyUri,
    /// The address of the version that was made.
    #[schemars(extend("x-az" = "az keyvault key show --id ${inputs.store}keys/${inputs.name} --query key.kid --output tsv"))]
    kid: KeyUri,
    /// The version that was made: the last part of `kid`.
    #[schemars(extend("x-az-last" = "az keyvault key show --id ${inputs.store}keys/${inputs.name} --query key.kid --output tsv"))]
    version: String,
    /// Its name.
    #[schemars(extend("x-is" = "${inputs.name}"))]
    name: String,
    /// Its kind, as the store says it.
    kty: String,
    /// Its length in bits, counted from the public modulus.
    bits: usize,
    /// What it may be used for.
    key_ops: Vec<String>,
}

/// Creates a key.
pub struct KeyvaultKey;

impl Step for KeyvaultKey {
    const ASKS: &'static [&'static str] = &["keyvault:read,create ${inputs.store}keys/${inputs.name}"];
    type In = In;
    type Out = Out;

    fn check(cx: &Cx, i: &In) -> Result<Check<Out>> {
        let uri = i.uri()?;
        let Some(bundle) = cx.keyvault().find(&uri)? else {
            let made = if matches!(i.kty, Kty::RsaHsm) { "inside the store's HSMs" } else { "by the store's software" };
            let size = i.bits.0;
            let leaves = if i.exportable {
                "its private part leaves it only for an environment that its release policy admits"
            } else {
                "its private part never leaves it"
            };
            let check = Check::needed(format!("Make the {} key {} ({size} bits) {made}; {leaves}", i.kty(), i.name));
            let check = match i.goes_with_store {
                true => check,
                false => check
                    .leaves(format!("the deleted key {}, unusable, as long as its vault keeps deleted keys", i.name)),
            };
            return Ok(check.costs(i.price().0, i.price().1).az(format!(
                "az keyvault key create --id {uri} --kty {} --size {size}{}",
                i.kty(),
                i.az_release()
            )));
        };
        cx.claim(&format!("A key {}", i.name), &uri, &bundle)?;
        let found = i.out(&bundle)?;
        let differences = i.differences(&found, &bundle);
        if !differences.is_empty() {
            let message = format!(
                "The key {} is not as this step wants it: {}. A key's kind and length are for ever: take another name for the new one",
                i.name,
                differences.join("; ")
            );
            return Err(Problem::conflict(message, [found.kid.as_str()]));
        }
        Ok(Check::Satisfied(found))
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        let mut parameters = json!({ "kty": i.kty, "key_size": i.bits, "attributes": { "enabled": i.enabled } });
        if let Some(ops) = &i.key_ops {
            parameters["key_ops"] = json!(ops);
        }
        if i.exportable {
            parameters["attributes"]["exportable"] = true.into();
        }
        if i.release_policy.is_some() {
            parameters["release_policy"] = json!({
                "contentType": "application/json; charset=utf-8",
                "data": i.policy_data(),
                "immutable": i.immutable_policy,
            });
        }
        i.out(&cx.keyvault().create("create", &i.uri()?, parameters)?)
    }

    fn verify(cx: &Cx, i: &In, outputs: &Out) -> Result<Vec<Evidence>> {
        let Some(bundle) = cx.keyvault().find(&outputs.uri)? else {
            return Ok(vec![Evidence::new("the key is there", false, outputs.uri.as_str())]);
        };
        let seen = i.out(&bundle)?;
        let enabled = bundle["attributes"]["enabled"] != false;
        let mut evidence = vec![
            Evidence::same("kind", &seen.kty, i.kty()),
            Evidence::same("length in bits", &seen.bits.to_string(), &i.bits.0.to_string()),
            Evidence::new("usable", enabled == i.enabled, if enabled { "enabled" } else { "disabled" }),
            Evidence::new(
                "only its public part is shown",
                bundle["key"].get("d").is_none(),
                "modulus and exponent, nothing more",
            ),
        ];
        if let Some(policy) = &i.release_policy {
            let fate = if i.immutable_policy { "for ever" } else { "until somebody changes it" };
            let immutable = bundle["release_policy"]["immutable"] == true;
            let holds = released(&bundle).as_ref() == Some(policy) && immutable == i.immutable_policy;
            evidence.push(Evidence::new("its release policy is the wanted one", holds, fate));
        }
        Ok(evidence)
    }

    fn undo(cx: &Cx, i: &In, past: Past<Out>) -> Result<Undone> {
        if i.goes_with_store {
            return Ok(Undone::clean());
        }
        let uri = i.uri()?;
        let Some(bundle) = cx.keyvault().find(&uri)? else { return Ok(Undone::clean()) };
        if !past.may_remove(cx, "create", mark(&bundle)) {
            return Ok(Undone::clean());
        }
        let Some(deleted) = cx.keyvault().delete("delete", &uri)? else { return Ok(Undone::clean()) };
        let until = deleted["scheduledPurgeDate"].as_i64().map(sealbook_sdk::rfc3339);
        let what = format!("soft-deleted key {} in {}", i.name, i.store);
        Ok(Undone::clean().leaving(
            what,
            "the store keeps deleted keys for its retention; nobody can use it",
            until.as_deref(),
        ))
    }
}

impl In {
    fn uri(&self) -> Result<KeyUri> {
        Ok(self.store.key(&self.name)?)
    }

    fn kty(&self) -> &'static str {
        match self.kty {
            Kty::Rsa => "RSA",
            Kty::RsaHsm => "RSA-HSM",
        }
    }

    /// What the command for `az` says of its release.
    fn az_release(&self) -> String {
        let exportable = if self.exportable { " --exportable true" } else { "" };
        let immutable = if self.immutable_policy { " --immutable true" } else { "" };
        let policy = self.release_policy.as_ref().map(|policy| format!(" --policy '{policy}'{immutable}"));
        format!("{exportable}{}", policy.unwrap_or_default())
    }

    /// The release policy as Key Vault carries it: base64url of its text.
    fn policy_data(&self) -> Option<String> {
        self.release_policy.as_ref().map(|policy| BASE64_URL_SAFE_NO_PAD.encode(policy.to_string()))
    }

    /// List prices of a month in which the key is used, over its 730 hours.
    fn price(&self) -> (&'static str, f64) {
        if self.store.as_str().ends_with(".managedhsm.azure.net/") {
            return ("key in a managed HSM (the managed HSM's price is for all of them)", 0.0);
        }
        match (self.kty, self.bits.0) {
            (Kty::Rsa, _) => ("software key (0.03 USD per 10,000 uses)", 0.0),
            (Kty::RsaHsm, 2048) => ("HSM key (1 USD per version and month of use)", 1.0 / 730.0),
            (Kty::RsaHsm, _) => ("long HSM key (5 USD per version and month of use)", 5.0 / 730.0),
        }
    }

    fn out(&self, bundle: &Value) -> Result<Out> {
        let key = &bundle["key"];
        // Base64url without padding: four characters for three bytes.
        let modulus = key["n"].as_str().unwrap_or_default().len() * 3 / 4;
        let ops = key["key_ops"].as_array().map(|a| a.iter().filter_map(Value::as_str).map(Into::into).collect());
        Ok(Out {
            id: self.store_id.join(&format!("keys/{}", self.name))?,
            uri: self.uri()?,
            kid: key["kid"].as_str().unwrap_or_default().parse()?,
            version: key["kid"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned(),
            name: self.name.clone(),
            kty: key["kty"].as_str().unwrap_or_default().into(),
            bits: modulus * 8,
            key_ops: ops.unwrap_or_default(),
        })
    }

    fn differences(&self, found: &Out, bundle: &Value) -> Vec<String> {
        let mut differences = Vec::new();
        let mut compare = |what: &str, is: String, should: String| {
            if is != should {
                differences.push(format!("{what} is {is} instead of {should}"));
            }
        };
        compare("its kind", found.kty.clone(), self.kty().into());
        compare("its length", found.bits.to_string(), self.bits.0.to_string());
        compare("enabled", (bundle["attributes"]["enabled"] != false).to_string(), self.enabled.to_string());
        if let Some(wanted) = &self.key_ops {
            let sorted = |ops: &[String]| {
                let mut ops = ops.to_vec();
                ops.sort_unstable();
                ops.join(", ")
            };
            compare("its use", sorted(&found.key_ops), sorted(wanted));
        }
        compare("exportable", (bundle["attributes"]["exportable"] == true).to_string(), self.exportable.to_string());
        if let Some(wanted) = &self.release_policy {
            let found = released(bundle);
            // As documents: Key Vault keeps the text that it was given, and other clients write other spaces.
            if found.as_ref() != Some(wanted) {
                let found = found.map_or_else(|| "none".into(), |found| found.to_string());
                compare("its release policy", found, wanted.to_string());
            }
        }
        differences
    }
}

/// The release policy of a key, or what stands in its place.
fn released(bundle: &Value) -> Option<Value> {
    let data = bundle["release_policy"]["data"].as_str()?;
    let text = BASE64_URL_SAFE_NO_PAD.decode(data.trim_end_matches('=')).ok().and_then(|b| String::from_utf8(b).ok());
    Some(text.and_then(|text| text.parse().ok()).unwrap_or_else(|| data.into()))
}

sealbook_sdk::export!(KeyvaultKey);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::{Fake, Tested};

    const URI: &str = "https://v.vault.azure.net/keys/k";

    fn step(fake: &Fake, kty: &str) -> Tested<KeyvaultKey> {
        let vault = "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v";
        fake.step(json!({ "store": "https://v.vault.azure.net/", "store_id": vault, "name": "k", "kty": kty }))
    }

    #[test]
    fn it_makes_a_key_and_says_until_when_the_deleted_one_stays() {
        let fake = Fake::new();
        let done = step(&fake, "RSA-HSM").run().unwrap();
        let out = done.outputs.clone().unwrap();
        assert_eq!((out["kty"].as_str(), out["bits"].as_u64()), (Some("RSA-HSM"), Some(2048)));
        assert_eq!(out["id"], "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v/keys/k");
        assert!(done.evidence.iter().all(|e| e.passed), "{:?}", done.evidence);
        let left = step(&fake, "RSA-HSM").undo(done).unwrap().0;
        assert_eq!(left[0].until.as_deref(), Some("2027-01-15T08:00:00Z"));
    }

    #[test]
    fn a_lost_answer_does_not_make_a_second_version() {
        let fake = Fake::new();
        fake.lose("create");
        step(&fake, "RSA").apply().unwrap_err();
        let again = step(&fake, "RSA").apply().unwrap();
        assert_eq!(again["kid"], format!("{URI}/{:032x}", 1));
    }

    #[test]
    fn a_key_of_another_kind_is_a_conflict() {
        let fake = Fake::new().key(URI, &json!({ "key": { "kty": "RSA" } }));
        let Err(Problem::Conflict(c)) = step(&fake, "RSA-HSM").check() else { panic!("no conflict") };
        assert!(c.message.contains("its kind is RSA instead of RSA-HSM"), "{c:?}");
    }

    #[test]
    fn an_odd_length_is_an_invalid_input() {
        let fake = Fake::new();
        let inputs = json!({ "store": "https://v.vault.azure.net/", "store_id": "/subscriptions/s/x", "name": "k", "kty": "RSA", "bits": 1024 });
        assert!(matches!(fake.step::<KeyvaultKey>(inputs).check(), Err(Problem::InvalidInput(_))));
    }

    #[test]
    fn an_exportable_key_carries_its_policy() {
        let fake = Fake::new();
        let vault = "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v";
        let policy = json!({ "version": "1.0.0", "anyOf": [] });
        let inputs = json!({ "store": "https://v.vault.azure.net/", "store_id": vault, "name": "k", "kty": "RSA-HSM", "exportable": true, "release_policy": policy });
        fake.step::<KeyvaultKey>(inputs).run().unwrap();
        let effect = fake.effects();
        assert!(effect.iter().any(|e| e.contains("create")), "{effect:?}");
    }

    #[test]
    fn a_release_policy_is_what_it_says_and_not_how_it_is_written() {
        let bundle = |data: &str| json!({ "release_policy": { "data": data } });
        let written = |policy: &str| released(&bundle(&BASE64_URL_SAFE_NO_PAD.encode(policy)));
        let wanted = json!({ "version": "1.0.0", "anyOf": [] });
        assert_eq!(written(r#"{ "anyOf": [], "version": "1.0.0" }"#), Some(wanted.clone()));
        assert_ne!(written(r#"{"version":"1.0.0","anyOf":[{}]}"#), Some(wanted));
        assert_eq!(released(&bundle("???")), Some("???".into()));
        assert_eq!(released(&json!({})), None);
    }
}
