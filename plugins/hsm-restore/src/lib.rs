//! Activates a second managed HSM with the security domain of the first.
use sealbook_sdk::Pair;
use sealbook_sdk::prelude::*;

/// Which managed HSM, and whose security domain.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// Resource id of the managed HSM that is to get it.
    id: ArmId,
    /// Its address, with its closing slash.
    uri: StoreUri,
    /// Reference to the security domain. None: it was downloaded by hand, and is uploaded by hand.
    #[serde(default)]
    domain: Option<String>,
    /// References to key pairs of holders: at least a quorum.
    #[serde(default)]
    holders: Vec<String>,
}

/// What became of it.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// Whether the managed HSM can be used.
    active: bool,
}

/// Uploads a security domain.
pub struct HsmRestore;

impl Step for HsmRestore {
    const ASKS: &'static [&'static str] =
        &["azure:read ${inputs.id}", "hsm:write ${inputs.uri}", "crypto:use", "artifacts:use"];
    type In = In;
    type Out = Out;

    fn check(cx: &Cx, i: &In) -> Result<Check<Out>> {
        let pool = cx.azure().get(&i.id)?;
        cx.claim(&format!("A managed HSM {}", i.id.name()), &i.id, &pool)?;
        if is_active(&pool) {
            return Ok(Check::Satisfied(Out { active: true }));
        }
        Ok(Check::needed(format!(
            "Open the security domain with a quorum of its holders and give it to {}",
            i.id.name()
        ))
        .also("From then on it restores backups of the keys of the first"))
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        let domain = i.domain.as_ref().ok_or_else(|| {
            Problem::precondition(
                "The security domain was downloaded by hand, so this run has neither it nor its holders' keys",
                format!("Upload it by hand: az keyvault security-domain upload --hsm-name {}", i.id.name()),
            )
        })?;
        let domain = cx.artifacts().open(domain)?;
        let pairs: Vec<Pair> =
            i.holders.iter().map(|reference| cx.crypto().open_pair(reference)).collect::<Result<_>>()?;
        let holders: Vec<&Pair> = pairs.iter().collect();
        cx.hsm().upload("upload", (&i.id, &i.uri), &domain, &holders)?;
        Ok(Out { active: true })
    }

    fn verify(cx: &Cx, i: &In, _: &Out) -> Result<Vec<Evidence>> {
        let pool = cx.azure().get(&i.id)?;
        let status = pool["properties"]["securityDomainProperties"]["activationStatus"].as_str().unwrap_or_default();
        Ok(vec![Evidence::same("activation", status, "Active")])
    }

    fn undo(_: &Cx, _: &In, _: Past<Out>) -> Result<Undone> {
        // It goes with its managed HSM.
        Ok(Undone::clean())
    }
}

fn is_active(pool: &Value) -> bool {
    pool["properties"]["securityDomainProperties"]["activationStatus"] == "Active"
}

sealbook_sdk::export!(HsmRestore);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::{Fake, Tested};

    const ID: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/managedHSMs/h";

    fn world() -> Fake {
        let pool = json!({ "properties": { "securityDomainProperties": { "activationStatus": "NotActivated" } } });
        let domain = json!({ "holders": ["a", "b", "c"], "required": 2 }).to_string();
        let fake = Fake::new().own(ID, pool).artifact("domain", domain.as_bytes());
        fake.pair("a", "modulus").pair("b", "another")
    }

    fn step(fake: &Fake, more: &Value) -> Tested<HsmRestore> {
        let mut inputs = json!({ "id": ID, "uri": "https://h.managedhsm.azure.net/" });
        inputs.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fake.step(inputs)
    }

    #[test]
    fn a_quorum_activates_it_and_a_repetition_finds_it_active() {
        let fake = world();
        let all = json!({ "domain": "artifact:domain", "holders": ["artifact:a", "artifact:b"] });
        let done = step(&fake, &all).run().unwrap();
        assert!(done.evidence[0].passed, "{:?}", done.evidence);
        assert!(step(&fake, &all).check().unwrap().satisfied().is_some());
        assert_eq!(step(&fake, &all).undo(done).unwrap(), Undone::clean());
    }

    #[test]
    fn too_few_holders_and_no_domain_are_refused() {
        let alone = json!({ "domain": "artifact:domain", "holders": ["artifact:a"] });
        assert!(matches!(step(&world(), &alone).apply(), Err(Problem::InvalidInput(_))));
        assert!(matches!(step(&world(), &json!({})).apply(), Err(Problem::Precondition(_))));
    }
}
