//! Verifies an evidence document again, on another machine.
use sealbook_sdk::prelude::*;

/// Which evidence, and what is demanded of it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// The evidence document of a step that attested a machine.
    document: Value,
    /// What is demanded beyond that it is genuine: `secure_boot`, `measurements`, `user_data`, `vm_id`, `allow_debug`.
    #[serde(default)]
    rules: Value,
}

/// The verdict.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// Whether all holds.
    passed: bool,
    /// The first check that does not hold; empty when all do.
    failed: String,
    /// What the evidence says of the machine.
    facts: Value,
    /// How many checks were made.
    checks: u32,
}

/// Verifies evidence.
pub struct Verdicts;

impl Step for Verdicts {
    const ASKS: &'static [&'static str] = &["attestation:use ${inputs.document.provider}"];
    type In = In;
    type Out = Out;

    fn check(cx: &Cx, i: &In) -> Result<Check<Out>> {
        // To look is to have done it.
        i.verdict(cx, None).map(|(out, _)| Check::Satisfied(out))
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        i.verdict(cx, None).map(|(out, _)| out)
    }

    fn verify(cx: &Cx, i: &In, outputs: &Out) -> Result<Vec<Evidence>> {
        // A token lives for hours. Whether it was good when it was judged can be asked for ever.
        Ok(i.verdict(cx, outputs.facts["judged_at"].as_i64())?.1)
    }
}

impl In {
    fn verdict(&self, cx: &Cx, as_of: Option<i64>) -> Result<(Out, Vec<Evidence>)> {
        let mut rules = self.rules.clone();
        if let Some(then) = as_of {
            rules["as_of"] = then.into();
        }
        let verdict = cx.attestation().verify(&self.document, &rules)?;
        let checks = verdict["checks"].as_array().cloned().unwrap_or_default();
        let text = |check: &Value, name: &str| check[name].as_str().unwrap_or_default().to_owned();
        let evidence: Vec<Evidence> = checks
            .iter()
            .filter(|check| check["outcome"] != "not_applicable")
            .map(|check| Evidence::new(text(check, "name"), check["outcome"] == "passed", text(check, "detail")))
            .collect();
        let failed = evidence.iter().find(|one| !one.passed).map(|one| one.check.clone()).unwrap_or_default();
        let out = Out {
            passed: !evidence.is_empty() && failed.is_empty(),
            failed,
            facts: verdict["facts"].clone(),
            checks: u32::try_from(evidence.len()).unwrap_or(u32::MAX),
        };
        Ok((out, evidence))
    }
}

sealbook_sdk::export!(Verdicts);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::Fake;

    #[test]
    fn every_check_is_shown_and_one_failure_decides() {
        let check = |name: &str, outcome: &str| json!({ "name": name, "outcome": outcome, "detail": "seen" });
        let good = [check("snp.signature", "passed"), check("hcl.console", "not_applicable")];
        let rows = [
            (json!({ "checks": good, "facts": { "judged_at": 7 } }), true, "", 1),
            (json!({ "checks": [good[0], check("snp.root", "failed")], "facts": {} }), false, "snp.root", 2),
            (json!({ "checks": [], "facts": {} }), false, "", 0),
        ];
        let document = json!({ "provider": "https://sharedweu.weu.attest.azure.net" });
        for (verdict, passed, failed, checks) in rows {
            let fake = Fake::new().verdict(verdict);
            let done = fake.step::<Verdicts>(json!({ "document": document, "rules": { "secure_boot": true } })).run();
            let out = done.unwrap().outputs.unwrap();
            assert_eq!(
                (&out["passed"], &out["failed"], &out["checks"]),
                (&json!(passed), &json!(failed), &json!(checks))
            );
            assert_eq!(fake.judged()[0], (document.clone(), json!({ "secure_boot": true })));
            // What is looked at again is judged as of then.
            let again = if out["facts"]["judged_at"] == 7 {
                json!({ "secure_boot": true, "as_of": 7 })
            } else {
                json!({ "secure_boot": true })
            };
            assert_eq!(fake.judged().last().unwrap(), &(document.clone(), again));
        }
    }
}
