//! How a run marks what it makes: tags on ARM resources and keys, metadata on containers and blobs, derived names for
//! role assignments.

use sealbook_model::id::{RunId, StepPath};
use serde_json::{Map, Value};
use uuid::Uuid;

/// Tag with the run's id.
pub(crate) const TAG_RUN: &str = "sealbook-run";
/// Tag with the operation, `<step>/<generation>/<effect>`.
pub(crate) const TAG_OP: &str = "sealbook-op";
/// Metadata entry with the run's id. Metadata names have to be C# identifiers, so no hyphen.
pub(crate) const META_RUN: &str = "sealbookrun";
/// Metadata entry with the operation, `/` written as `.`.
pub(crate) const META_OP: &str = "sealbookop";

/// Longest value of a tag in Azure Resource Manager and Key Vault.
const TAG_MAX: usize = 256;

/// Namespace of the names that are derived for role assignments (a random UUID, fixed for good).
const NAMESPACE: Uuid = Uuid::from_u128(0x6f2a_9d0e_51c7_4b6b_9f38_d1a4_7c83_e25b);

/// The mark of one effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) run: String,
    pub(crate) op: String,
    path: String,
}

/// Whose mark a thing carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bearer {
    /// This very effect.
    Effect,
    /// This run, but another effect of it.
    Run { op: String },
    /// Another run, or nobody.
    Stranger { run: Option<String> },
}

impl Mark {
    pub(crate) fn new(run: &RunId, step: &StepPath, generation: u32, effect: &str) -> Self {
        let path = format!("{step}/{generation}/{effect}");
        // Long paths (nested parts) would not fit into a tag: their end is replaced by a digest of the whole.
        let op = if path.len() <= TAG_MAX {
            path.clone()
        } else {
            let digest = hex::encode(&sealbook_crypto::sha256(path.as_bytes())[..16]);
            let keep = path.char_indices().map(|(i, _)| i).take_while(|i| *i <= TAG_MAX - 33).last().unwrap_or(0);
            format!("{}~{digest}", &path[..keep])
        };
        Self { run: run.to_string(), op, path }
    }

    /// Adds the tags to a body's `tags`.
    ///
    /// # Errors
    /// The name of a tag that only the host may set, or that `tags` is no object.
    pub(crate) fn tag(&self, body: &mut Value) -> Result<(), String> {
        let tags = own_tags(body)?;
        tags.insert(TAG_RUN.into(), self.run.clone().into());
        tags.insert(TAG_OP.into(), self.op.clone().into());
        Ok(())
    }

    /// The metadata of a container or blob.
    pub(crate) fn metadata(&self) -> [(&'static str, String); 2] {
        [(META_RUN, self.run.clone()), (META_OP, self.metadata_op())]
    }

    fn metadata_op(&self) -> String {
        self.op.replace('/', ".")
    }

    /// The name of a role assignment: a UUIDv5 over run and operation.
    pub(crate) fn guid(&self) -> Uuid {
        Uuid::new_v5(&NAMESPACE, format!("{}/{}", self.run, self.path).as_bytes())
    }

    /// Whose mark `tags` carry, compared with this one.
    pub(crate) fn bearer_of_tags(&self, thing: &Value) -> Bearer {
        let tag = |name| text(&thing["tags"], name);
        self.bearer(tag(TAG_RUN), tag(TAG_OP), &self.op)
    }

    /// Whose mark `metadata` carries, compared with this one.
    pub(crate) fn bearer_of_metadata(&self, thing: &Value) -> Bearer {
        let entry = |name| text(&thing["metadata"], name);
        self.bearer(entry(META_RUN), entry(META_OP), &self.metadata_op())
    }

    fn bearer(&self, run: Option<String>, op: Option<String>, own: &str) -> Bearer {
        match (run, op) {
            (Some(run), Some(op)) if run == self.run && op == own => Bearer::Effect,
            (Some(run), op) if run == self.run => Bearer::Run { op: op.unwrap_or_default() },
            (run, _) => Bearer::Stranger { run },
        }
    }
}

/// Names of tags and metadata are case-insensitive in Azure.
fn text(entries: &Value, name: &str) -> Option<String> {
    let (_, value) = entries.as_object()?.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
    value.as_str().map(Into::into)
}

/// The `tags` of a body, made if there are none, and free of marks.
fn own_tags(body: &mut Value) -> Result<&mut Map<String, Value>, String> {
    let body = body.as_object_mut().ok_or("the body is no JSON object")?;
    let tags = body.entry("tags").or_insert_with(|| Value::Object(Map::new()));
    if tags.is_null() {
        *tags = Value::Object(Map::new());
    }
    let tags = tags.as_object_mut().ok_or("`tags` is no JSON object")?;
    match tags.keys().find(|name| is_mark(name)) {
        Some(name) => Err(format!("the tag `{name}` is set by the host alone")),
        None => Ok(tags),
    }
}

fn is_mark(name: &str) -> bool {
    name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("sealbook"))
}

