//! Inputs of a playbook: what is asked, what was given, and what is still missing.

use std::collections::{BTreeMap, BTreeSet};

use regex::{Regex, RegexBuilder};
use sealbook_crypto::SecretString;
use serde_json::Value;

use crate::expr::{Context, Scope, Template};
use crate::grant::shown;
use crate::problem::{Problem, codes, did_you_mean, listed};

/// What kind of value an input takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// A text.
    String,
    /// A whole number.
    Int,
    /// True or false.
    Bool,
}

/// One declared input.
#[derive(Debug, Clone)]
pub struct InputSpec {
    /// Its name.
    pub name: String,
    /// What it takes.
    pub kind: InputKind,
    /// Its value when none is given: a template over the run's context, or a plain value.
    pub default: Option<InputDefault>,
    /// What to ask a person.
    pub prompt: Option<String>,
    /// A regular expression that the value must match.
    pub pattern: Option<String>,
    /// The output of an earlier run that it can be taken from: a path like `key_store.id`.
    pub from: Option<String>,
    /// Whether it is kept out of expressions, journal and logs.
    pub secret: bool,
}

/// A default.
#[derive(Debug, Clone)]
pub enum InputDefault {
    /// Evaluated over `run`, `cloud`, `me`, `subscription`, `tenant`.
    Template(Template),
    /// As it is.
    Plain(Value),
}

/// Inputs with values.
#[derive(Debug, Clone, Default)]
pub struct Resolved {
    /// Values as expressions see them; a secret is the reference `secret:<name>`.
    pub values: BTreeMap<String, Value>,
    /// The secrets themselves.
    pub secrets: BTreeMap<String, SecretString>,
    /// Inputs without a value, in the playbook's order: to be asked for.
    pub missing: Vec<String>,
    /// Inputs whose default was taken.
    pub defaulted: BTreeSet<String>,
}

/// Bytes of one input.
const MAX_LEN: usize = 64 * 1024;

/// Compiles a pattern within bounds, so that none can eat the memory.
pub(crate) fn regex(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(256 * 1024).dfa_size_limit(256 * 1024).nest_limit(32).build().map_err(|e| {
        match e {
            regex::Error::CompiledTooBig(_) => "it is too large".into(),
            other => {
                let text = other.to_string();
                text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
            }
        }
    })
}

impl InputSpec {
    /// Reads a value as it was typed.
    ///
    /// # Errors
    /// When it is not of the input's kind or does not match its pattern. A secret's text is not in the problem.
    pub fn parse(&self, text: &str) -> Result<Value, Problem> {
        let value = match self.kind {
            InputKind::String => Value::String(text.to_owned()),
            InputKind::Int => match text.trim().parse::<i64>() {
                Ok(n) => n.into(),
                Err(_) => return Err(self.refuse(text, "it is not a whole number")),
            },
            InputKind::Bool => match text.trim() {
                "true" => true.into(),
                "false" => false.into(),
                _ => return Err(self.refuse(text, "it is neither true nor false")),
            },
        };
        self.admit(&value)?;
        Ok(value)
    }

    /// Whether a value may be this input's.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn admit(&self, value: &Value) -> Result<(), Problem> {
        let (fits, wanted) = match self.kind {
            InputKind::String => (value.is_string(), "a text"),
            InputKind::Int => (value.is_i64() || value.is_u64(), "a whole number"),
            InputKind::Bool => (value.is_boolean(), "true or false"),
        };
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if !fits {
            return Err(self.refuse(&text, &format!("it must be {wanted}")));
        }
        if text.len() > MAX_LEN {
            return Err(self.refuse(&text, &format!("it has more than {MAX_LEN} bytes")));
        }
        match &self.pattern {
            Some(pattern) if !regex(pattern).is_ok_and(|r| r.is_match(&text)) => {
                Err(self.refuse(&text, &format!("it does not match {pattern}")))
            }
            _ => Ok(()),
        }
    }

    /// What gives it on a command line. A secret comes from a file: arguments can be read by others.
    #[must_use]
    pub fn flag(&self) -> String {
        match self.secret {
            true => format!("--set-file {}=FILE", self.name),
            false => format!("--set {}=…", self.name),
        }
    }

    fn refuse(&self, text: &str, why: &str) -> Problem {
        let what = match self.secret {
            true => format!("the value of input `{}` does not fit", self.name),
            false => format!("input `{}` can't be `{}`", self.name, shown(text)),
        };
        Problem::new(codes::BAD_INPUT, what).because(why).fix(format!("give another: {}", self.flag()))
    }

    /// The default's value.
    fn default_value(&self, scope: &Scope) -> Option<Result<Value, Problem>> {
        let value = match self.default.as_ref()? {
            InputDefault::Plain(value) => Ok(value.clone()),
            InputDefault::Template(template) => template.render(scope).map_err(|e| e.problem()),
        };
        Some(value.and_then(|v| self.admit(&v).map(|()| v)))
    }
}

