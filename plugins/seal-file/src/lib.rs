//! Encrypts an artifact under a fresh data key and has that key wrapped in a vault.
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use sealbook_sdk::DataKey;
use sealbook_sdk::prelude::*;

/// How the data key is wrapped.
const WRAP: &str = "RSA-OAEP-256";

/// What, and under which key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// What to encrypt: an artifact of an earlier step (`artifact:…`).
    source: String,
    /// The address of the key that wraps the data key; without a version, the current one.
    key: KeyUri,
    /// The file's name, which a sealed file says of itself.
    name: String,
    /// How the file is laid out.
    #[serde(default)]
    layout: Layout,
}

/// Layouts of sealed files.
#[derive(Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub enum Layout {
    /// An envelope that holds the wrapped key, and chunks that are verified one by one (Cobblestone-256).
    #[default]
    #[serde(rename = "cobblestone-256")]
    Cobblestone,
    /// Nonce, ciphertext and tag, and the wrapped key in a file of its own: what the published labs write.
    #[serde(rename = "labs")]
    Labs,
}

/// The sealed file.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// Reference to the sealed file: ciphertext, which anybody may see.
    sealed: String,
    /// Reference to the wrapped data key, for the labs' layout; the other one holds it.
    wrapped: Option<String>,
    /// SHA-256 of the sealed file, in hex.
    sha256: String,
    /// Its length in bytes.
    bytes: u64,
    /// The version of the key that wrapped the data key.
    kid: KeyUri,
    /// SHA-256 of what was encrypted, in hex.
    plain_sha256: String,
}

/// Seals a file.
pub struct SealFile;

impl Step for SealFile {
    const ASKS: &'static [&'static str] = &["keyvault:read,wrap ${inputs.key}", "artifacts:use", "crypto:use"];
    type In = In;
    type Out = Out;

    fn check(_: &Cx, i: &In) -> Result<Check<Out>> {
        Ok(Check::needed("Draw a random 256-bit data key, which only the host sees")
            .also(format!("Encrypt {} with it ({})", i.name, i.layout.name()))
            .also(format!("Have {} wrap the data key with {WRAP}", i.key.name())))
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        let source = cx.artifacts().open(&i.source)?;
        let DataKey { kid, key: data_key, wrapped } = cx.keyvault().data_key(&i.key, WRAP)?;
        let options = json!({
            "layout": i.layout.name(), "kid": kid, "wrapped": BASE64_URL_SAFE_NO_PAD.encode(&wrapped), "name": i.name,
        });
        let sealed = cx.crypto().seal_file(&data_key, &source, "sealed", &options)?;
        let beside = match i.layout {
            Layout::Cobblestone => None,
            Layout::Labs => Some(cx.artifacts().write("wrapped", &wrapped)?.reference()),
        };
        Ok(Out {
            sealed: sealed.reference(),
            wrapped: beside,
            sha256: sealed.sha256(),
            bytes: sealed.length(),
            kid,
            plain_sha256: source.sha256(),
        })
    }

    fn verify(cx: &Cx, i: &In, outputs: &Out) -> Result<Vec<Evidence>> {
        let sealed = cx.artifacts().open(&outputs.sealed)?;
        let mut evidence = vec![Evidence::same("SHA-256 of the sealed file", &sealed.sha256(), &outputs.sha256)];
        if i.layout == Layout::Cobblestone {
            let said = cx.crypto().describe_file(&sealed)?;
            let kid = said["kid"].as_str().unwrap_or_default();
            evidence.push(Evidence::same("the file names the key that wraps its own", kid, outputs.kid.as_str()));
        }
        Ok(evidence)
    }
}

impl Layout {
    fn name(self) -> &'static str {
        match self {
            Self::Cobblestone => "cobblestone-256",
            Self::Labs => "labs",
        }
    }
}

sealbook_sdk::export!(SealFile);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::Fake;

    const KEY: &str = "https://v.vault.azure.net/keys/kek";

    #[test]
    fn both_layouts_seal_and_say_under_which_key() {
        for (layout, beside, evidence) in [("cobblestone-256", false, 2), ("labs", true, 1)] {
            let fake = Fake::new().key(KEY, &json!({})).artifact("data", b"a,b\n1,2\n");
            let inputs = json!({ "source": "artifact:data", "key": KEY, "name": "data.csv", "layout": layout });
            let done = fake.step::<SealFile>(inputs).run().unwrap();
            assert_eq!(done.evidence.iter().filter(|e| e.passed).count(), evidence, "{:?}", done.evidence);
            let out = done.outputs.unwrap();
            assert_eq!(out["wrapped"].is_string(), beside, "{layout}");
            assert_ne!(out["sha256"], out["plain_sha256"]);
            assert!(fake.effects().is_empty());
        }
    }

    #[test]
    fn a_missing_key_names_the_cure() {
        let fake = Fake::new().artifact("data", b"x");
        let step = fake.step::<SealFile>(json!({ "source": "artifact:data", "key": KEY, "name": "x" }));
        assert!(matches!(step.apply(), Err(Problem::Precondition(_))));
    }
}
