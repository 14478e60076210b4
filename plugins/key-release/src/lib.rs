//! Has a key released to the confidential VM that the step runs in.
use sealbook_sdk::prelude::*;

/// Which key, for whose judgement.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// The key's address; without a version, the current one is released.
    key: KeyUri,
    /// The attestation provider that the key's release policy names.
    provider: String,
    /// How the key is wrapped on its way: RSA-OAEP for an AES key, and AES key wrap behind it. They differ in the hash.
    #[serde(default)]
    wrap: Wrap,
}

/// Ways to wrap a key for its way.
#[derive(Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
enum Wrap {
    /// OAEP with SHA-256.
    #[default]
    #[serde(rename = "RSA_AES_KEY_WRAP_256")]
    Sha256,
    /// OAEP with SHA-384.
    #[serde(rename = "RSA_AES_KEY_WRAP_384")]
    Sha384,
    /// OAEP with SHA-1, as PKCS #11 has it.
    #[serde(rename = "CKM_RSA_AES_KEY_WRAP")]
    Ckm,
}

impl Wrap {
    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "RSA_AES_KEY_WRAP_256",
            Self::Sha384 => "RSA_AES_KEY_WRAP_384",
            Self::Ckm => "CKM_RSA_AES_KEY_WRAP",
        }
    }
}

/// The key, in the machine's memory.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// Reference to the private key, which the machine keeps in memory.
    pair: String,
    /// Its public half, as a JSON Web Key.
    public: Value,
    /// The evidence document of the attestation that it was released for.
    document: Value,
}

/// Has a key released.
pub struct KeyRelease;

impl Step for KeyRelease {
    const ASKS: &'static [&'static str] =
        &["attestation:use ${inputs.provider}", "keyvault:read,release ${inputs.key}", "crypto:use"];
    type In = In;
    type Out = Out;

    fn check(_: &Cx, i: &In) -> Result<Check<Out>> {
        Ok(Check::needed(format!("Attest the machine at {}", i.provider))
            .also(format!("Have {} released for the token, and verify who released it", i.key.name()))
            .also("Unwrap it with a key that only this machine's TPM can use; it stays in memory"))
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        let token = cx.attestation().attest(&i.provider)?;
        let pair = cx.keyvault().release(&i.key, &token, i.wrap.name())?;
        Ok(Out { pair: pair.reference(), public: pair.public()?, document: token.document()? })
    }

    fn verify(cx: &Cx, i: &In, outputs: &Out) -> Result<Vec<Evidence>> {
        let pair = cx.crypto().open_pair(&outputs.pair)?.public()?;
        let bundle = cx.keyvault().find(&i.key)?.unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(vec![
            Evidence::new(
                "the machine holds the private half of the vault's key",
                !text(&pair["n"]).is_empty() && pair["n"] == bundle["key"]["n"],
                text(&bundle["key"]["kid"]),
            ),
            Evidence::new(
                "the key's policy can't be changed any more",
                bundle["release_policy"]["immutable"] == true,
                format!("immutable: {}", bundle["release_policy"]["immutable"]),
            ),
        ])
    }

    fn undo(_: &Cx, _: &In, _: Past<Out>) -> Result<Undone> {
        Ok(Undone::clean())
    }
}

sealbook_sdk::export!(KeyRelease);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::Fake;

    const KEY: &str = "https://v.vault.azure.net/keys/kek";
    const PROVIDER: &str = "https://sharedweu.weu.attest.azure.net";

    fn fake(kind: &str) -> Fake {
        let bundle = json!({ "release_policy": { "type": "good", "immutable": true } });
        // The double's policy names what claims must be.
        Fake::new().key(KEY, &bundle).attested_as(json!({ "type": kind, "immutable": true }))
    }

    #[test]
    fn a_good_machine_gets_the_key_and_another_does_not() {
        let inputs = json!({ "key": KEY, "provider": PROVIDER });
        let done = fake("good").step::<KeyRelease>(inputs.clone()).run().unwrap();
        assert!(done.evidence.iter().all(|e| e.passed), "{:?}", done.evidence);
        assert_eq!(done.outputs.unwrap()["pair"], "artifact:released RSA_AES_KEY_WRAP_256");
        assert!(matches!(fake("bad").step::<KeyRelease>(inputs).apply(), Err(Problem::Permanent(_))));
    }
}
