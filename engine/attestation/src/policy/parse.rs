//! From JSON to a checked policy.

use serde_json::{Map, Value};

use super::number::Number;
use super::{Authority, Clause, Condition, MAX_BYTES, MAX_DEPTH, Operator, ReleasePolicy};
use crate::json::{self, JsonError};
use crate::line;

/// Why a document is no release policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {fault}")]
pub struct PolicyError {
    /// JSON path of the place, `$.anyOf[0].allOf[2].claim`; `$` is the whole document.
    pub path: String,
    /// What is wrong there.
    pub fault: Fault,
}

/// What breaks the grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No JSON, too long, nested too deep, or a name twice.
    #[error("the policy cannot be read: {0}")]
    Json(#[from] JsonError),
    /// Another kind of value than the grammar has here.
    #[error("this is {found}; {expected} belongs here")]
    Type {
        /// What the grammar has here.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// Another version of the grammar.
    #[error("version {0:?} of the grammar is unknown; the version is \"1.0.0\"")]
    Version(String),
    /// A member that must be there is not.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A list without items; the grammar demands one.
    #[error("the list is empty; at least one condition is required")]
    Empty,
    /// An authority that no issuer can be.
    #[error("the authority is {0}; it is the issuer of tokens, like https://sharedweu.weu.attest.azure.net")]
    Authority(&'static str),
    /// `anyOf` and `allOf` side by side.
    #[error("`anyOf` and `allOf` are both here, and only one may be; put one into the other")]
    Both,
    /// A member that the grammar does not have here.
    #[error("`{name}` does not belong here; {allowed}")]
    Member {
        /// Its name.
        name: String,
        /// What may be here.
        allowed: &'static str,
    },
    /// A comparison that the grammar does not have.
    #[error("`{name}` is no operator{}; operators are {}", hint(.name), operators())]
    Operator {
        /// Its name.
        name: String,
    },
    /// A claim without a comparison.
    #[error("the claim is compared with nothing; add one of {}", operators())]
    NoOperator,
    /// Two comparisons in one condition.
    #[error("`{0}` and `{1}` are both here; one condition makes one comparison, and `allOf` joins two")]
    TwoOperators(String, String),
    /// A path that leads nowhere.
    #[error("the claim's path is {0}; it is names joined by dots, like x-ms-isolation-tee.x-ms-attestation-type")]
    Claim(&'static str),
    /// A value that the operator cannot take.
    #[error("`{operator}` takes {expected}, and this is {found}")]
    Value {
        /// The operator's name.
        operator: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What is there.
        found: String,
    },
}

pub(super) fn policy(json: &[u8]) -> Result<ReleasePolicy, PolicyError> {
    let document = json::read(json, MAX_BYTES, MAX_DEPTH).map_err(|why| at("$", why.into()))?;
    let Value::Object(mut document) = document else {
        return Err(typed("$", "an object", &document));
    };
    only(&document, "$", &["version", "anyOf"], "a policy has `version` and `anyOf`")?;
    version(&mut document)?;
    let list = list(&document, "$", "anyOf")?;
    let authorities = list
        .iter()
        .enumerate()
        .map(|(i, value)| authority(value, &format!("$.anyOf[{i}]")))
        .collect::<Result<_, _>>()?;
    Ok(ReleasePolicy { authorities, document: Value::Object(document) })
}

fn version(document: &mut Map<String, Value>) -> Result<(), PolicyError> {
    match document.get("version") {
        None => {}
        Some(Value::String(version)) if version == "1.0.0" || version == "1.0" => {}
        Some(Value::String(other)) => return Err(at("$.version", Fault::Version(line::shorten(other)))),
        Some(other) => return Err(typed("$.version", "a string", other)),
    }
    document.insert("version".to_owned(), "1.0.0".into());
    Ok(())
}

fn authority(value: &Value, path: &str) -> Result<Authority, PolicyError> {
    let statement = object(value, path)?;
    only(statement, path, &["authority", "anyOf", "allOf"], "a statement has `authority` and `anyOf` or `allOf`")?;
    let place = || format!("{path}.authority");
    let issuer = match statement.get("authority") {
        None => return Err(at(path, Fault::Missing("authority"))),
        Some(Value::String(issuer)) => issuer,
        Some(other) => return Err(typed(place(), "a string", other)),
    };
    if issuer.strip_suffix('/').unwrap_or(issuer).is_empty() {
        return Err(at(place(), Fault::Authority("empty")));
    }
    if issuer.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(at(place(), Fault::Authority("written with blanks or control characters")));
    }
    match junction(statement, path)? {
        Some(condition) => Ok(Authority { issuer: issuer.clone(), condition }),
        None => Err(at(path, Fault::Missing("allOf"))),
    }
}

/// Reads `anyOf` or `allOf` of an object that has one.
fn junction(object: &Map<String, Value>, path: &str) -> Result<Option<Condition>, PolicyError> {
    let (name, make): (_, fn(Vec<Condition>) -> Condition) =
        match (object.contains_key("anyOf"), object.contains_key("allOf")) {
            (true, true) => return Err(at(path, Fault::Both)),
            (true, false) => ("anyOf", Condition::AnyOf),
            (false, true) => ("allOf", Condition::AllOf),
            (false, false) => return Ok(None),
        };
    let conditions = list(object, path, name)?
        .iter()
        .enumerate()
        .map(|(i, value)| condition(value, &format!("{path}.{name}[{i}]")))
        .collect::<Result<_, _>>()?;
    Ok(Some(make(conditions)))
}

fn condition(value: &Value, path: &str) -> Result<Condition, PolicyError> {
    let members = object(value, path)?;
    if let Some(junction) = junction(members, path)? {
        only(members, path, &["anyOf", "allOf"], "nothing stands beside `anyOf` or `allOf` in a condition")?;
        return Ok(junction);
    }
    clause(members, path).map(Condition::Clause)
}

fn clause(members: &Map<String, Value>, path: &str) -> Result<Clause, PolicyError> {
    let claim = match members.get("claim") {
        None => {
            // `anyof` in lower case stands in the page's EBNF, and so gets here.
            let missing = Fault::Missing("claim");
            let fault = members.keys().next().map_or(missing, |name| Fault::Member {
                name: line::shorten(name),
                allowed: "a condition has `claim` and an operator, or `anyOf`, or `allOf`",
            });
            return Err(at(path, fault));
        }
        Some(Value::String(claim)) => claim,
        Some(other) => return Err(typed(format!("{path}.claim"), "a string", other)),
    };
    if claim.split('.').any(str::is_empty) {
        return Err(at(format!("{path}.claim"), Fault::Claim("empty or has an empty part")));
    }
    let mut comparisons = members.iter().filter(|(name, _)| *name != "claim");
    let Some((name, value)) = comparisons.next() else { return Err(at(path, Fault::NoOperator)) };
    if let Some((second, _)) = comparisons.next() {
        return Err(at(path, Fault::TwoOperators(line::shorten(name), line::shorten(second))));
    }
    let operator = Operator::from_name(name).ok_or_else(|| at(path, Fault::Operator { name: line::shorten(name) }))?;
    operand(operator, value).map_err(|fault| at(format!("{path}.{name}"), fault))?;
    Ok(Clause { claim: claim.clone(), operator, value: value.clone() })
}

/// Checks that an operator can take a value, so that a clause that could never hold is found when it is written.
fn operand(operator: Operator, value: &Value) -> Result<(), Fault> {
    use Operator::{Equals, Exists, Greater, GreaterOrEquals, Less, LessOrEquals, NotEquals};
    let Some(text) = line::text(value) else {
        return Err(Fault::Type { expected: "a string, a number, true or false", found: kind(value) });
    };
    let (fits, expected) = match operator {
        Equals | NotEquals => (true, ""),
        Less | LessOrEquals | Greater | GreaterOrEquals => {
            (!value.is_boolean() && Number::read(&text).is_some(), "a decimal number")
        }
        Exists => (text == "true" || text == "false", "true or false"),
    };
    if fits {
        return Ok(());
    }
    Err(Fault::Value { operator: operator.name(), expected, found: line::show(value) })
}

fn object<'a>(value: &'a Value, path: &str) -> Result<&'a Map<String, Value>, PolicyError> {
    value.as_object().ok_or_else(|| typed(path, "an object", value))
}

