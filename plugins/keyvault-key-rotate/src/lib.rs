//! Makes a new version of a key.
use sealbook_sdk::prelude::*;

/// Which key, and the version that is to be followed by a new one.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// The key's address without a version.
    key: KeyUri,
    /// The version that is current until now. Once there is a newer one, there is nothing left to do.
    after: KeyUri,
}

/// The new version.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// Its address.
    #[schemars(extend("x-az" = "az keyvault key show --id ${inputs.key} --query key.kid --output tsv"))]
    kid: KeyUri,
    /// The new version: the last part of `kid`.
    #[schemars(extend("x-az-last" = "az keyvault key show --id ${inputs.key} --query key.kid --output tsv"))]
    version: String,
    /// The version before.
    #[schemars(extend("x-is" = "${inputs.after}"))]
    previous: KeyUri,
}

/// Makes a new version of a key.
pub struct KeyvaultKeyRotate;

impl Step for KeyvaultKeyRotate {
    const ASKS: &'static [&'static str] = &["keyvault:read,create ${inputs.key}"];
    type In = In;
    type Out = Out;

    fn check(cx: &Cx, i: &In) -> Result<Check<Out>> {
        let versions = cx.keyvault().versions(&i.key)?;
        let Some(current) = versions.last() else { return Err(missing(&i.key)) };
        cx.claim(&format!("The key {}", i.key.name()), &i.key, current)?;
        if !versions.iter().any(|version| version["kid"] == i.after.as_str()) {
            let message = format!("{} is no version of {}", i.after, i.key.name());
            return Err(Problem::invalid_input("after", message));
        }
        if current["kid"] != i.after.as_str() {
            return Ok(Check::Satisfied(i.out(current)?));
        }
        Ok(Check::needed(format!(
            "Make a new version of the key {}; the old one stays and still unwraps",
            i.key.name()
        ))
        .leaves(format!("the new version of {}, as long as the key is kept", i.key.name()))
        .az(format!("az keyvault key rotate --id {}", i.key)))
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        let bundle = cx.keyvault().rotate("rotate", &i.key)?;
        i.out(&json!({ "kid": bundle["key"]["kid"] }))
    }

    fn verify(cx: &Cx, i: &In, out: &Out) -> Result<Vec<Evidence>> {
        let versions = cx.keyvault().versions(&i.key)?;
        let position = |kid: &KeyUri| versions.iter().position(|version| version["kid"] == kid.as_str());
        let follows = position(&out.previous).zip(position(&out.kid)).is_some_and(|(old, new)| old < new);
        let detail = format!("{} follows {}", out.kid, out.previous);
        Ok(vec![Evidence::new("the new version follows the old one", follows, detail)])
    }

    fn undo(_: &Cx, _: &In, _: Past<Out>) -> Result<Undone> {
        // A version can't be taken away by itself: it goes with its key.
        Ok(Undone::clean())
    }
}

impl In {
    fn out(&self, version: &Value) -> Result<Out> {
        let kid = version["kid"].as_str().unwrap_or_default();
        let version = kid.rsplit('/').next().unwrap_or_default().to_owned();
        Ok(Out { kid: kid.parse()?, version, previous: self.after.clone() })
    }
}

fn missing(key: &KeyUri) -> Problem {
    Problem::precondition(format!("There is no key {key}"), "Run the step that creates it, or correct the address.")
}

sealbook_sdk::export!(KeyvaultKeyRotate);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::{Fake, Tested};

    const KEY: &str = "https://v.vault.azure.net/keys/k";

    fn first(fake: &Fake) -> String {
        fake.key_bundle(KEY).unwrap()["key"]["kid"].as_str().unwrap().to_owned()
    }

    fn step(fake: &Fake, after: &str) -> Tested<KeyvaultKeyRotate> {
        fake.step(json!({ "key": KEY, "after": after }))
    }

    #[test]
    fn a_new_version_is_made_once() {
        let fake = Fake::new().key(KEY, &json!({}));
        let after = first(&fake);
        let done = step(&fake, &after).run().unwrap();
        assert!(done.evidence[0].passed);
        assert_ne!(first(&fake), after);
        assert!(step(&fake, &after).check().unwrap().satisfied().is_some());
        assert_eq!(step(&fake, &after).undo(done).unwrap(), Undone::clean());
    }

    #[test]
    fn a_strangers_key_and_a_version_of_another_key_are_refused() {
        let fake = Fake::new().key(KEY, &json!({})).unmark_key(KEY);
        assert!(matches!(step(&fake, &first(&fake)).check(), Err(Problem::Conflict(_))));
        let fake = Fake::new().key(KEY, &json!({}));
        assert!(matches!(step(&fake, &format!("{KEY}/0")).check(), Err(Problem::InvalidInput(_))));
        assert!(matches!(step(&Fake::new(), &format!("{KEY}/0")).check(), Err(Problem::Precondition(_))));
    }
}
