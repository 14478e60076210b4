//! Makes a key pair outside of any key store and wraps it for a key exchange key.
use sealbook_sdk::prelude::*;

/// For which key exchange key, and how long the key is to be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// Address of the key exchange key: an RSA key of the store, made for importing and nothing else.
    exchange: KeyUri,
    /// Length in bits of the key that is made: 2048, 3072 or 4096.
    #[serde(default = "shortest")]
    bits: u32,
}

fn shortest() -> u32 {
    2048
}

/// The pair and its transfer blob.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// Reference to the pair, which the host keeps sealed. Nobody can read it.
    pair: String,
    /// Reference to the transfer blob. Only the exchange key opens it.
    blob: String,
    /// SHA-256 of the transfer blob.
    sha256: String,
    /// The version of the exchange key that opens it.
    #[schemars(extend("x-az" = "az keyvault key show --id ${inputs.exchange} --query key.kid --output tsv"))]
    exchange: KeyUri,
    /// Length of the wrapped key in bits.
    #[schemars(extend("x-is" = "${inputs.bits}"))]
    bits: u32,
}

/// Makes and wraps a key.
pub struct ByokWrap;

impl Step for ByokWrap {
    const ASKS: &'static [&'static str] = &["keyvault:read ${inputs.exchange}", "crypto:use", "artifacts:use"];
    type In = In;
    type Out = Out;

    fn check(_: &Cx, i: &In) -> Result<Check<Out>> {
        // A pair that a step before has made is its own affair: this one makes one.
        Ok(Check::needed(format!("Make an RSA key pair of {} bits outside of the key store", i.bits)).also(format!(
            "Wrap its private half for {}, so that nobody but the key store can open it",
            i.exchange.name()
        )))
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        let bundle = i.exchange_key(cx)?;
        let pair = cx.crypto().generate_pair("target", i.bits)?;
        let blob = pair.transfer_blob(&bundle, "target.byok")?;
        Ok(Out {
            pair: pair.reference(),
            blob: blob.reference(),
            sha256: blob.sha256(),
            exchange: bundle["key"]["kid"].as_str().unwrap_or_default().parse()?,
            bits: i.bits,
        })
    }

    fn verify(cx: &Cx, i: &In, outputs: &Out) -> Result<Vec<Evidence>> {
        let blob = cx.artifacts().open(&outputs.blob)?;
        let length = u32::try_from(blob.length()).unwrap_or(u32::MAX);
        let text = String::from_utf8_lossy(&blob.read(0, length)?).into_owned();
        let document: Value = text.parse().map_err(|_| Problem::permanent("the transfer blob is no JSON"))?;
        let kid = document["header"]["kid"].as_str().unwrap_or_default();
        Ok(vec![
            Evidence::same("the blob is the one that was made", &blob.sha256(), &outputs.sha256),
            Evidence::new("only the exchange key opens it", kid.starts_with(i.exchange.as_str()), kid),
            Evidence::new(
                "it shows nothing of the key",
                document.get("d").is_none() && document["ciphertext"].is_string(),
                "a header that names the exchange key, and a ciphertext",
            ),
        ])
    }
}

impl In {
    fn exchange_key(&self, cx: &Cx) -> Result<Value> {
        cx.keyvault().find(&self.exchange)?.ok_or_else(|| {
            Problem::precondition(
                format!("There is no key {}", self.exchange),
                "Run the step that creates the key exchange key, or correct the address.",
            )
        })
    }
}

sealbook_sdk::export!(ByokWrap);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::Fake;

    const KEK: &str = "https://v.vault.azure.net/keys/kek";

    #[test]
    fn the_blob_names_its_exchange_key_and_a_repetition_wraps_the_same_pair() {
        let fake = Fake::new().key(KEK, &json!({ "key": { "key_ops": ["import"] } }));
        let step = fake.step::<ByokWrap>(json!({ "exchange": KEK, "bits": 3072 }));
        let done = step.run().unwrap();
        assert!(done.evidence.iter().all(|e| e.passed), "{:?}", done.evidence);
        let out = done.outputs.clone().unwrap();
        assert_eq!(
            (out["pair"].as_str(), out["blob"].as_str()),
            (Some("artifact:target"), Some("artifact:target.byok"))
        );
        assert_eq!(step.apply().unwrap(), out);
        assert!(fake.effects().is_empty(), "nothing in the cloud changes");
        assert_eq!(step.undo(done).unwrap(), Undone::clean());
    }

    #[test]
    fn a_key_that_is_missing_or_no_exchange_key_is_refused() {
        let inputs = json!({ "exchange": KEK });
        assert!(matches!(Fake::new().step::<ByokWrap>(inputs.clone()).apply(), Err(Problem::Precondition(_))));
        let fake = Fake::new().key(KEK, &json!({}));
        assert!(matches!(fake.step::<ByokWrap>(inputs).apply(), Err(Problem::InvalidInput(_))));
    }
}
