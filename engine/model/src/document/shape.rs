//! Holds a TOML tree against a JSON Schema: all problems, with places, and the tree without what did not fit.
//!
//! Understands the part of draft 2020-12 that `schemars` writes for plain structs, enums, lists and maps.

use std::ops::Range;
use std::sync::LazyLock;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Source, forbidden, is_forbidden};
use crate::grant::shown;
use crate::inputs::regex;
use crate::problem::{Problem, closest, codes, did_you_mean, either, listed};

/// Tables within tables, as an author would write them.
const MAX_DEPTH: usize = 24;

static ANYTHING: Value = Value::Bool(true);
static NOTHING: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

/// Checks the whole file and takes out what did not fit.
pub(super) fn check(source: Source<'_>, schema: &Value, table: &mut DeTable<'_>, problems: &mut Vec<Problem>) {
    let mut shape = Shape { source, root: schema, problems };
    shape.table(schema, table, 0..0, "", 0);
}

struct Shape<'a, 'p> {
    source: Source<'a>,
    root: &'a Value,
    problems: &'p mut Vec<Problem>,
}

impl<'a> Shape<'a, '_> {
    fn problem(&mut self, code: &'static str, what: String, at: Range<usize>, fix: Option<String>) {
        let problem = Problem::new(code, what).at(self.source.span(at)).maybe_fix(fix);
        self.problems.push(problem);
    }

    /// Follows `$ref`, and takes the one alternative that is not null.
    fn follow(&self, schema: &'a Value) -> &'a Value {
        let mut schema = schema;
        for _ in 0..8 {
            let one = |key: &str| {
                let of = schema.get(key)?.as_array()?;
                let mut real = of.iter().filter(|s| s["type"] != "null");
                real.next().filter(|_| real.next().is_none())
            };
            let target = schema["$ref"].as_str().and_then(|r| r.strip_prefix('#')).and_then(|p| self.root.pointer(p));
            match target.or_else(|| one("anyOf")).or_else(|| one("allOf")) {
                Some(next) => schema = next,
                None => break,
            }
        }
        schema
    }

    fn table<'i>(&mut self, schema: &'a Value, table: &mut DeTable<'i>, at: Range<usize>, path: &str, depth: usize) {
        let properties = schema["properties"].as_object().unwrap_or(&NOTHING);
        let others = schema.get("additionalProperties");
        let mut meant = Vec::new();
        for (key, mut value) in std::mem::take(table) {
            let name = key.get_ref().as_ref();
            let path = if path.is_empty() { shown(name) } else { format!("{path}.{}", shown(name)) };
            if let Some(c) = name.chars().find(|c| is_forbidden(*c)) {
                self.problems.push(forbidden(c).at(self.source.span(key.span())));
                continue;
            }
            let fits = match properties.get(name).or(others.filter(|o| **o != Value::Bool(false))) {
                Some(inner) => self.value(inner, &mut value, &path, depth + 1),
                None if others.is_none() && properties.is_empty() => {
                    self.value(&ANYTHING, &mut value, &path, depth + 1)
                }
                None => {
                    meant.extend(self.unknown(name, schema, properties, key.span()));
                    false
                }
            };
            if fits {
                table.insert(key, value);
            }
        }
        let missing: Vec<&str> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .filter(|name| !table.contains_key(*name))
            .collect();
        for name in missing {
            // A key whose value did not fit has been complained about.
            let prefix = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            let said = |p: &Problem| p.what.contains(&format!("`{prefix}`")) && p.code != codes::MISSING_KEY;
            let misspelt = meant.contains(&name);
            if !misspelt && !self.problems.iter().any(said) {
                let what = format!("{} needs `{name}`", title(schema));
                let fix = properties.get(name).and_then(|property| filling(name, self.follow(property)));
                self.problem(codes::MISSING_KEY, what, at.clone(), fix);
            }
        }
    }

    /// Complains about a key; returns the one that was probably meant.
    fn unknown<'k>(
        &mut self,
        name: &str,
        schema: &Value,
        properties: &'k Map<String, Value>,
        at: Range<usize>,
    ) -> Option<&'k str> {
        let mut known: Vec<&str> = properties.keys().map(String::as_str).collect();
        known.sort_unstable();
        let what = format!("{} has no key `{}`", title(schema), shown(name));
        let meant = closest(name, known.iter().copied());
        let fix = meant.map_or_else(|| format!("its keys are {}", listed(known)), |m| format!("did you mean `{m}`?"));
        self.problem(codes::UNKNOWN_KEY, what, at, Some(fix));
        meant
    }

    /// Checks one value; false: it does not fit and has to go.
    fn value<'i>(&mut self, schema: &'a Value, value: &mut Spanned<DeValue<'i>>, path: &str, depth: usize) -> bool {
        let at = value.span();
        if depth > MAX_DEPTH {
            self.problem(codes::TOO_LARGE, format!("values are nested deeper than {MAX_DEPTH}"), at, None);
            return false;
        }
        let schema = self.follow(schema);
        if !self.plain(value.get_ref(), path, at.clone()) {
            return false;
        }
        let (wanted, given) = (kinds(schema), kind(value.get_ref()));
        let whole = given == "integer" && wanted.contains(&"number");
        if !wanted.is_empty() && !wanted.contains(&given) && !whole {
            let what = format!("`{path}` must be {}, this is {}", article(&wanted), article(&[given]));
            let fix = self.conversion(schema, &wanted, value.get_ref());
            self.problem(codes::WRONG_TYPE, what, at, fix);
            return false;
        }
        match value.get_mut() {
            DeValue::Table(table) => {
                self.table(schema, table, at, path, depth);
                true
            }
            DeValue::Array(items) => self.list(schema, items, path, at, depth),
            DeValue::String(text) => self.text(schema, text, path, at),
            other => self.number(schema, other, path, at),
        }
    }

    /// How the given value would be written as the wanted type, or what may stand there instead.
    fn conversion(&self, schema: &'a Value, wanted: &[&str], value: &DeValue<'_>) -> Option<String> {
        let text = match value {
            DeValue::String(s) => s.to_string(),
            DeValue::Integer(i) => i.to_string(),
            DeValue::Float(f) => f.to_string(),
            DeValue::Boolean(b) => b.to_string(),
            _ => return None,
        };
        let allowed = choices(schema);
        if !allowed.is_empty() && !allowed.contains(&text.as_str()) {
            return Some(format!("it may be {}", either(allowed)));
        }
        let shown = shown(&text);
        match wanted {
            // A number in quotes would be no plugin's name and no time either.
            ["string"] => example(schema).or_else(|| Some(format!("write \"{shown}\""))),
            ["integer"] => {
                let number = text.parse::<i64>().ok()?;
                range(schema, number as f64).or_else(|| Some(format!("write {number} without quotes")))
            }
            ["boolean"] if text == "true" || text == "false" => Some(format!("write {text} without quotes")),
            ["array"] if matches!(value, DeValue::String(_)) => {
                let each = self.follow(schema.get("items").unwrap_or(&ANYTHING));
                (kinds(each) == ["string"]).then(|| format!("write [\"{shown}\"]"))
            }
            _ => None,
        }
    }

    /// What holds of every value, whatever the schema says.
    fn plain(&mut self, value: &DeValue<'_>, path: &str, at: Range<usize>) -> bool {
        match value {
            DeValue::Datetime(_) => {
                let fix = Some("put it in quotes".into());
                self.problem(codes::WRONG_TYPE, format!("`{path}` is a TOML date, which no key takes"), at, fix);
                false
            }
            DeValue::String(text) => match text.chars().find(|c| is_forbidden(*c)) {
                Some(c) => {
                    self.problems.push(forbidden(c).at(self.source.span(at)));
                    false
                }
                None => true,
            },
            DeValue::Float(f) if !f.as_str().parse::<f64>().is_ok_and(f64::is_finite) => {
                self.problem(codes::BAD_VALUE, format!("`{path}` is not a finite number"), at, None);
                false
            }
            DeValue::Integer(i) if i64::from_str_radix(i.as_str(), i.radix()).is_err() => {
                self.problem(codes::BAD_VALUE, format!("`{path}` is too large a number"), at, None);
                false
            }
            _ => true,
        }
    }

    fn list<'i>(
        &mut self,
        schema: &'a Value,
        items: &mut toml::de::DeArray<'i>,
        path: &str,
        at: Range<usize>,
        depth: usize,
    ) -> bool {
        let limit = |key: &str| schema[key].as_u64().and_then(|n| usize::try_from(n).ok());
        if let Some(min) = limit("minItems").filter(|min| items.len() < *min) {
            self.problem(
                codes::BAD_VALUE,
                format!("`{path}` needs at least {min} entries, there are {}", items.len()),
                at,
                None,
            );
            return false;
        }
        if let Some(max) = limit("maxItems").filter(|max| items.len() > *max) {
            self.problem(
                codes::TOO_LARGE,
                format!("`{path}` may have {max} entries, there are {}", items.len()),
                at,
                None,
            );
            return false;
        }
        let each = schema.get("items").unwrap_or(&ANYTHING);
        let mut kept = toml::de::DeArray::new();
        for (i, mut item) in std::mem::replace(items, toml::de::DeArray::new()).into_iter().enumerate() {
            if self.value(each, &mut item, &format!("{path}[{}]", i + 1), depth + 1) {
                kept.push(item);
            }
        }
        *items = kept;
        true
    }

    fn text(&mut self, schema: &Value, text: &str, path: &str, at: Range<usize>) -> bool {
        let allowed = choices(schema);
        if !allowed.is_empty() && !allowed.contains(&text) {
            let fix = did_you_mean(text, allowed.iter().copied());
            let what = format!("`{path}` can't be `{}`", shown(text));
            self.problem(
                codes::BAD_VALUE,
                what,
                at,
                Some(fix.unwrap_or_else(|| format!("it may be {}", either(allowed)))),
            );
            return false;
        }
        let length = text.chars().count() as u64;
        if let Some(max) = schema["maxLength"].as_u64().filter(|max| length > *max) {
            self.problem(codes::TOO_LARGE, format!("`{path}` may have {max} characters, this has {length}"), at, None);
            return false;
        }
        let short = schema["minLength"].as_u64().is_some_and(|min| length < min);
        if !short && !mismatch(schema, text) {
            return true;
        }
        let name = schema["x-name"] == true;
        let code = if name { codes::BAD_NAME } else { codes::BAD_VALUE };
        let why = if text.contains('-') { "expressions read a hyphen as minus" } else { "names are snake_case" };
        let suggested = snake(text).filter(|s| name && s != text).map(|s| format!("write `{s}`: {why}"));
        let what = if text.is_empty() { "is empty".to_owned() } else { format!("can't be `{}`", shown(text)) };
        self.problem(code, format!("`{path}` {what}"), at, suggested.or_else(|| example(schema)));
        // A misspelt name stays, so that what refers to it does not fall over its absence.
        name
    }

    fn number(&mut self, schema: &Value, value: &DeValue<'_>, path: &str, at: Range<usize>) -> bool {
        let number = match value {
            DeValue::Integer(i) => i64::from_str_radix(i.as_str(), i.radix()).ok().map(|n| n as f64),
            DeValue::Float(f) => f.as_str().parse().ok(),
            _ => return true,
        };
        let Some(number) = number else { return true };
        let range = range(schema, number);
        let fits = range.is_none();
        if !fits {
            self.problem(codes::BAD_VALUE, format!("`{path}` can't be {number}"), at, range);
        }
        fits
    }
}

