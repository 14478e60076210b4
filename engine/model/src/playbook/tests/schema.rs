//! The JSON Schema that `sealbook schema playbook` prints.

use serde_json::Value;

use super::{STORAGE, VAULT};
use crate::playbook::{part_schema, schema};

/// Every table is closed and titled, every key is told about: editors show it, and messages use it.
#[test]
fn every_table_is_closed_and_documented() {
    for root in [schema(), part_schema()] {
        assert_eq!(root["$schema"], "https://json-schema.org/draft/2020-12/schema");
        let tables = std::iter::once(&root).chain(root["$defs"].as_object().unwrap().values());
        for table in tables.filter(|t| t["properties"].is_object()) {
            let title = table["title"].as_str().unwrap();
            assert_eq!(table["additionalProperties"], Value::Bool(false), "{title}");
            for (key, property) in table["properties"].as_object().unwrap() {
                assert!(property["description"].is_string(), "{title}.{key}");
            }
        }
    }
}

#[test]
fn the_keys_of_a_step_are_these() {
    let schema = schema();
    let mut keys: Vec<&String> = schema["$defs"]["StepSpec"]["properties"].as_object().unwrap().keys().collect();
    keys.sort();
    insta::assert_snapshot!(format!("{keys:?}"), @r#"["adopt", "by_hand", "choose", "cost", "default", "expect", "grants", "guest", "hints", "lesson", "name", "needs", "option", "part", "pause", "quiz", "retry", "timeout", "use", "when", "where", "with"]"#);
    insta::assert_snapshot!(schema["required"].to_string(), @r#"["schema","id","title","summary","level","minutes","step"]"#);
}

/// What the parser accepts, the schema accepts: every key and type of the samples is found in it.
#[test]
fn the_samples_fit_the_schema() {
    for (text, root) in [(STORAGE, schema()), (VAULT, part_schema())] {
        let value: Value = toml::from_str(text).unwrap();
        fits(&root, &root, &value, "");
    }
}

fn fits(root: &Value, schema: &Value, value: &Value, path: &str) {
    let mut schema = schema;
    while let Some(target) = schema["$ref"].as_str() {
        schema = root.pointer(target.trim_start_matches('#')).unwrap();
    }
    if let Some(any) = schema["anyOf"].as_array() {
        return fits(root, any.iter().find(|s| s["type"] != "null").unwrap(), value, path);
    }
    match value {
        Value::Object(fields) => {
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            required.for_each(|name| assert!(fields.contains_key(name), "{path} lacks {name}"));
            for (key, inner) in fields {
                let property = schema["properties"].get(key).or(schema.get("additionalProperties"));
                let property = property.unwrap_or(&Value::Bool(true));
                assert_ne!(property, &Value::Bool(false), "{path}.{key}");
                fits(root, property, inner, &format!("{path}.{key}"));
            }
        }
        Value::Array(items) => {
            items.iter().for_each(|item| fits(root, schema.get("items").unwrap_or(&Value::Bool(true)), item, path))
        }
        _ => {}
    }
}
