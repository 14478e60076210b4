//! Uploads or downloads one blob.
use sealbook_sdk::prelude::*;

/// What goes where.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// The container's address. Uploading makes it if it is not there.
    container: ContainerUri,
    /// Uploads to this name in the container. Give `text` as well.
    #[serde(default)]
    put: Option<String>,
    /// Downloads this name from the container.
    #[serde(default)]
    get: Option<String>,
    /// What to upload: a text, a secret input, or an artifact of an earlier step (`artifact:…`).
    #[serde(default)]
    text: Option<String>,
    /// The media type to store it under.
    #[serde(default = "plain")]
    content_type: String,
    /// Whether undo leaves the blob to its account. Say so when this run makes the account: its own undo deletes it with
    /// everything in it, even when nobody can read it any more.
    #[serde(default)]
    goes_with_account: bool,
}

fn plain() -> String {
    "text/plain; charset=utf-8".into()
}

/// The blob.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// Its address.
    #[schemars(extend("x-is" = "${inputs.container}/${has(inputs.put) ? inputs.put : inputs.get}"))]
    uri: BlobUri,
    /// SHA-256 of what was sent or received, in hex: computed here, not told by Azure.
    sha256: String,
    /// Its length in bytes.
    bytes: u64,
    /// The version that Azure keeps, changed by every write.
    etag: String,
    /// What was downloaded, for later steps. Its name is the last part of the blob's.
    artifact: Option<String>,
}

/// Uploads or downloads a blob.
pub struct Blob;

/// What the step is to do.
enum Task<'a> {
    Put(BlobUri, &'a str),
    Get(BlobUri),
}

impl Step for Blob {
    const ASKS: &'static [&'static str] =
        &["blob:read ${inputs.container}/*", "blob:write ${inputs.container}/${inputs.put}", "artifacts:use"];
    type In = In;
    type Out = Out;

    fn check(cx: &Cx, i: &In) -> Result<Check<Out>> {
        let (account, container) = (i.container.account(), i.container.name());
        match i.task()? {
            // A download is only worth something when it is made now.
            Task::Get(uri) => Ok(Check::needed(format!("Download {uri} and take its SHA-256")).az(format!(
                "az storage blob download --auth-mode login --account-name {account} --container-name {container} --name {} --file -",
                i.name()
            ))),
            Task::Put(uri, text) => {
                if let Some(found) = cx.blobs().head(&uri)? {
                    cx.claim(&format!("A blob {}", i.name()), &uri, &found)?;
                    let (wanted, stored) = (source(cx, text)?, cx.blobs().get(&uri, "found")?);
                    if wanted.sha256() == stored.sha256() {
                        return Ok(Check::Satisfied(out(uri, &stored.sha256(), stored.length(), &found)));
                    }
                }
                Ok(Check::needed(format!("Upload {} to the container {container} of {account}", i.name())).az(format!(
                    "az storage container create --auth-mode login --account-name {account} --name {container} && az storage blob upload --auth-mode login --account-name {account} --container-name {container} --name {} --data …",
                    i.name()
                )))
            }
        }
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        match i.task()? {
            Task::Put(uri, text) => {
                let source = source(cx, text)?;
                cx.blobs().create_container("container", &i.container)?;
                let stored = cx.blobs().put("put", &uri, &source, &i.content_type)?;
                Ok(out(uri, &source.sha256(), source.length(), &stored))
            }
            Task::Get(uri) => {
                let found = cx.blobs().head(&uri)?.ok_or_else(|| missing(&uri))?;
                let artifact = cx.blobs().get(&uri, &i.download())?;
                let out = out(uri, &artifact.sha256(), artifact.length(), &found);
                Ok(Out { artifact: Some(artifact.reference()), ..out })
            }
        }
    }

    fn verify(cx: &Cx, _: &In, outputs: &Out) -> Result<Vec<Evidence>> {
        let Some(head) = cx.blobs().head(&outputs.uri)? else {
            return Ok(vec![Evidence::new("the blob is there", false, outputs.uri.as_str())]);
        };
        let fresh = cx.blobs().get(&outputs.uri, "verified")?;
        Ok(vec![
            Evidence::same("SHA-256 of a fresh download", &fresh.sha256(), &outputs.sha256),
            Evidence::same("length in bytes", &fresh.length().to_string(), &outputs.bytes.to_string()),
            Evidence::same("unchanged since", head["etag"].as_str().unwrap_or_default(), &outputs.etag),
        ])
    }

    fn undo(cx: &Cx, i: &In, past: Past<Out>) -> Result<Undone> {
        let (Task::Put(uri, _), false) = (i.task()?, i.goes_with_account) else { return Ok(Undone::clean()) };
        if past.operation("put").is_some()
            && let Some(found) = cx.blobs().head(&uri)?
            && past.may_remove(cx, "put", mark(&found))
        {
            cx.blobs().delete("delete", &uri)?;
        }
        // What others have put into the container since can't be seen from here, so it is never deleted.
        if past.operation("container").is_some_and(|op| op.ownership == Ownership::Ours) {
            let what = format!("container {} in {}", i.container.name(), i.container.account());
            return Ok(Undone::clean().leaving(what, "others may have put blobs into it", None));
        }
        Ok(Undone::clean())
    }
}

