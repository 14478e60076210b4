//! Proves that a key in a store is the one that was made outside.
use base64::prelude::{BASE64_STANDARD, Engine as _};
use sealbook_sdk::prelude::*;

/// How a data key is encrypted to a public half outside.
const ALGORITHM: &str = "RSA-OAEP-256";

/// Which key, and the pair that it is to be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// The key's address in the store; without a version, the current one is used.
    key: KeyUri,
    /// Reference to the pair that was made outside (`artifact:…`).
    pair: String,
}

/// The proof.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// The version of the key that opened it.
    kid: KeyUri,
    /// How the data key was encrypted outside.
    algorithm: String,
    /// The encrypted data key in base64: harmless without the key.
    wrapped: String,
}

/// Proves where a key comes from.
pub struct ByokProof;

impl Step for ByokProof {
    const ASKS: &'static [&'static str] = &["keyvault:read,unwrap ${inputs.key}", "crypto:use"];
    type In = In;
    type Out = Out;

    fn check(_: &Cx, i: &In) -> Result<Check<Out>> {
        // A proof is only worth something when it is made now.
        Ok(Check::needed(format!("Compare the public half of {} with that of the pair outside", i.key.name()))
            .also("Encrypt a random data key outside and let the store decrypt it, without showing either"))
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        let bundle = i.bundle(cx)?;
        let kid: KeyUri = bundle["key"]["kid"].as_str().unwrap_or_default().parse()?;
        let pair = cx.crypto().open_pair(&i.pair)?;
        if !same_public(&bundle, &pair.public()?) {
            return Err(Problem::precondition(
                format!("{kid} is another key than the one that this run made outside"),
                "Did you import a key of your own? Then compare its public half yourself. Else delete the key and let the \
                 run import again.",
            ));
        }
        let data_key = cx.crypto().generate("data-key", 256)?;
        let wrapped = pair.seal(&data_key)?;
        let back = cx.keyvault().unwrap(&kid, ALGORITHM, &wrapped)?;
        if !data_key.same(&back) {
            return Err(Problem::permanent(format!("{kid} opened another key than was encrypted for it")));
        }
        Ok(Out { kid, algorithm: ALGORITHM.into(), wrapped: BASE64_STANDARD.encode(wrapped) })
    }

    fn verify(cx: &Cx, i: &In, outputs: &Out) -> Result<Vec<Evidence>> {
        let pair = cx.crypto().open_pair(&i.pair)?;
        let same = same_public(&i.bundle(cx)?, &pair.public()?);
        let wrapped = BASE64_STANDARD.decode(&outputs.wrapped).map_err(|e| Problem::permanent(e.to_string()))?;
        let back = cx.keyvault().unwrap(&outputs.kid, &outputs.algorithm, &wrapped)?;
        let detail = format!("{} bytes from outside became a {}-bit key inside", wrapped.len(), back.bits());
        Ok(vec![
            Evidence::new("the store shows the public half of the key from outside", same, "modulus and exponent"),
            Evidence::new("the store opens what was encrypted outside", back.bits() == 256, detail),
        ])
    }
}

impl In {
    fn bundle(&self, cx: &Cx) -> Result<Value> {
        cx.keyvault().find(&self.key)?.ok_or_else(|| {
            Problem::precondition(
                format!("There is no key {}", self.key),
                "Run the step that imports it, or correct the address.",
            )
        })
    }
}

/// Whether a bundle and a JSON Web Key have the same modulus and exponent. Base64url may be padded.
fn same_public(bundle: &Value, jwk: &Value) -> bool {
    ["n", "e"].iter().all(|part| {
        let text = |key: &Value| key[part].as_str().map(|t| t.trim_end_matches('=').to_owned());
        text(jwk).is_some() && text(&bundle["key"]) == text(jwk)
    })
}

sealbook_sdk::export!(ByokProof);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::{Fake, Tested};

    const KEY: &str = "https://v.vault.azure.net/keys/mine";

    fn step(fake: &Fake) -> Tested<ByokProof> {
        fake.step(json!({ "key": KEY, "pair": "artifact:target" }))
    }

    #[test]
    fn what_was_encrypted_outside_opens_inside() {
        let fake = Fake::new().pair("target", "modulus").key(KEY, &json!({ "key": { "n": "modulus" } }));
        let done = step(&fake).run().unwrap();
        assert!(done.evidence.iter().all(|e| e.passed), "{:?}", done.evidence);
        assert!(fake.effects().is_empty());
        assert_eq!(step(&fake).undo(done).unwrap(), Undone::clean());
    }

    #[test]
    fn another_key_and_a_missing_one_are_told_apart() {
        let fake = Fake::new().pair("target", "modulus").key(KEY, &json!({}));
        let Err(Problem::Precondition(p)) = step(&fake).apply() else { panic!("no precondition") };
        assert!(p.message.contains("another key"), "{p:?}");
        let fake = Fake::new().pair("target", "modulus");
        let Err(Problem::Precondition(p)) = step(&fake).apply() else { panic!("no precondition") };
        assert!(p.message.contains("There is no key"), "{p:?}");
    }
}