/// Puts given values and defaults together.
///
/// # Errors
/// All problems: inputs that were not declared, values and defaults that do not fit. Missing ones are no problem yet.
pub fn resolve(
    specs: &[InputSpec],
    given: &BTreeMap<String, String>,
    context: &Context,
) -> Result<Resolved, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut out = Resolved::default();
    for name in given.keys().filter(|name| !specs.iter().any(|s| s.name == **name)) {
        let names = || specs.iter().map(|s| s.name.as_str());
        let fix = did_you_mean(name, names()).unwrap_or_else(|| format!("the inputs are {}", listed(names())));
        problems.push(Problem::new(codes::UNKNOWN_INPUT, format!("there is no input `{}`", shown(name))).fix(fix));
    }
    let scope = Scope::new(context, &BTreeMap::new());
    for spec in specs {
        let value = match given.get(&spec.name) {
            Some(text) => Some(spec.parse(text)),
            None => spec.default_value(&scope).inspect(|_| {
                out.defaulted.insert(spec.name.clone());
            }),
        };
        match value {
            None => out.missing.push(spec.name.clone()),
            Some(Err(problem)) => problems.push(problem),
            Some(Ok(value)) if spec.secret => {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                out.secrets.insert(spec.name.clone(), SecretString::new(text));
                out.values.insert(spec.name.clone(), Value::String(format!("secret:{}", spec.name)));
            }
            Some(Ok(value)) => {
                out.values.insert(spec.name.clone(), value);
            }
        }
    }
    if problems.is_empty() { Ok(out) } else { Err(problems) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::CloudName;
    use crate::expr::Me;

    fn context() -> Context {
        Context {
            run: "abc234".parse().unwrap(),
            cloud: CloudName::Embedded,
            tenant: "t".into(),
            subscription: "s".into(),
            subscription_name: "n".into(),
            me: Me { id: "m".into(), name: "learner".into(), kind: "User".into() },
        }
    }

    fn spec(name: &str, kind: InputKind) -> InputSpec {
        InputSpec { name: name.into(), kind, default: None, prompt: None, pattern: None, from: None, secret: false }
    }

    fn specs() -> Vec<InputSpec> {
        let template = |t: &str| Some(InputDefault::Template(Template::parse(t).unwrap()));
        vec![
            InputSpec {
                default: template("italynorth"),
                pattern: Some("^[a-z0-9]+$".into()),
                ..spec("region", InputKind::String)
            },
            InputSpec { default: template("${run.short}"), ..spec("suffix", InputKind::String) },
            InputSpec { default: template("only my key"), secret: true, ..spec("note", InputKind::String) },
            InputSpec { default: Some(InputDefault::Plain(json!(7))), ..spec("days", InputKind::Int) },
            spec("purge", InputKind::Bool),
        ]
    }

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn defaults_fill_and_secrets_stay_apart() {
        let out = resolve(&specs(), &given(&[]), &context()).unwrap();
        assert_eq!(
            json!(out.values),
            json!({ "days": 7, "note": "secret:note", "region": "italynorth", "suffix": "abc234" })
        );
        assert_eq!(out.secrets["note"].expose(), "only my key");
        assert_eq!(out.missing, ["purge"]);
        assert!(out.defaulted.contains("suffix"));
        assert!(!format!("{out:?}").contains("only my key"));
    }

    #[test]
    fn given_values_are_held_against_kind_and_pattern() {
        let out = resolve(&specs(), &given(&[("days", " 90"), ("purge", "true"), ("note", "s3")]), &context()).unwrap();
        assert_eq!((&out.values["days"], &out.values["purge"]), (&json!(90), &json!(true)));
        assert_eq!(out.secrets["note"].expose(), "s3");
        assert!(out.missing.is_empty());

        let bad = given(&[("days", "x"), ("region", "Italy North"), ("purge", "yes"), ("sufix", "q")]);
        let problems = resolve(&specs(), &bad, &context()).unwrap_err();
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        SB0122 there is no input `sufix`; did you mean `suffix`?
        SB0124 input `region` can't be `Italy North` — it does not match ^[a-z0-9]+$; give another: --set region=…
        SB0124 input `days` can't be `x` — it is not a whole number; give another: --set days=…
        SB0124 input `purge` can't be `yes` — it is neither true nor false; give another: --set purge=…
        ");
    }

    #[test]
    fn a_refused_secret_is_not_repeated() {
        let spec = InputSpec { pattern: Some("^x$".into()), secret: true, ..spec("pin", InputKind::String) };
        let problem = spec.parse("hunter2").unwrap_err();
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
        assert!(problem.to_string().contains("--set-file pin=FILE"), "{problem}");
    }

    #[test]
    fn patterns_are_bounded() {
        assert!(regex("(a{1000}){1000}").is_err());
        assert!(regex("^[a-z]+$").is_ok());
        assert_eq!(regex("(").unwrap_err(), "unclosed group");
    }
}
