//! Activates a managed HSM by downloading its security domain.
use sealbook_sdk::Pair;
use sealbook_sdk::prelude::*;

/// Which managed HSM, and among how many its security domain is shared.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// Its resource id.
    id: ArmId,
    /// Its address, with its closing slash.
    uri: StoreUri,
    /// How many holders get a share: a key pair is made for each.
    #[serde(default = "three")]
    #[schemars(range(min = 3, max = 10))]
    holders: u8,
    /// How many of them it takes to open the security domain.
    #[serde(default = "two")]
    #[schemars(range(min = 2, max = 10))]
    quorum: u8,
}

fn three() -> u8 {
    3
}

fn two() -> u8 {
    2
}

/// The security domain and its holders.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// Whether the managed HSM can be used.
    active: bool,
    /// Reference to the security domain. None: somebody has downloaded it by hand.
    domain: Option<String>,
    /// References to the holders' key pairs, which the host keeps sealed.
    holders: Vec<String>,
    /// How many of them open it.
    quorum: u8,
}

/// Activates a managed HSM.
pub struct HsmDomain;

impl Step for HsmDomain {
    const ASKS: &'static [&'static str] =
        &["azure:read ${inputs.id}", "hsm:write ${inputs.uri}", "crypto:use", "artifacts:use"];
    type In = In;
    type Out = Out;

    fn check(cx: &Cx, i: &In) -> Result<Check<Out>> {
        if i.quorum > i.holders {
            let message = format!("{} holders can't be a quorum of {}", i.holders, i.quorum);
            return Err(Problem::invalid_input("quorum", message));
        }
        let pool = cx.azure().get(&i.id)?;
        cx.claim(&format!("A managed HSM {}", i.id.name()), &i.id, &pool)?;
        let active = is_active(&pool);
        // Whoever may build on others' work may have activated it by hand: then the security domain is with him.
        if active && cx.usable(None) {
            return Ok(Check::Satisfied(Out { active, domain: None, holders: Vec::new(), quorum: i.quorum }));
        }
        Ok(Check::needed(format!(
            "Make {} key pairs, whose holders share the security domain of {}: any {} of them open it",
            i.holders,
            i.id.name(),
            i.quorum
        ))
        .also("Download the security domain; from then on the managed HSM can be used")
        .also("Open it with a quorum, here and now, since nobody else could if it were lost")
        .az(format!(
            "az keyvault security-domain download --hsm-name {} --sd-wrapping-keys holder1.cer holder2.cer holder3.cer --sd-quorum {} --security-domain-file domain.json",
            i.id.name(),
            i.quorum
        )))
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        let pairs: Vec<Pair> =
            (1..=i.holders).map(|n| cx.crypto().generate_pair(&format!("holder-{n}"), 2048)).collect::<Result<_>>()?;
        let all: Vec<&Pair> = pairs.iter().collect();
        let domain = cx.hsm().download("download", (&i.id, &i.uri), &all, i.quorum.into(), "security-domain.json")?;
        Ok(Out {
            active: true,
            domain: Some(domain.reference()),
            holders: pairs.iter().map(Pair::reference).collect(),
            quorum: i.quorum,
        })
    }

    fn verify(cx: &Cx, i: &In, outputs: &Out) -> Result<Vec<Evidence>> {
        let pool = cx.azure().get(&i.id)?;
        let status = pool["properties"]["securityDomainProperties"]["activationStatus"].as_str().unwrap_or_default();
        let mut evidence = vec![Evidence::same("activation", status, "Active")];
        let Some(domain) = &outputs.domain else { return Ok(evidence) };
        let domain = cx.artifacts().open(domain)?;
        let pairs: Vec<Pair> =
            outputs.holders.iter().map(|reference| cx.crypto().open_pair(reference)).collect::<Result<_>>()?;
        let quorum = usize::from(outputs.quorum);
        let last: Vec<&Pair> = pairs.iter().rev().take(quorum).collect();
        let seen = cx.hsm().examine(&domain, &last)?;
        let detail = format!("{} of {} shares", seen["required"], seen["shares"]);
        evidence.push(Evidence::new(
            "a quorum of the holders opens the security domain",
            seen["required"] == outputs.quorum && seen["secrets"].as_array().is_some_and(|all| !all.is_empty()),
            detail,
        ));
        let fewer = cx.hsm().examine(&domain, &last[..quorum - 1]);
        evidence.push(match fewer {
            Err(Problem::InvalidInput(why)) => Evidence::new("fewer of them do not", true, why.message),
            Err(other) => return Err(other),
            Ok(_) => Evidence::new("fewer of them do not", false, "they opened it"),
        });
        Ok(evidence)
    }

    fn undo(_: &Cx, _: &In, _: Past<Out>) -> Result<Undone> {
        // A managed HSM can't be made inactive again: it goes as a whole, with the step that made it.
        Ok(Undone::clean())
    }
}

fn is_active(pool: &Value) -> bool {
    pool["properties"]["securityDomainProperties"]["activationStatus"] == "Active"
}

sealbook_sdk::export!(HsmDomain);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::{Fake, Tested};

    const ID: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/managedHSMs/h";

    fn pool(status: &str) -> Value {
        json!({ "properties": { "securityDomainProperties": { "activationStatus": status } } })
    }

    fn step(fake: &Fake, quorum: u8) -> Tested<HsmDomain> {
        fake.step(json!({ "id": ID, "uri": "https://h.managedhsm.azure.net/", "quorum": quorum }))
    }

    #[test]
    fn it_activates_once_and_a_quorum_opens_what_came_out() {
        let fake = Fake::new().own(ID, pool("NotActivated"));
        fake.lose("download");
        step(&fake, 2).apply().unwrap_err();
        let done = step(&fake, 2).run().unwrap();
        assert!(done.evidence.len() == 3 && done.evidence.iter().all(|e| e.passed), "{:?}", done.evidence);
        let out = done.outputs.clone().unwrap();
        assert_eq!(out["holders"], json!(["artifact:holder-1", "artifact:holder-2", "artifact:holder-3"]));
        assert_eq!(fake.effects().len(), 1, "{:?}", fake.effects());
        assert_eq!(step(&fake, 2).undo(done).unwrap(), Undone::clean());
    }

    #[test]
    fn what_others_have_activated_is_theirs_unless_it_may_be_adopted() {
        let fake = Fake::new().foreign(ID, pool("Active"));
        assert!(matches!(step(&fake, 2).check(), Err(Problem::Conflict(_))));
        let fake = Fake::new().foreign(ID, pool("Active")).adopting();
        let out = step(&fake, 2).check().unwrap().satisfied().unwrap();
        assert_eq!((&out["active"], &out["domain"]), (&json!(true), &Value::Null));
        let fake = Fake::new().own(ID, pool("NotActivated"));
        assert!(matches!(step(&fake, 4).check(), Err(Problem::InvalidInput(_))));
    }
}
