//! Has the confidential VM that the step runs in judged by an attestation provider.
use sealbook_sdk::prelude::*;

/// Who judges.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// The attestation provider, `https://<name>.<region>.attest.azure.net`.
    provider: String,
}

/// What the provider says of the machine.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// Reference to the token, which the machine keeps.
    token: String,
    /// The token's claims.
    claims: Value,
    /// The evidence document: what the machine presented, and the token that it got. It can be verified anywhere.
    document: Value,
}

/// Attests the machine.
pub struct Attest;

impl Step for Attest {
    const ASKS: &'static [&'static str] = &["attestation:use ${inputs.provider}"];
    type In = In;
    type Out = Out;

    fn check(_: &Cx, i: &In) -> Result<Check<Out>> {
        // Attestation is about now: an earlier one proves nothing.
        Ok(Check::needed(format!("Collect the machine's evidence and have {} judge it", i.provider))
            .also("Verify the token that comes back: signature, issuer, times, nonce, transfer key"))
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        let token = cx.attestation().attest(&i.provider)?;
        Ok(Out { token: token.reference(), claims: token.claims()?, document: token.document()? })
    }

    fn verify(cx: &Cx, i: &In, outputs: &Out) -> Result<Vec<Evidence>> {
        let claims = cx.attestation().open(&outputs.token)?.claims()?;
        let tee = &claims["x-ms-isolation-tee"];
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Ok(vec![
            Evidence::same(
                "issuer of the token",
                claims["iss"].as_str().unwrap_or_default(),
                i.provider.trim_end_matches('/'),
            ),
            Evidence::same("what protects the machine", &text(&tee["x-ms-attestation-type"]), "sevsnpvm"),
            Evidence::same("compliance", &text(&tee["x-ms-compliance-status"]), "azure-compliant-cvm"),
            Evidence::new(
                "the token is the one that this step got",
                claims == outputs.claims,
                format!("launch measurement {}", text(&tee["x-ms-sevsnpvm-launchmeasurement"])),
            ),
        ])
    }

    fn undo(_: &Cx, _: &In, _: Past<Out>) -> Result<Undone> {
        Ok(Undone::clean())
    }
}

sealbook_sdk::export!(Attest);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::Fake;

    const PROVIDER: &str = "https://sharedweu.weu.attest.azure.net";

    fn claims(compliance: &str) -> Value {
        json!({ "iss": PROVIDER, "x-ms-isolation-tee": {
            "x-ms-attestation-type": "sevsnpvm", "x-ms-compliance-status": compliance, "x-ms-sevsnpvm-launchmeasurement": "ab",
        } })
    }

    #[test]
    fn the_token_stays_and_its_claims_are_judged() {
        for (compliance, good) in [("azure-compliant-cvm", true), ("azure-compliant-uvm", false)] {
            let fake = Fake::new().attested_as(claims(compliance));
            let step = fake.step::<Attest>(json!({ "provider": PROVIDER }));
            let done = step.run().unwrap();
            assert_eq!(done.evidence.iter().all(|e| e.passed), good, "{:?}", done.evidence);
            assert_eq!(done.outputs.as_ref().unwrap()["token"], "token:attested");
            assert_eq!(step.undo(done).unwrap(), Undone::clean());
        }
    }

    #[test]
    fn any_other_machine_has_nothing_to_attest() {
        let step = Fake::new().step::<Attest>(json!({ "provider": PROVIDER }));
        assert!(matches!(step.apply(), Err(Problem::Precondition(_))));
    }
}