/// A name that would do, when only its spelling is off.
pub(crate) fn snake(name: &str) -> Option<String> {
    let mut out = String::new();
    for c in name.chars() {
        match c {
            'a'..='z' | '0'..='9' | '_' => out.push(c),
            'A'..='Z' => {
                if out.ends_with(|p: char| p.is_ascii_lowercase()) {
                    out.push('_');
                }
                out.push(c.to_ascii_lowercase());
            }
            '-' | ' ' | '.' => out.push('_'),
            _ => return None,
        }
    }
    out.starts_with(|c: char| c.is_ascii_lowercase()).then_some(out)
}

/// What a table is called: its schema's title, which the authored types set.
fn title(schema: &Value) -> &str {
    schema["title"].as_str().unwrap_or("this table")
}

fn sample(schema: Option<&Value>) -> Option<String> {
    schema.and_then(|s| s["examples"].get(0)).map(Value::to_string)
}

fn example(schema: &Value) -> Option<String> {
    sample(Some(schema)).map(|sample| format!("write it like {sample}"))
}

/// Whether a text is not of the form that the schema asks for.
fn mismatch(schema: &Value, text: &str) -> bool {
    schema["pattern"].as_str().is_some_and(|pattern| !regex(pattern).is_ok_and(|r| r.is_match(text)))
}

