//! Wraps a fresh data key with a key in a vault, unwraps it again and compares.
use base64::prelude::{BASE64_STANDARD, Engine as _};
use sealbook_sdk::DataKey;
use sealbook_sdk::prelude::*;

/// Which key, and how.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// The key's address; without a version, the current one is used.
    key: KeyUri,
    /// How the key wraps.
    #[serde(default)]
    algorithm: Algorithm,
}

/// Ways to wrap with an RSA key.
#[derive(Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
enum Algorithm {
    /// OAEP with SHA-256: what to use.
    #[default]
    #[serde(rename = "RSA-OAEP-256")]
    RsaOaep256,
    /// OAEP with SHA-1: for what is old.
    #[serde(rename = "RSA-OAEP")]
    RsaOaep,
}

/// The wrapped data key.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// The version of the key that wrapped it.
    kid: KeyUri,
    /// How it was wrapped.
    algorithm: String,
    /// The wrapped data key in base64: harmless without the key in the vault.
    wrapped: String,
}

/// Proves that a key can be used.
pub struct KeyProof;

impl Step for KeyProof {
    const ASKS: &'static [&'static str] = &["keyvault:read,wrap,unwrap ${inputs.key}", "crypto:use"];
    type In = In;
    type Out = Out;

    fn check(_: &Cx, i: &In) -> Result<Check<Out>> {
        // A proof is only worth something when it is made now.
        Ok(Check::needed(format!(
            "Make a random 256-bit data key and wrap it with {} ({})",
            i.key.name(),
            i.algorithm()
        ))
        .also("Unwrap it again and compare both, without showing either")
        .az(format!(
            "az rest --method post --resource https://{} --url $(az keyvault key show --id {} --query key.kid -o tsv)/wrapkey?api-version=2025-07-01 --body '{{\"alg\":\"{}\",\"value\":\"'$(openssl rand -base64 32 | tr '/+' '_-' | tr -d =)'\"}}'",
            i.audience(),
            i.key,
            i.algorithm()
        )))
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        let DataKey { kid, key: data_key, wrapped } = cx.keyvault().data_key(&i.key, i.algorithm())?;
        let back = cx.keyvault().unwrap(&kid, i.algorithm(), &wrapped)?;
        if !data_key.same(&back) {
            return Err(Problem::permanent(format!("{kid} unwrapped another key than it had wrapped")));
        }
        Ok(Out { kid, algorithm: i.algorithm().into(), wrapped: BASE64_STANDARD.encode(wrapped) })
    }

    fn verify(cx: &Cx, _: &In, outputs: &Out) -> Result<Vec<Evidence>> {
        let wrapped = BASE64_STANDARD.decode(&outputs.wrapped).map_err(|e| Problem::permanent(e.to_string()))?;
        let back = cx.keyvault().unwrap(&outputs.kid, &outputs.algorithm, &wrapped)?;
        let detail = format!("{} bytes of {} became a {}-bit key again", wrapped.len(), outputs.algorithm, back.bits());
        Ok(vec![Evidence::new("the vault unwraps what it wrapped", back.bits() == 256, detail)])
    }
}

impl In {
    /// The service whose tokens the key's store takes.
    fn audience(&self) -> &'static str {
        if self.key.store().ends_with(".managedhsm.azure.net/") { "managedhsm.azure.net" } else { "vault.azure.net" }
    }

    fn algorithm(&self) -> &'static str {
        match self.algorithm {
            Algorithm::RsaOaep256 => "RSA-OAEP-256",
            Algorithm::RsaOaep => "RSA-OAEP",
        }
    }
}

sealbook_sdk::export!(KeyProof);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::Fake;

    const KEY: &str = "https://v.vault.azure.net/keys/k";

    #[test]
    fn it_wraps_unwraps_and_leaves_nothing_behind() {
        let fake = Fake::new().key(KEY, &json!({}));
        let step = fake.step::<KeyProof>(json!({ "key": KEY }));
        let done = step.run().unwrap();
        assert!(done.evidence[0].passed, "{:?}", done.evidence);
        let kid = done.outputs.as_ref().unwrap()["kid"].as_str().unwrap().to_owned();
        assert!(kid.starts_with(KEY) && kid.len() > KEY.len());
        assert!(fake.effects().is_empty());
        assert_eq!(step.undo(done).unwrap(), Undone::clean());
    }

    #[test]
    fn a_missing_key_names_the_cure() {
        let step = Fake::new().step::<KeyProof>(json!({ "key": KEY }));
        assert!(matches!(step.apply(), Err(Problem::Precondition(_))));
    }
}
