//! Plugins' and parts' JSON Schemas against what a step gives them.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Map, Value};

use super::names::Fields;
use crate::document::{Loose, LooseAt, article};
use crate::expr::Template;
use crate::grant::shown;
use crate::inputs::{InputKind, InputSpec, regex};
use crate::playbook::authored::Text;
use crate::playbook::checked::{File, in_order};
use crate::problem::{closest, codes, did_you_mean, either, listed};

/// The schema of a part's inputs, in a plugin's terms.
pub(super) fn of_inputs(inputs: &[InputSpec]) -> Value {
    let mut properties = Map::new();
    for input in inputs {
        let kind = match input.kind {
            InputKind::String => "string",
            InputKind::Int => "integer",
            InputKind::Bool => "boolean",
        };
        let mut property = serde_json::json!({ "type": kind });
        if let Some(pattern) = &input.pattern {
            property["pattern"] = pattern.as_str().into();
        }
        properties.insert(input.name.clone(), property);
    }
    let required: Vec<&str> = inputs.iter().filter(|i| i.default.is_none()).map(|i| i.name.as_str()).collect();
    serde_json::json!({ "properties": properties, "required": required, "additionalProperties": false })
}

/// The fields that values of a schema have.
pub(super) fn fields(schema: &Value) -> Fields {
    let schema = follow(schema, schema);
    match schema["properties"].as_object() {
        Some(properties) if !properties.is_empty() && !open(schema) => Fields::closed(properties.keys().cloned()),
        _ => Fields::Open,
    }
}

/// Values that a schema fills in by itself.
pub(super) fn defaults(schema: &Value) -> Map<String, Value> {
    let schema = follow(schema, schema);
    let properties = schema["properties"].as_object().into_iter().flatten();
    let given =
        properties.filter_map(|(name, s)| Some((name.clone(), s.get("default").filter(|d| !d.is_null())?.clone())));
    given.collect()
}

/// Whether more fields are allowed than those listed. Schemas of plain structs say nothing and mean no: a field that
/// the plugin would ignore is a mistake.
fn open(schema: &Value) -> bool {
    match schema.get("additionalProperties") {
        None | Some(Value::Bool(false)) => {
            schema.get("patternProperties").is_some() || schema.get("anyOf").is_some() || schema.get("oneOf").is_some()
        }
        Some(_) => true,
    }
}

