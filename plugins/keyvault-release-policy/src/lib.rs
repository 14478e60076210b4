//! Replaces the release policy of an exportable key.
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use sealbook_sdk::prelude::*;

/// Which key, and to whom it is to be released.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// The key's address without a version: a policy belongs to the key.
    key: KeyUri,
    /// Who may have it released: a policy in Azure's grammar (`version`, `anyOf`).
    policy: Value,
    /// Whether the policy is for ever.
    #[serde(default)]
    immutable: bool,
}

/// The policy.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// The version of the key that was asked.
    kid: KeyUri,
    /// The policy that it has now.
    policy: Value,
    /// Whether it can still be changed.
    immutable: bool,
}

/// Replaces a release policy.
pub struct KeyvaultReleasePolicy;

impl Step for KeyvaultReleasePolicy {
    const ASKS: &'static [&'static str] = &["keyvault:read,update ${inputs.key}"];
    type In = In;
    type Out = Out;

    fn check(cx: &Cx, i: &In) -> Result<Check<Out>> {
        let bundle = i.bundle(cx)?;
        cx.claim(&format!("The key {}", i.key.name()), &i.key, &bundle)?;
        let found = out(&bundle)?;
        if found.policy == i.policy && found.immutable == i.immutable {
            return Ok(Check::Satisfied(found));
        }
        let mut check = Check::needed(format!("Replace the release policy of {}", i.key.name()))
            .before(json!({ "policy": found.policy }))
            .az(format!("az keyvault key set-attributes --id {} --policy '{}'", i.key, i.policy));
        if i.immutable {
            check = check.leaves("a policy that nobody can change any more");
        }
        Ok(check)
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        out(&cx.keyvault().update("set", &i.key, request(&i.policy, i.immutable))?)
    }

    fn verify(cx: &Cx, i: &In, _: &Out) -> Result<Vec<Evidence>> {
        let found = out(&i.bundle(cx)?)?;
        Ok(vec![
            Evidence::same("the key's release policy", &found.policy.to_string(), &i.policy.to_string()),
            Evidence::same("whether it is for ever", &found.immutable.to_string(), &i.immutable.to_string()),
        ])
    }

    fn undo(cx: &Cx, i: &In, past: Past<Out>) -> Result<Undone> {
        let prior = &past.before["policy"];
        // An immutable policy stays with its key.
        if !prior.is_null()
            && !i.immutable
            && past.may_restore("set")
            && let Some(bundle) = cx.keyvault().find(&i.key)?
            && out(&bundle)?.policy != *prior
        {
            cx.keyvault().update("restore", &i.key, request(prior, false))?;
        }
        Ok(Undone::clean())
    }
}

impl In {
    fn bundle(&self, cx: &Cx) -> Result<Value> {
        cx.keyvault().find(&self.key)?.ok_or_else(|| {
            Problem::precondition(
                format!("There is no key {}", self.key),
                "Run the step that creates it, or correct the address.",
            )
        })
    }
}

fn request(policy: &Value, immutable: bool) -> Value {
    let data = BASE64_URL_SAFE_NO_PAD.encode(policy.to_string());
    json!({ "release_policy": { "contentType": "application/json; charset=utf-8", "data": data, "immutable": immutable } })
}

fn out(bundle: &Value) -> Result<Out> {
    let policy = &bundle["release_policy"];
    let text = policy["data"].as_str().and_then(|data| BASE64_URL_SAFE_NO_PAD.decode(data.trim_end_matches('=')).ok());
    Ok(Out {
        kid: bundle["key"]["kid"].as_str().unwrap_or_default().parse()?,
        policy: text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default(),
        immutable: policy["immutable"] == true,
    })
}

sealbook_sdk::export!(KeyvaultReleasePolicy);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::Fake;

    const KEY: &str = "https://v.vault.azure.net/keys/kek";

    fn policy(authority: &str) -> Value {
        json!({ "version": "1.0.0", "anyOf": [{ "authority": authority, "allOf": [{ "claim": "a", "equals": "b" }] }] })
    }

    fn inputs(authority: &str) -> Value {
        json!({ "key": KEY, "policy": policy(authority) })
    }

    #[test]
    fn a_policy_is_replaced_and_put_back() {
        let fake = Fake::new().key(KEY, &request(&policy("https://one"), false));
        let done = fake.step::<KeyvaultReleasePolicy>(inputs("https://two")).run().unwrap();
        assert!(done.evidence.iter().all(|e| e.passed), "{:?}", done.evidence);
        let out = done.outputs.clone().unwrap();
        assert_eq!((&out["policy"], &out["immutable"]), (&policy("https://two"), &json!(false)));
        fake.step::<KeyvaultReleasePolicy>(inputs("https://two")).undo(done).unwrap();
        let again = fake.step::<KeyvaultReleasePolicy>(inputs("https://one")).run().unwrap();
        assert_eq!(again.outputs.unwrap()["policy"], policy("https://one"));
    }

    #[test]
    fn the_wanted_policy_is_left_alone() {
        let fake = Fake::new().key(KEY, &request(&policy("https://one"), false));
        fake.step::<KeyvaultReleasePolicy>(inputs("https://one")).run().unwrap();
        assert!(fake.effects().is_empty());
    }

    #[test]
    fn a_key_that_is_not_there_is_a_precondition() {
        let refused = Fake::new().step::<KeyvaultReleasePolicy>(inputs("https://one")).check();
        assert!(matches!(refused, Err(Problem::Precondition(_))));
    }
}
