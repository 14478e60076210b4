//! The names that expressions of a file may use, and what fields they have.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::snake;
use crate::expr::BUILT_IN;
use crate::grant::shown;
use crate::inputs::InputSpec;
use crate::playbook::checked::{Mention, Role, See};
use crate::problem::{Problem, codes, did_you_mean, listed};

/// What is known of a value's fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fields {
    /// There may be any.
    Open,
    /// There are these and no others; none: it is not a table.
    Closed(BTreeSet<String>),
}

impl Fields {
    pub(crate) fn closed<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self::Closed(names.into_iter().map(Into::into).collect())
    }

    /// What both have.
    pub(crate) fn shared(self, other: Self) -> Self {
        match (self, other) {
            (Self::Closed(a), Self::Closed(b)) => Self::Closed(a.intersection(&b).cloned().collect()),
            (Self::Closed(one), Self::Open) | (Self::Open, Self::Closed(one)) => Self::Closed(one),
            (Self::Open, Self::Open) => Self::Open,
        }
    }
}

/// Names and fields.
#[derive(Debug)]
pub(crate) struct Names {
    steps: BTreeMap<String, Fields>,
    inputs: Fields,
    /// Fields that only some options of a choice have, with an option that lacks it.
    partial: BTreeMap<String, BTreeMap<String, String>>,
    secrets: BTreeSet<String>,
}

impl Names {
    pub(crate) fn new(inputs: &[InputSpec]) -> Self {
        // A misspelt input has been complained about; whoever uses its right name is not at fault.
        let meant = inputs.iter().filter_map(|i| snake(&i.name));
        let names = inputs.iter().map(|i| i.name.clone()).filter(|name| !name.contains('-')).chain(meant);
        let secrets = inputs.iter().filter(|i| i.secret).map(|i| i.name.clone()).collect();
        Self { steps: BTreeMap::new(), inputs: Fields::closed(names), partial: BTreeMap::new(), secrets }
    }

    /// Adds a step. The first one of a name counts.
    pub(super) fn define(&mut self, name: &str, fields: Fields) {
        self.steps.entry(name.to_owned()).or_insert(fields);
    }

    /// Adds what only some options of a choice have.
    pub(super) fn define_partial(&mut self, name: &str, lacking: BTreeMap<String, String>) {
        self.partial.entry(name.to_owned()).or_insert(lacking);
    }

    pub(super) fn steps(&self) -> impl Iterator<Item = &str> {
        self.steps.keys().map(String::as_str)
    }

    /// What is wrong with a mention. `out` is what the step itself gives.
    pub(crate) fn judge(&self, mention: &Mention, out: &Fields) -> Option<Problem> {
        let problem = self.misused(mention, out)?;
        let meant = mention.hyphenated.as_ref().filter(|word| self.defines(&word.meant, mention.see, out));
        let Some(word) = meant.filter(|_| [codes::UNDEFINED_NAME, codes::UNDEFINED_FIELD].contains(&problem.code))
        else {
            return Some(problem);
        };
        // `key-store` is two names to CEL; one complaint is enough.
        if !word.first && !self.defines(&word.head, mention.see, out) {
            return None;
        }
        Some(problem.fix(format!("write `{}`: expressions read a hyphen as minus", word.meant)))
    }

    /// Whether a name, or a field of it (`inputs.region`), is there.
    fn defines(&self, path: &str, see: See, out: &Fields) -> bool {
        let (root, field) = path.split_once('.').map_or((path, None), |(root, field)| (root, Some(field)));
        match (self.fields(root, see, out), field) {
            (Some(Fields::Closed(known)), Some(field)) => known.contains(field),
            (fields, _) => fields.is_some(),
        }
    }

    fn misused(&self, mention: &Mention, out: &Fields) -> Option<Problem> {
        let root = mention.reference.root.as_str();
        let fields = self.fields(root, mention.see, out);
        let Some(fields) = fields else { return Some(self.undefined(mention)) };
        let field = mention.reference.fields.first()?;
        match fields {
            // What is only asked for may be absent.
            Fields::Closed(known)
                if !(known.contains(field) || mention.reference.tested && mention.reference.fields.len() == 1) =>
            {
                if let Some(option) = self.partial.get(root).and_then(|lacking| lacking.get(field)) {
                    let what = format!("option `{option}` of `{root}` does not export `{field}`");
                    return Some(Problem::new(codes::EXPORT_MISMATCH, what).fix("let every option's part export it"));
                }
                let inputs = root == "inputs";
                let owner = if inputs { "there is no input".into() } else { format!("`{root}` has no field") };
                let candidates = || known.iter().map(String::as_str);
                let fix = did_you_mean(field, candidates()).unwrap_or_else(|| match known.is_empty() {
                    true if inputs => "declare it under [inputs]".into(),
                    true => format!("`{root}` is a plain value"),
                    false if inputs => format!("the inputs are {}", listed(candidates())),
                    false => format!("its fields are {}", listed(candidates())),
                });
                Some(Problem::new(codes::UNDEFINED_FIELD, format!("{owner} `{}`", shown(field))).fix(fix))
            }
            _ if root == "inputs" && self.secrets.contains(field) && mention.role != Role::Given => {
                let what = match mention.role {
                    Role::Operand => format!("an expression can't look at the secret `{field}`"),
                    _ => format!("the secret `{field}` would become part of a text"),
                };
                let why = "expressions see a reference in its place, so that it stays out of journal and logs";
                let fix = format!("give it whole to a plugin: with = {{ … = \"${{inputs.{field}}}\" }}");
                Some(Problem::new(codes::SECRET_IN_TEXT, what).because(why).fix(fix))
            }
            _ => None,
        }
    }

    fn fields(&self, root: &str, see: See, out: &Fields) -> Option<Fields> {
        if let Some((_, fields)) = BUILT_IN.iter().find(|(name, _)| *name == root) {
            return Some(Fields::closed(fields.iter().copied()));
        }
        match (root, see) {
            (_, See::Start) => None,
            ("inputs", _) => Some(self.inputs.clone()),
            ("out", See::Outputs) => Some(out.clone()),
            ("out", See::Read) => Some(Fields::closed(["uri", "sha256", "bytes"])),
            ("undo", See::Undo) => Some(Fields::closed(["at"])),
            _ => self.steps.get(root).cloned(),
        }
    }

    fn undefined(&self, mention: &Mention) -> Problem {
        let root = mention.reference.root.as_str();
        let problem = Problem::new(codes::UNDEFINED_NAME, format!("there is no `{}` here", shown(root)));
        match (root, mention.see) {
            ("out", _) => problem.because("a step's outputs exist once it has run").fix("use `out` in `expect` only"),
            ("undo", _) => problem.because("nothing is undone yet").fix("use `undo` in `leaves` only"),
            (_, See::Start) => problem
                .because("defaults are set before the run")
                .fix(format!("use {}", listed(BUILT_IN.iter().map(|(name, _)| *name)))),
            _ => {
                let built_in = BUILT_IN.iter().map(|(name, _)| *name).chain(["inputs"]);
                let input = match &self.inputs {
                    Fields::Closed(inputs) if inputs.contains(root) => Some(format!("did you mean `inputs.{root}`?")),
                    _ => None,
                };
                let fix = input.or_else(|| did_you_mean(root, self.steps().chain(built_in)));
                problem.maybe_fix(fix.or_else(|| Some("it is neither a step nor a built-in name".into())))
            }
        }
    }
}