fn list<'a>(object: &'a Map<String, Value>, path: &str, name: &'static str) -> Result<&'a [Value], PolicyError> {
    match object.get(name) {
        None => Err(at(path, Fault::Missing(name))),
        Some(Value::Array(items)) if items.is_empty() => Err(at(format!("{path}.{name}"), Fault::Empty)),
        Some(Value::Array(items)) => Ok(items),
        Some(other) => Err(typed(format!("{path}.{name}"), "an array", other)),
    }
}

fn only(object: &Map<String, Value>, path: &str, known: &[&str], allowed: &'static str) -> Result<(), PolicyError> {
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(at(path, Fault::Member { name: line::shorten(name), allowed })),
    }
}

fn at(path: impl Into<String>, fault: Fault) -> PolicyError {
    PolicyError { path: path.into(), fault }
}

fn typed(path: impl Into<String>, expected: &'static str, found: &Value) -> PolicyError {
    at(path, Fault::Type { expected, found: kind(found) })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn operators() -> String {
    Operator::ALL.map(Operator::name).join(", ")
}

/// The operator that was probably meant, by the spellings of other policy languages: `greater-than`, `notEqual`.
fn hint(name: &str) -> String {
    let bare = |name: &str| {
        let letters: String = name.chars().filter(char::is_ascii_alphabetic).collect();
        letters.to_ascii_lowercase().replace("than", "").replace("equals", "equal").replace("exists", "exist")
    };
    Operator::ALL
        .into_iter()
        .find(|operator| bare(operator.name()) == bare(name))
        .map_or_else(String::new, |operator| format!(" (did you mean `{}`?)", operator.name()))
}