/// Which numbers are allowed, when this one is not.
fn range(schema: &Value, number: f64) -> Option<String> {
    let (min, max) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
    if min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max) {
        return None;
    }
    Some(match (min, max) {
        (Some(min), Some(max)) if min == max => format!("it is always {min}"),
        (Some(min), Some(max)) => format!("it goes from {min} to {max}"),
        (Some(min), None) => format!("it is at least {min}"),
        (_, max) => format!("it is at most {}", max.unwrap_or_default()),
    })
}

/// How a key that is missing could be filled.
fn filling(key: &str, schema: &Value) -> Option<String> {
    let allowed = choices(schema);
    if !allowed.is_empty() {
        return Some(format!("it may be {}", either(allowed)));
    }
    if let Some(sample) = sample(Some(schema)) {
        return Some(format!("write {key} = {sample}"));
    }
    match kinds(schema).as_slice() {
        ["string"] => Some(format!("write {key} = \"…\"")),
        ["array"] if schema["items"]["$ref"].is_string() => Some(format!("add a [[{key}]] table")),
        ["array"] => Some(format!("write {key} = […]")),
        ["object"] => {
            let inner = schema["required"].as_array()?.iter().filter_map(Value::as_str);
            let value = |name: &str| sample(schema["properties"].get(name)).unwrap_or_else(|| "…".into());
            let fields: Vec<String> = inner.map(|name| format!("{name} = {}", value(name))).collect();
            Some(format!("write {key} = {{ {} }}", fields.join(", ")))
        }
        _ => None,
    }
}

fn kinds(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).filter(|k| *k != "null").collect(),
        _ if !choices(schema).is_empty() => vec!["string"],
        _ => Vec::new(),
    }
}

/// The texts of an enum, whether its variants carry documentation or not.
fn choices(schema: &Value) -> Vec<&str> {
    if let Some(all) = schema["enum"].as_array() {
        return all.iter().filter_map(Value::as_str).collect();
    }
    let each = |s: &'_ Value| s["const"].is_string();
    match schema["oneOf"].as_array() {
        Some(all) if all.iter().all(|s| each(s) || s["enum"].is_array()) => {
            all.iter().flat_map(|s| s["const"].as_str().into_iter().chain(choices(s))).collect()
        }
        _ => Vec::new(),
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) | DeValue::Datetime(_) => "string",
        DeValue::Integer(_) => "integer",
        DeValue::Float(_) => "number",
        DeValue::Boolean(_) => "boolean",
        DeValue::Array(_) => "array",
        DeValue::Table(_) => "object",
    }
}

/// The types of a JSON Schema in words.
pub(crate) fn article(kinds: &[&str]) -> String {
    let named = kinds.iter().map(|kind| match *kind {
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a table",
        _ => "something else",
    });
    named.collect::<Vec<_>>().join(" or ")
}
