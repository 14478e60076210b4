//! Sets when a key is rotated by itself, and when its versions expire.
use sealbook_sdk::prelude::*;

/// Which key, and when. Spans are ISO 8601 durations in years, months or days: `P210D`, `P6M`, `P1Y`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// The key's address without a version.
    key: KeyUri,
    /// How long a version is good for, counted from its creation.
    #[serde(default)]
    expiry_time: Option<String>,
    /// Rotate so long after a version was created.
    #[serde(default)]
    rotate_after_create: Option<String>,
    /// Rotate so long before a version expires.
    #[serde(default)]
    rotate_before_expiry: Option<String>,
}

/// The policy.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// How long a version is good for.
    expiry_time: Option<String>,
    /// When it rotates, counted from creation.
    rotate_after_create: Option<String>,
    /// When it rotates, counted from expiry.
    rotate_before_expiry: Option<String>,
}

/// Sets a key's rotation policy.
pub struct KeyvaultRotationPolicy;

impl Step for KeyvaultRotationPolicy {
    const ASKS: &'static [&'static str] = &["keyvault:read,update ${inputs.key}"];
    type In = In;
    type Out = Out;

    fn check(cx: &Cx, i: &In) -> Result<Check<Out>> {
        i.whole()?;
        let Some(current) = cx.keyvault().versions(&i.key)?.pop() else {
            let message = format!("There is no key {}", i.key);
            return Err(Problem::precondition(message, "Run the step that creates it, or correct the address."));
        };
        cx.claim(&format!("The key {}", i.key.name()), &i.key, &current)?;
        let policy = cx.keyvault().rotation_policy(&i.key)?;
        let found = out(&policy);
        if found == i.wanted() {
            return Ok(Check::Satisfied(found));
        }
        Ok(Check::needed(format!("Let the key {} {}", i.key.name(), i.words())).before(policy).az(format!(
            "az keyvault key rotation-policy update --id {} --value '{}'",
            i.key,
            i.policy(&Value::Null)
        )))
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        let now = cx.keyvault().rotation_policy(&i.key)?;
        Ok(out(&cx.keyvault().set_rotation_policy("set", &i.key, i.policy(&now))?))
    }

    fn verify(cx: &Cx, i: &In, _: &Out) -> Result<Vec<Evidence>> {
        let found = out(&cx.keyvault().rotation_policy(&i.key)?);
        Ok(vec![Evidence::new("the key's rotation policy", found == i.wanted(), json!(found).to_string())])
    }

    fn undo(cx: &Cx, i: &In, past: Past<Out>) -> Result<Undone> {
        // Unless somebody has changed it again since, or the key is gone.
        let ours = |cx: &Cx| Ok::<_, Problem>(out(&cx.keyvault().rotation_policy(&i.key)?) == i.wanted());
        if past.may_restore("set") && !cx.keyvault().versions(&i.key)?.is_empty() && ours(cx)? {
            let before =
                document(past.before["lifetimeActions"].clone(), past.before["attributes"]["expiryTime"].as_str());
            cx.keyvault().set_rotation_policy("restore", &i.key, before)?;
        }
        Ok(Undone::clean())
    }
}

impl In {
    fn whole(&self) -> Result<()> {
        if self.rotate_after_create.is_some() && self.rotate_before_expiry.is_some() {
            let message = "a key rotates after its creation or before its expiry, not both";
            return Err(Problem::invalid_input("rotate_before_expiry", message));
        }
        if self.rotate_before_expiry.is_some() && self.expiry_time.is_none() {
            return Err(Problem::invalid_input("expiry_time", "what shall rotate before it expires needs an expiry"));
        }
        Ok(())
    }

    fn wanted(&self) -> Out {
        Out {
            expiry_time: self.expiry_time.clone(),
            rotate_after_create: self.rotate_after_create.clone(),
            rotate_before_expiry: self.rotate_before_expiry.clone(),
        }
    }

    /// Key Vault's document; other actions (a notice) stay as they are in `now`.
    fn policy(&self, now: &Value) -> Value {
        let mut actions: Vec<Value> =
            now["lifetimeActions"].as_array().into_iter().flatten().filter(|a| !rotates(a)).cloned().collect();
        let trigger = match (&self.rotate_after_create, &self.rotate_before_expiry) {
            (Some(span), _) => Some(json!({ "timeAfterCreate": span })),
            (None, Some(span)) => Some(json!({ "timeBeforeExpiry": span })),
            (None, None) => None,
        };
        actions.extend(trigger.map(|trigger| json!({ "trigger": trigger, "action": { "type": "Rotate" } })));
        document(actions.into(), self.expiry_time.as_deref())
    }

