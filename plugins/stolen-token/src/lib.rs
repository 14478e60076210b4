//! Asks for a key with the attestation token of another machine: a lesson that succeeds because nothing comes of it.
use sealbook_sdk::prelude::*;

/// Which key, with whose token.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// The key's address; without a version, the current one.
    key: KeyUri,
    /// The evidence document of the machine whose token it is. The token in it is genuine, and still valid.
    document: Value,
}

/// What came of it.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// What the machine said when it could not open what the key store had given it.
    said: String,
}

/// Asks with a stolen token.
pub struct StolenToken;

/// How keys are wrapped on their way.
const WRAP: &str = "RSA_AES_KEY_WRAP_256";

impl Step for StolenToken {
    const ASKS: &'static [&'static str] =
        &["attestation:use ${inputs.document.provider}", "keyvault:release ${inputs.key}"];
    type In = In;
    type Out = Out;

    fn check(_: &Cx, i: &In) -> Result<Check<Out>> {
        Ok(Check::needed(format!("Ask for {} with another machine's token", i.key.name()))
            .also("Try to open what comes back with this machine's TPM"))
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        let token = cx.attestation().present(&i.document)?;
        match cx.keyvault().release(&i.key, &token, WRAP) {
            // The key store has answered, its answer is genuine, and the TPM does not open it.
            Err(Problem::Precondition(refusal)) => Ok(Out { said: refusal.message }),
            Err(other) => Err(other),
            Ok(_) => Err(Problem::permanent(
                "this machine opened a key that was released for another one: is it the machine that the token is of?",
            )),
        }
    }

    fn verify(cx: &Cx, i: &In, _: &Out) -> Result<Vec<Evidence>> {
        let provider = i.document["provider"].as_str().unwrap_or_default();
        let theirs = transfer_key(&cx.attestation().present(&i.document)?.claims()?);
        let own = transfer_key(&cx.attestation().attest(provider)?.claims()?);
        let detail = format!("{}… there, {}… here", start(&theirs), start(&own));
        let differ = !theirs.is_empty() && !own.is_empty() && theirs != own;
        Ok(vec![Evidence::new("the token names another machine's transfer key", differ, detail)])
    }

    fn undo(_: &Cx, _: &In, _: Past<Out>) -> Result<Undone> {
        Ok(Undone::clean())
    }
}

/// The modulus of the key that a token says keys may be wrapped for.
fn transfer_key(claims: &Value) -> String {
    let keys = claims["x-ms-runtime"]["keys"].as_array();
    let modulus = keys.and_then(|keys| keys.iter().find_map(|key| key["n"].as_str()));
    modulus.unwrap_or_default().to_owned()
}

fn start(text: &str) -> String {
    text.chars().take(12).collect()
}

sealbook_sdk::export!(StolenToken);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::Fake;

    const KEY: &str = "https://v.vault.azure.net/keys/kek";

    fn claims(key: &str) -> Value {
        json!({ "type": "good", "x-ms-runtime": { "keys": [{ "n": key }] } })
    }

    fn fake() -> Fake {
        Fake::new().key(KEY, &json!({ "release_policy": { "type": "good" } })).attested_as(claims("ours"))
    }

    fn inputs(claims: &Value) -> Value {
        json!({ "key": KEY, "document": { "provider": "https://sharedweu.weu.attest.azure.net", "claims": claims } })
    }

    #[test]
    fn another_machines_token_opens_nothing() {
        let done = fake().step::<StolenToken>(inputs(&claims("theirs"))).run().unwrap();
        assert!(done.outputs.unwrap()["said"].as_str().unwrap().contains("another machine"));
        assert!(done.evidence.iter().all(|e| e.passed), "{:?}", done.evidence);
    }

    #[test]
    fn it_fails_where_the_key_store_refuses_and_where_the_token_is_not_stolen() {
        let mut other = claims("theirs");
        other["type"] = "bad".into();
        for claims in [other, claims("ours")] {
            let failed = fake().step::<StolenToken>(inputs(&claims)).apply();
            assert!(matches!(failed, Err(Problem::Permanent(_))), "{failed:?}");
        }
    }
}
