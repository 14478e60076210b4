//! The compiler as authors meet it.

mod lab;
mod problems;
mod random;
mod schema;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Bundle, Lab, compile};
use crate::CloudName;
use crate::expr::{Context, Me};
use crate::plugin::{Description, Limits};
use crate::problem::Problem;

/// The sample of the format, as a fixture.
pub(super) const STORAGE: &str = include_str!("cmk-storage.toml");
pub(super) const VAULT: &str = include_str!("key-vault-premium.toml");
pub(super) const HSM: &str = include_str!("managed-hsm.toml");

pub(super) fn context() -> Context {
    Context {
        run: "abc234".parse().unwrap(),
        cloud: CloudName::Embedded,
        tenant: "tenant-1".into(),
        subscription: "1b4df8a5-4c55-4fb6-9a24-4c5f6e7a8b9c".into(),
        subscription_name: "Learning".into(),
        me: Me { id: "me-1".into(), name: "learner".into(), kind: "User".into() },
    }
}

fn object(properties: &[(&str, &str)], required: &[&str]) -> Value {
    let properties: serde_json::Map<String, Value> =
        properties.iter().map(|(name, kind)| ((*name).to_owned(), json!({ "type": kind }))).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

/// Plugins of the kind that the labs use, as they describe themselves.
pub(super) fn plugins() -> BTreeMap<String, Description> {
    let text = |names: &[&'static str]| names.iter().map(|n| (*n, "string")).collect::<Vec<_>>();
    let rows: Vec<(&str, Value, Value, Vec<&str>)> = vec![
        (
            "resource-group@0.1",
            object(&text(&["name", "location"]), &["name", "location"]),
            object(&text(&["id", "name", "location"]), &[]),
            vec!["azure:read,write ${subscription.id}/resourceGroups/${inputs.name}"],
        ),
        (
            "key-vault@0.1",
            object(&[("group", "string"), ("name", "string"), ("retention_days", "integer")], &["group", "name"]),
            object(&text(&["id", "name", "uri"]), &[]),
            vec!["azure:read,write ${inputs.group}/providers/Microsoft.KeyVault/vaults/${inputs.name}"],
        ),
        (
            "keyvault-key@0.1",
            json!({ "type": "object", "required": ["store", "name"], "properties": {
                "store": { "type": "string" }, "name": { "type": "string" }, "bits": { "type": "integer", "minimum": 2048, "maximum": 4096 },
                "kty": { "enum": ["RSA", "RSA-HSM"], "default": "RSA" } } }),
            object(&text(&["id", "uri", "kid", "kty"]), &[]),
            vec!["keyvault:read,create ${inputs.store}keys/${inputs.name}"],
        ),
        (
            "storage-account@0.1",
            object(&text(&["group", "name", "identity"]), &["group", "name"]),
            object(&text(&["id", "name", "principal_id", "blob_uri"]), &[]),
            vec!["azure:read,write ${inputs.group}/providers/Microsoft.Storage/storageAccounts/${inputs.name}"],
        ),
        (
            "role@0.1",
            object(&text(&["scope", "principal", "role"]), &["scope", "principal", "role"]),
            object(&text(&["id"]), &[]),
            vec!["azure:assign ${inputs.scope} role='${inputs.role}'"],
        ),
        (
            "storage-cmk@0.1",
            object(&text(&["account", "key"]), &["account", "key"]),
            json!(true),
            vec!["azure:read,write ${inputs.account}"],
        ),
        (
            "blob@0.1",
            object(&text(&["put", "get", "text"]), &[]),
            object(&text(&["uri", "sha256"]), &[]),
            vec!["blob:write ${inputs.put}", "blob:read ${inputs.get}"],
        ),
        (
            "keyvault-key-state@0.1",
            object(&[("key", "string"), ("enabled", "boolean")], &["key", "enabled"]),
            object(&[("enabled", "boolean")], &[]),
            vec!["keyvault:read,update ${inputs.key}"],
        ),
        ("note@0.1", json!({ "properties": {}, "type": "object", "additionalProperties": true }), json!(true), vec![]),
    ];
    let describe = |(name, inputs, outputs, asks): (&str, Value, Value, Vec<&str>)| {
        let asks = asks.into_iter().map(str::to_owned).collect();
        let description = Description { summary: name.into(), inputs, outputs, asks, limits: Limits::default() };
        (name.to_owned(), description)
    };
    rows.into_iter().map(describe).collect()
}

/// A bundle of a playbook with parts (by id), and a text for every step that is named anywhere.
pub(super) fn bundle(playbook: &str, parts: &[(&str, &str)]) -> Bundle {
    let mut all = BTreeMap::from([("lab/playbook.toml".to_owned(), playbook.to_owned())]);
    all.extend(parts.iter().map(|(id, text)| (format!("parts/{id}/part.toml"), (*text).to_owned())));
    Bundle::gather("lab/playbook.toml", &mut |path| match path.ends_with(".md") {
        true => Some("## What\nwhat\n## Why\nwhy\n## Proved\nproved\n".into()),
        false => all.get(path).cloned(),
    })
}

/// A playbook around some steps.
pub(super) fn around(steps: &str) -> String {
    let head = "schema = 1\nid = \"lab\"\ntitle = \"Lab\"\nsummary = \"A lab\"\nlevel = \"beginner\"\nminutes = { embedded = 1, azure = 2 }\n";
    format!("{head}{steps}")
}

pub(super) fn compiled(playbook: &str, parts: &[(&str, &str)]) -> Lab {
    let bundle = bundle(playbook, parts);
    compile(&bundle, &plugins()).unwrap_or_else(|problems| panic!("{}", lines(&problems, &bundle)))
}

/// Problems as plain lines.
pub(super) fn lines(problems: &[Problem], bundle: &Bundle) -> String {
    let source = |file: &str| bundle.files.get(file).map(String::as_str);
    problems.iter().map(|p| p.plain(&source)).collect::<Vec<_>>().join("\n")
}

/// The problems of a playbook with steps, as plain lines.
pub(super) fn refused(playbook: &str, parts: &[(&str, &str)]) -> String {
    let bundle = bundle(playbook, parts);
    match compile(&bundle, &plugins()) {
        Ok(_) => "no problem".into(),
        Err(problems) => lines(&problems, &bundle),
    }
}