    fn words(&self) -> String {
        let rotate = match (&self.rotate_after_create, &self.rotate_before_expiry) {
            (Some(span), _) => format!("rotate {span} after a version was made"),
            (None, Some(span)) => format!("rotate {span} before a version expires"),
            (None, None) => "not rotate by itself".to_owned(),
        };
        let expire = self.expiry_time.as_ref().map_or("never expire".to_owned(), |span| format!("expire after {span}"));
        format!("{rotate}, and {expire}")
    }
}

/// A policy's document: versions that never expire have no `expiryTime`.
fn document(actions: Value, expiry_time: Option<&str>) -> Value {
    let attributes = expiry_time.map_or_else(|| json!({}), |span| json!({ "expiryTime": span }));
    json!({ "lifetimeActions": actions, "attributes": attributes })
}

fn rotates(action: &Value) -> bool {
    action["action"]["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("rotate"))
}

fn out(policy: &Value) -> Out {
    let rotate = policy["lifetimeActions"].as_array().into_iter().flatten().find(|action| rotates(action));
    let span = |name: &str| rotate.and_then(|action| action["trigger"][name].as_str()).map(str::to_owned);
    Out {
        expiry_time: policy["attributes"]["expiryTime"].as_str().map(str::to_owned),
        rotate_after_create: span("timeAfterCreate"),
        rotate_before_expiry: span("timeBeforeExpiry"),
    }
}

sealbook_sdk::export!(KeyvaultRotationPolicy);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::{Fake, Tested};

    const KEY: &str = "https://v.vault.azure.net/keys/k";

    fn step(fake: &Fake, mut inputs: Value) -> Tested<KeyvaultRotationPolicy> {
        inputs["key"] = KEY.into();
        fake.step(inputs)
    }

    #[test]
    fn a_policy_is_set_and_taken_back() {
        let fake = Fake::new().key(KEY, &json!({}));
        let wanted = json!({ "expiry_time": "P210D", "rotate_after_create": "P6M" });
        let done = step(&fake, wanted.clone()).run().unwrap();
        assert!(done.evidence[0].passed, "{:?}", done.evidence);
        let change = &done.preview.as_ref().unwrap().changes;
        assert_eq!(change, &["Let the key k rotate P6M after a version was made, and expire after P210D"]);
        assert!(step(&fake, wanted.clone()).check().unwrap().satisfied().is_some());
        step(&fake, wanted.clone()).undo(done).unwrap();
        assert!(step(&fake, wanted).check().unwrap().satisfied().is_none());
    }

    #[test]
    fn what_azure_would_refuse_is_refused_before() {
        let fake = Fake::new().key(KEY, &json!({}));
        for bad in [
            json!({ "rotate_before_expiry": "P30D" }),
            json!({ "rotate_before_expiry": "P30D", "rotate_after_create": "P1M", "expiry_time": "P1Y" }),
        ] {
            assert!(matches!(step(&fake, bad.clone()).check(), Err(Problem::InvalidInput(_))), "{bad}");
        }
        assert!(matches!(step(&Fake::new(), json!({})).check(), Err(Problem::Precondition(_))));
    }

    #[test]
    fn a_notice_stays() {
        let now = json!({ "lifetimeActions": [
            { "trigger": { "timeBeforeExpiry": "P30D" }, "action": { "type": "Notify" } },
            { "trigger": { "timeAfterCreate": "P1Y" }, "action": { "type": "rotate" } },
        ] });
        let wanted = In {
            key: KEY.parse().unwrap(),
            expiry_time: None,
            rotate_after_create: Some("P6M".into()),
            rotate_before_expiry: None,
        };
        let policy = wanted.policy(&now);
        let kinds: Vec<_> =
            policy["lifetimeActions"].as_array().unwrap().iter().map(|a| a["action"]["type"].clone()).collect();
        assert_eq!(kinds, [json!("Notify"), json!("Rotate")]);
    }
}