impl In {
    fn task(&self) -> Result<Task<'_>> {
        match (&self.put, &self.get, &self.text) {
            (Some(name), None, Some(text)) => Ok(Task::Put(self.container.blob(name)?, text)),
            (None, Some(name), None) => Ok(Task::Get(self.container.blob(name)?)),
            (Some(_), None, None) => Err(Problem::invalid_input("text", "say what to upload")),
            _ => Err(Problem::invalid_input("put", "give either `put` with `text`, or `get` alone")),
        }
    }

    /// What a download is called for later steps: the last part of the blob's name, as far as it will do.
    fn download(&self) -> String {
        let last = self.name().rsplit('/').next().unwrap_or_default();
        let name: String = last.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).take(64).collect();
        if name.starts_with(|c: char| c.is_ascii_alphanumeric()) { name } else { "downloaded".into() }
    }

    fn name(&self) -> &str {
        self.put.as_deref().or(self.get.as_deref()).unwrap_or_default()
    }
}

/// What to upload, as an artifact: the bytes of a secret never come into the plugin.
fn source(cx: &Cx, text: &str) -> Result<Artifact> {
    if text.starts_with("secret:") || text.starts_with("artifact:") {
        cx.artifacts().open(text)
    } else {
        cx.artifacts().write("text", text.as_bytes())
    }
}

fn missing(uri: &BlobUri) -> Problem {
    Problem::precondition(format!("There is no blob {uri}"), "Run the step that uploads it, or correct the name.")
}

fn out(uri: BlobUri, sha256: &str, bytes: u64, stored: &Value) -> Out {
    Out { uri, sha256: sha256.into(), bytes, etag: stored["etag"].as_str().unwrap_or_default().into(), artifact: None }
}

sealbook_sdk::export!(Blob);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::{Fake, Tested};

    const C: &str = "https://acct.blob.core.windows.net/lab";
    const URI: &str = "https://acct.blob.core.windows.net/lab/note.txt";

    fn put(fake: &Fake, text: &str) -> Tested<Blob> {
        fake.step(json!({ "container": C, "put": "note.txt", "text": text }))
    }

    #[test]
    fn it_uploads_a_secret_without_seeing_it_and_downloads_the_same() {
        let fake = Fake::new().secret("note", b"only my key opens this");
        let done = put(&fake, "secret:note").run().unwrap();
        assert_eq!(fake.blob_bytes(URI).unwrap(), b"only my key opens this");
        assert!(done.evidence.iter().all(|e| e.passed), "{:?}", done.evidence);
        let got = fake.step::<Blob>(json!({ "container": C, "get": "note.txt" })).run().unwrap();
        assert_eq!(got.outputs.as_ref().unwrap()["sha256"], done.outputs.as_ref().unwrap()["sha256"]);
        assert_eq!(got.outputs.unwrap()["artifact"], "artifact:note.txt");
        let left = put(&fake, "secret:note").undo(done).unwrap().0;
        assert!(fake.blob_bytes(URI).is_none());
        assert_eq!(left[0].what, "container lab in acct");
    }

    #[test]
    fn what_goes_with_its_account_is_left_to_it() {
        let fake = Fake::new();
        let step: Tested<Blob> =
            fake.step(json!({ "container": C, "put": "note.txt", "text": "x", "goes_with_account": true }));
        let done = step.run().unwrap();
        assert_eq!(step.undo(done).unwrap(), Undone::clean());
        assert!(fake.blob_bytes(URI).is_some());
    }

    #[test]
    fn the_same_content_of_ours_needs_nothing_and_another_is_written_over() {
        let fake = Fake::new();
        put(&fake, "one").run().unwrap();
        assert!(put(&fake, "one").check().unwrap().satisfied().is_some());
        assert!(put(&fake, "two").check().unwrap().needed().is_some());
    }

    #[test]
    fn a_strangers_blob_and_container_stay() {
        let fake = Fake::new().blob(URI, b"theirs");
        assert!(matches!(put(&fake, "mine").check(), Err(Problem::Conflict(_))));
        put(&fake, "mine").apply().unwrap_err();
        put(&fake, "mine").undo_from(&Value::Null, None).unwrap();
        assert_eq!(fake.blob_bytes(URI).unwrap(), b"theirs");
    }

    #[test]
    fn put_and_get_at_once_is_an_invalid_input() {
        let step = Fake::new().step::<Blob>(json!({ "container": C, "put": "a", "get": "b", "text": "c" }));
        assert!(matches!(step.check(), Err(Problem::InvalidInput(_))));
    }
}