/// Complains about inputs that are unknown, missing, or of the wrong type as far as can be told before they are
/// evaluated.
pub(super) fn check(
    file: &mut File<'_>,
    owner: &str,
    schema: &Value,
    with: &BTreeMap<Text, LooseAt>,
    step: &Range<usize>,
) {
    let object = follow(schema, schema);
    let Some(properties) = object["properties"].as_object() else {
        // `true`, `{}`: anything goes. A closed schema without properties takes nothing.
        if object["additionalProperties"] == false || (object["type"] == "object" && !open(object)) {
            for (key, _) in in_order(with) {
                file.say(codes::UNFIT_WITH, format!("{owner} takes no inputs"), key.span(), None);
            }
        }
        return;
    };
    let mut meant = Vec::new();
    for (key, value) in in_order(with) {
        match properties.get(key.as_str()) {
            Some(property) => fits(file, owner, schema, property, value, key.as_str()),
            None if open(object) => {}
            None => {
                let names = || properties.keys().map(String::as_str);
                meant.extend(closest(key, names()));
                let fix = did_you_mean(key, names()).unwrap_or_else(|| format!("its inputs are {}", listed(names())));
                let what = format!("{owner} has no input `{}`", shown(key));
                file.say(codes::UNFIT_WITH, what, key.span(), Some(fix));
            }
        }
    }
    let required = object["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    // One that is misspelt has been complained about.
    let given = |name: &str| meant.contains(&name) || with.keys().any(|key| key.as_str() == name);
    for name in required.filter(|name| !given(name)) {
        let what = format!("{owner} needs input `{name}`");
        let about = properties
            .get(name)
            .and_then(|p| p["description"].as_str())
            .map(|d| format!(" ({})", shown(d.trim_end_matches('.'))));
        let fix = format!("add to `with`: {name} = …{}", about.unwrap_or_default());
        file.say(codes::MISSING_INPUT, what, step.clone(), Some(fix));
    }
}

/// Checks one value, and those in it.
fn fits(file: &mut File<'_>, owner: &str, root: &Value, schema: &Value, value: &LooseAt, path: &str) {
    let schema = follow(root, schema);
    let wanted: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let literal = match value.value() {
        Loose::Text(text) => match Template::parse(text) {
            // A template that is one expression can have any type, and one that can't be read has been named.
            Ok(template) if template.as_literal().is_some() => {
                Some(Value::String(template.as_literal().unwrap_or_default().into()))
            }
            Ok(template) if template.parts().len() > 1 => None,
            _ => return,
        },
        Loose::Plain(plain) => Some(plain.clone()),
        Loose::List(_) | Loose::Table(_) => None,
    };
    let given = match value.value() {
        Loose::Text(_) => "string",
        Loose::Plain(Value::Bool(_)) => "boolean",
        Loose::Plain(Value::Number(n)) if n.is_f64() => "number",
        Loose::Plain(_) => "integer",
        Loose::List(_) => "array",
        Loose::Table(_) => "object",
    };
    let number = given == "integer" && wanted.contains(&"number");
    if !wanted.is_empty() && !wanted.contains(&given) && !number {
        let wanted: Vec<&str> = wanted.into_iter().filter(|w| *w != "null").collect();
        let what = format!("{owner} wants {} for `{path}`, this is {}", article(&wanted), article(&[given]));
        file.say(codes::UNFIT_WITH, what, value.span(), None);
        return;
    }
    if let Some(literal) = &literal {
        let allowed: Vec<&Value> = match (&schema["enum"], &schema["oneOf"]) {
            (Value::Array(all), _) => all.iter().collect(),
            (_, Value::Array(all)) if all.iter().all(|s| s.get("const").is_some()) => {
                all.iter().filter_map(|s| s.get("const")).collect()
            }
            _ => Vec::new(),
        };
        if !allowed.is_empty() && !allowed.contains(&literal) {
            let texts: Vec<String> =
                allowed.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect();
            let names = || texts.iter().map(String::as_str);
            let text = literal.as_str().map_or_else(|| literal.to_string(), str::to_owned);
            let fix = did_you_mean(&text, names()).unwrap_or_else(|| format!("it may be {}", either(names())));
            file.say(
                codes::UNFIT_WITH,
                format!("{owner} does not take `{}` for `{path}`", shown(&text)),
                value.span(),
                Some(fix),
            );
            return;
        }
        if let (Some(pattern), Some(text)) = (schema["pattern"].as_str(), literal.as_str())
            && regex(pattern).is_ok_and(|r| !r.is_match(text))
        {
            let what = format!("{owner} does not take `{}` for `{path}`: it must match {pattern}", shown(text));
            file.say(codes::UNFIT_WITH, what, value.span(), None);
        }
        let bound = |key: &str| schema[key].as_f64();
        if let Some(n) = literal.as_f64()
            && (bound("minimum").is_some_and(|min| n < min) || bound("maximum").is_some_and(|max| n > max))
        {
            let limits: Vec<String> =
                ["minimum", "maximum"].iter().filter_map(|k| Some(format!("{k} {}", bound(k)?))).collect();
            let what = format!("{owner} does not take {n} for `{path}` ({})", limits.join(", "));
            file.say(codes::UNFIT_WITH, what, value.span(), None);
        }
    }
    match value.value() {
        Loose::List(items) if schema.get("items").is_some() => {
            items
                .iter()
                .enumerate()
                .for_each(|(i, item)| fits(file, owner, root, &schema["items"], item, &format!("{path}[{}]", i + 1)));
        }
        Loose::Table(fields) => {
            for (key, inner) in fields {
                if let Some(property) = schema["properties"].get(key.as_str()) {
                    fits(file, owner, root, property, inner, &format!("{path}.{}", shown(key)));
                }
            }
        }
        _ => {}
    }
}

/// Follows `$ref`, and takes the one alternative that is not null.
fn follow<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let mut schema = schema;
    for _ in 0..8 {
        let one = |key: &str| {
            let mut real = schema.get(key)?.as_array()?.iter().filter(|s| s["type"] != "null");
            real.next().filter(|_| real.next().is_none())
        };
        let target = schema["$ref"].as_str().and_then(|r| r.strip_prefix('#')).and_then(|p| root.pointer(p));
        match target.or_else(|| one("anyOf")).or_else(|| one("allOf")) {
            Some(next) => schema = next,
            None => break,
        }
    }
    schema
}
