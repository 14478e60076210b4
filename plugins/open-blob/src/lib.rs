//! Downloads a sealed file and opens it with a key pair that the machine holds.
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use sealbook_sdk::prelude::*;

/// Which file, with whose key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// The sealed file's address.
    blob: BlobUri,
    /// The key pair that its data key was wrapped for, as a step had it released (`artifact:…`).
    pair: String,
    /// Where the wrapped data key lies, for the labs' layout. Without it, the file's own envelope holds it.
    #[serde(default)]
    wrapped: Option<BlobUri>,
}

/// The plaintext, as long as the machine keeps it.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// Reference to what was opened.
    data: String,
    /// SHA-256 of it, in hex.
    sha256: String,
    /// Its length in bytes.
    bytes: u64,
}

/// Opens a sealed file.
pub struct OpenBlob;

impl Step for OpenBlob {
    const ASKS: &'static [&'static str] =
        &["blob:read ${inputs.blob}", "blob:read ${inputs.wrapped}", "artifacts:use", "crypto:use"];
    type In = In;
    type Out = Out;

    fn check(_: &Cx, i: &In) -> Result<Check<Out>> {
        Ok(Check::needed(format!("Download {}", i.blob))
            .also("Unwrap its data key with the pair, and decrypt it, all in memory"))
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        let sealed = cx.blobs().get(&i.blob, "sealed")?;
        let pair = cx.crypto().open_pair(&i.pair)?;
        let (wrapped, layout) = match &i.wrapped {
            Some(beside) => {
                let key = cx.blobs().get(beside, "wrapped")?;
                (key.content(MAX_WRAPPED)?, "labs")
            }
            None => {
                let said = cx.crypto().describe_file(&sealed)?;
                let wrapped = said["wrapped"].as_str().and_then(|text| BASE64_URL_SAFE_NO_PAD.decode(text).ok());
                let wrapped = wrapped.ok_or_else(|| Problem::permanent(format!("{} holds no wrapped key", i.blob)))?;
                (wrapped, "cobblestone-256")
            }
        };
        let key = pair.unseal(&wrapped)?;
        let opened = cx.crypto().open_file(&key, &sealed, "opened", layout)?;
        Ok(Out { data: opened.reference(), sha256: opened.sha256(), bytes: opened.length() })
    }

    fn verify(cx: &Cx, _: &In, outputs: &Out) -> Result<Vec<Evidence>> {
        let held = cx.artifacts().open(&outputs.data)?;
        Ok(vec![Evidence::same("SHA-256 of what the machine holds", &held.sha256(), &outputs.sha256)])
    }
}

/// Longest wrapped key in bytes: an RSA-4096 ciphertext has 512.
const MAX_WRAPPED: usize = 1024;

sealbook_sdk::export!(OpenBlob);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::Fake;

    const BLOB: &str = "https://a.blob.core.windows.net/lab/data.sealed";

    /// What the double makes of a sealed file, for the pair whose modulus is `n`.
    fn sealed(key: &[u8], wrapped: &[u8], plain: &[u8]) -> Vec<u8> {
        let head =
            json!({ "layout": "cobblestone-256", "wrapped": BASE64_URL_SAFE_NO_PAD.encode(wrapped) }).to_string();
        [head.as_bytes(), b"\0", key, &plain.iter().map(|byte| byte ^ 0xff).collect::<Vec<_>>()].concat()
    }

    #[test]
    fn the_right_pair_opens_it_and_another_does_not() {
        let file = sealed(&[7; 32], &[b"modulus", &b"\0"[..], &[7; 32]].concat(), b"a,b\n");
        for (n, good) in [("modulus", true), ("other", false)] {
            let fake = Fake::new().blob(BLOB, &file).pair("kek", n);
            let step = fake.step::<OpenBlob>(json!({ "blob": BLOB, "pair": "artifact:kek" }));
            match step.run() {
                Ok(done) => {
                    assert!(good);
                    assert_eq!(done.outputs.unwrap()["bytes"], 4);
                    assert!(done.evidence.iter().all(|e| e.passed));
                }
                Err(problem) => assert!(!good, "{problem:?}"),
            }
        }
    }
}
