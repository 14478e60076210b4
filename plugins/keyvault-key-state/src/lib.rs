//! Enables or disables a key.
use sealbook_sdk::prelude::*;

/// Which key, and which state.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// The key's address without a version; the current version is meant.
    key: KeyUri,
    /// Whether it can be used.
    enabled: bool,
    /// Whether undo puts the prior state back. Say no where an earlier step's undo does so already.
    #[serde(default = "yes")]
    restore: bool,
}

fn yes() -> bool {
    true
}

/// The key's state.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// The version that was changed.
    kid: KeyUri,
    /// Whether it can be used.
    enabled: bool,
}

/// Enables or disables a key.
pub struct KeyvaultKeyState;

impl Step for KeyvaultKeyState {
    const ASKS: &'static [&'static str] = &["keyvault:read,update ${inputs.key}"];
    type In = In;
    type Out = Out;

    fn check(cx: &Cx, i: &In) -> Result<Check<Out>> {
        let current = current(cx, &i.key)?;
        cx.claim(&format!("The key {}", i.key.name()), &i.key, &current)?;
        let found = out(&current)?;
        if found.enabled == i.enabled {
            return Ok(Check::Satisfied(found));
        }
        let (verb, then) = match i.enabled {
            true => ("Enable", "whoever may use it can use it again"),
            false => ("Disable", "nobody can use it, whatever rights he has, until it is enabled again"),
        };
        Ok(Check::needed(format!("{verb} the key {}: {then}", i.key.name()))
            .before(json!({ "enabled": found.enabled }))
            .az(format!("az keyvault key set-attributes --id {} --enabled {}", i.key, i.enabled)))
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        let bundle = cx.keyvault().update("set", &i.key, json!({ "attributes": { "enabled": i.enabled } }))?;
        Ok(Out {
            kid: bundle["key"]["kid"].as_str().unwrap_or_default().parse()?,
            enabled: bundle["attributes"]["enabled"] == true,
        })
    }

    fn verify(cx: &Cx, i: &In, _: &Out) -> Result<Vec<Evidence>> {
        let found = out(&current(cx, &i.key)?)?;
        let state = if found.enabled { "enabled" } else { "disabled" };
        Ok(vec![Evidence::new("the key's state", found.enabled == i.enabled, format!("{} is {state}", found.kid))])
    }

    fn undo(cx: &Cx, i: &In, past: Past<Out>) -> Result<Undone> {
        let prior = past.before["enabled"].as_bool();
        let (Some(prior), true, true) = (prior, i.restore, past.may_restore("set")) else { return Ok(Undone::clean()) };
        let versions = cx.keyvault().versions(&i.key)?;
        // Gone, or in that state already: nothing to put back.
        if versions.last().is_some_and(|v| v["attributes"]["enabled"] != prior) {
            cx.keyvault().update("restore", &i.key, json!({ "attributes": { "enabled": prior } }))?;
        }
        Ok(Undone::clean())
    }
}

/// The current version as the list of versions shows it: unlike the key itself, the list can be read while it is disabled.
fn current(cx: &Cx, key: &KeyUri) -> Result<Value> {
    cx.keyvault().versions(key)?.pop().ok_or_else(|| {
        Problem::precondition(format!("There is no key {key}"), "Run the step that creates it, or correct the address.")
    })
}

fn out(version: &Value) -> Result<Out> {
    Ok(Out {
        kid: version["kid"].as_str().unwrap_or_default().parse()?,
        enabled: version["attributes"]["enabled"] == true,
    })
}

sealbook_sdk::export!(KeyvaultKeyState);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::{Fake, Tested};

    const KEY: &str = "https://v.vault.azure.net/keys/k";

    fn step(fake: &Fake, enabled: bool, restore: bool) -> Tested<KeyvaultKeyState> {
        fake.step(json!({ "key": KEY, "enabled": enabled, "restore": restore }))
    }

    fn enabled(fake: &Fake) -> bool {
        fake.key_bundle(KEY).unwrap()["attributes"]["enabled"] == true
    }

    #[test]
    fn undo_enables_what_was_disabled_even_when_the_answer_was_lost() {
        let fake = Fake::new().key(KEY, &json!({}));
        let before = step(&fake, false, true).check().unwrap().needed().unwrap().before;
        fake.lose("set");
        step(&fake, false, true).apply().unwrap_err();
        assert!(!enabled(&fake));
        step(&fake, false, true).undo_from(&before, None).unwrap();
        assert!(enabled(&fake));
    }

    #[test]
    fn without_restore_undo_leaves_the_state() {
        let fake = Fake::new().key(KEY, &json!({ "attributes": { "enabled": false } }));
        let done = step(&fake, true, false).run().unwrap();
        assert!(done.evidence[0].passed && enabled(&fake));
        step(&fake, true, false).undo(done).unwrap();
        assert!(enabled(&fake));
    }

    #[test]
    fn a_strangers_key_is_not_touched() {
        let fake = Fake::new().key(KEY, &json!({})).unmark_key(KEY);
        assert!(matches!(step(&fake, false, true).check(), Err(Problem::Conflict(_))));
    }
}