/// Azure replaces all tags when a PATCH names some: carries the marks of what stands there over into such a body.
///
/// # Errors
/// As [`Mark::tag`].
pub(crate) fn keep_marks(body: &mut Value, standing: &Value) -> Result<(), String> {
    if body.get("tags").is_none() {
        return Ok(());
    }
    let marks: Vec<_> = standing["tags"].as_object().into_iter().flatten().filter(|(name, _)| is_mark(name)).collect();
    let tags = own_tags(body)?;
    tags.extend(marks.into_iter().map(|(name, value)| (name.clone(), value.clone())));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn mark(step: &str, effect: &str) -> Mark {
        Mark::new(&"abc234".parse().unwrap(), &step.parse().unwrap(), 0, effect)
    }

    #[test]
    fn marks_are_put_and_recognised() {
        let ours = mark("vault", "create");
        let mut body = json!({ "location": "italynorth", "tags": { "team": "a" } });
        ours.tag(&mut body).unwrap();
        assert_eq!(body["tags"], json!({ "team": "a", "sealbook-run": "abc234", "sealbook-op": "vault/0/create" }));
        assert_eq!(ours.bearer_of_tags(&body), Bearer::Effect);
        assert_eq!(mark("vault", "other").bearer_of_tags(&body), Bearer::Run { op: "vault/0/create".into() });
        assert_eq!(ours.bearer_of_tags(&json!({})), Bearer::Stranger { run: None });
        let stranger = json!({ "tags": { "Sealbook-Run": "zzz222" } });
        assert_eq!(ours.bearer_of_tags(&stranger), Bearer::Stranger { run: Some("zzz222".into()) });
        let blob = json!({ "metadata": { "SealbookRun": "abc234", "sealbookop": "vault.0.create" } });
        assert_eq!(ours.bearer_of_metadata(&blob), Bearer::Effect);
    }

    #[test]
    fn a_plugin_can_not_set_marks_itself() {
        for body in [
            json!({ "tags": { "sealbook-run": "abc234" } }),
            json!({ "tags": { "SEALBOOK-OP": "x" } }),
            json!({ "tags": [] }),
            json!([]),
        ] {
            assert!(mark("vault", "create").tag(&mut body.clone()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_patch_of_tags_keeps_the_marks_that_stand_there() {
        let standing = json!({ "tags": { "sealbook-run": "abc234", "sealbook-op": "x/0/y", "old": "1" } });
        let mut body = json!({ "tags": { "new": "2" } });
        keep_marks(&mut body, &standing).unwrap();
        assert_eq!(body["tags"], json!({ "new": "2", "sealbook-run": "abc234", "sealbook-op": "x/0/y" }));
        let mut without = json!({ "properties": {} });
        keep_marks(&mut without, &standing).unwrap();
        assert_eq!(without, json!({ "properties": {} }));
    }

    #[test]
    fn derived_names_are_stable_and_distinct_and_long_paths_fit() {
        assert_eq!(mark("may_wrap", "assign").guid(), mark("may_wrap", "assign").guid());
        assert_ne!(mark("may_wrap", "assign").guid(), mark("may_wrap", "other").guid());
        let (a, b) = (mark(&"p".repeat(300), "a"), mark(&"p".repeat(300), "b"));
        assert!(a.op.len() <= TAG_MAX && a.op != b.op);
    }
}
