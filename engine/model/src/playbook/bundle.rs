//! The files of a playbook, as they are stored, digested and compiled.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use toml::de::{DeTable, DeValue};

use crate::id::Digest;
use crate::plugin::is_kebab;
use crate::problem::{Problem, codes};

/// A playbook with the parts and texts it needs. The same files have the same digest, however they were found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// Path of the playbook's file in `files`.
    pub root: String,
    /// Contents by path, `/` between folders. Texts lie beside the playbook, parts under `parts/`.
    pub files: BTreeMap<String, String>,
}

impl Bundle {
    /// Collects what the playbook at `root` needs. `read` gives a file's content; none: there is no such file, which
    /// [`super::compile`] will say.
    #[must_use]
    pub fn gather(root: &str, read: &mut dyn FnMut(&str) -> Option<String>) -> Self {
        let mut bundle = Self { root: root.to_owned(), files: BTreeMap::new() };
        let mut todo = vec![root.to_owned()];
        while let Some(path) = todo.pop() {
            if bundle.files.contains_key(&path) {
                continue;
            }
            let Some(text) = read(&path) else { continue };
            let names = Names::of(&text);
            let texts = names.steps.iter().map(|step| text_path(&path, names.texts.as_deref(), step));
            for path in texts {
                if let Some(text) = read(&path) {
                    bundle.files.insert(path, text);
                }
            }
            todo.extend(names.parts.iter().map(|part| part_path(part)));
            bundle.files.insert(path, text);
        }
        bundle
    }

    /// The stored form: JSON with keys in a fixed order.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Texts and maps of texts always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// When it is not one.
    pub fn from_json(text: &str) -> Result<Self, Problem> {
        serde_json::from_str(text)
            .map_err(|e| Problem::new(codes::BAD_BUNDLE, "the stored playbook can't be read").because(e.to_string()))
    }

    /// Digest of the stored form.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.to_json().as_bytes())
    }

    /// What a later reading of the same playbook has otherwise, in words; nothing: they are equal.
    #[must_use]
    pub fn changes(&self, now: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        for (path, was) in &self.files {
            match now.files.get(path) {
                None => changes.push(format!("{path} is gone")),
                Some(is) if is != was && path.ends_with(".toml") => changes.extend(changed_steps(path, was, is)),
                Some(is) if is != was => changes.push(format!("{path} says something else")),
                Some(_) => {}
            }
        }
        changes.extend(now.files.keys().filter(|path| !self.files.contains_key(*path)).map(|p| format!("{p} is new")));
        changes
    }

    /// Every plugin that the playbook and its parts name, as far as they can be read.
    #[must_use]
    pub fn plugins(&self) -> BTreeSet<String> {
        self.files
            .iter()
            .filter(|(path, _)| path.ends_with(".toml"))
            .flat_map(|(_, text)| Names::of(text).plugins)
            .collect()
    }
}

/// What became of the steps of a playbook or part whose text is another now.
fn changed_steps(path: &str, was: &str, is: &str) -> Vec<String> {
    let (was, is) = (Names::of(was).steps, Names::of(is).steps);
    let without = |all: &[String], other: &[String]| {
        all.iter().filter(|step| !other.contains(step)).map(String::as_str).collect::<Vec<_>>().join(", ")
    };
    let (gone, new) = (without(&was, &is), without(&is, &was));
    let kept =
        |all: &[String], other: &[String]| all.iter().filter(|step| other.contains(step)).cloned().collect::<Vec<_>>();
    let mut changes = Vec::new();
    if !gone.is_empty() {
        changes.push(format!("{path} has no step {gone} any more"));
    }
    if !new.is_empty() {
        changes.push(format!("{path} has the new step {new}"));
    }
    let (before, after) = (kept(&was, &is), kept(&is, &was));
    if before != after {
        changes.push(format!("the steps of {path} come in another order: {}", after.join(", ")));
    }
    if changes.is_empty() {
        changes.push(format!("a step of {path}, or what is around the steps, is written otherwise"));
    }
    changes
}

/// Where a part's file lies.
pub(crate) fn part_path(id: &str) -> String {
    format!("parts/{id}/part.toml")
}

/// Where the text of a step lies, for the file that the step is in.
pub(crate) fn text_path(file: &str, texts: Option<&str>, step: &str) -> String {
    let texts = texts.unwrap_or("texts");
    match file.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/{texts}/{step}.md"),
        None => format!("{texts}/{step}.md"),
    }
}

/// What a file mentions, read without judging it.
#[derive(Default)]
struct Names {
    steps: Vec<String>,
    parts: Vec<String>,
    plugins: Vec<String>,
    texts: Option<String>,
}

impl Names {
    fn of(text: &str) -> Self {
        let mut names = Self::default();
        if text.len() > crate::document::MAX_FILE {
            return names;
        }
        let (table, _) = DeTable::parse_recoverable(text);
        let table = table.get_ref();
        let string =
            |table: &DeTable<'_>, key: &str| table.get(key).and_then(|v| v.get_ref().as_str().map(str::to_owned));
        names.texts = string(table, "texts").filter(|t| is_path_segment(t));
        for step in tables(table, "step") {
            names.steps.extend(string(step, "name").filter(|n| is_path_segment(n)));
            names.plugins.extend(string(step, "use"));
            let options = tables(step, "option").filter_map(|option| string(option, "part"));
            let parts = string(step, "part").into_iter().chain(options);
            names
                .parts
                .extend(parts.filter_map(|p| p.split_once('@').map(|(id, _)| id.to_owned())).filter(|id| is_kebab(id)));
        }
        names
    }
}

fn is_path_segment(name: &str) -> bool {
    !name.is_empty() && name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn tables<'t, 'i>(table: &'t DeTable<'i>, key: &str) -> impl Iterator<Item = &'t DeTable<'i>> {
    let items = table.get(key).and_then(|v| v.get_ref().as_array());
    items.into_iter().flat_map(|a| a.iter()).filter_map(|item| match item.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> BTreeMap<String, String> {
        [
            ("lab/playbook.toml", "[[step]]\nname = \"rg\"\nuse = \"resource-group@0.1\"\n[[step]]\nname = \"store\"\n[[step.option]]\npart = \"vault@1\"\n"),
            ("lab/texts/rg.md", "x"),
            ("lab/texts/other.md", "not named"),
            ("parts/vault/part.toml", "[[step]]\nname = \"make\"\nuse = \"key-vault@0.1\"\n[[step]]\npart = \"vault@1\"\n"),
            ("parts/vault/texts/make.md", "y"),
            ("parts/unused/part.toml", "z"),
        ]
        .map(|(path, text)| (path.to_owned(), text.to_owned()))
        .into()
    }

    #[test]
    fn only_what_is_needed_is_collected() {
        let all = files();
        let bundle = Bundle::gather("lab/playbook.toml", &mut |path| all.get(path).cloned());
        let paths: Vec<&str> = bundle.files.keys().map(String::as_str).collect();
        assert_eq!(
            paths,
            ["lab/playbook.toml", "lab/texts/rg.md", "parts/vault/part.toml", "parts/vault/texts/make.md"]
        );
        assert_eq!(bundle.plugins().into_iter().collect::<Vec<_>>(), ["key-vault@0.1", "resource-group@0.1"]);
        assert_eq!(Bundle::from_json(&bundle.to_json()).unwrap(), bundle);
        assert_eq!(bundle.digest(), Bundle::gather("lab/playbook.toml", &mut |path| all.get(path).cloned()).digest());
        assert!(Bundle::from_json("{").is_err());
    }

    #[test]
    fn what_changed_is_told() {
        let read = |files: &BTreeMap<String, String>| {
            Bundle::gather("lab/playbook.toml", &mut |path| files.get(path).cloned())
        };
        let before = read(&files());
        assert_eq!(before.changes(&before), Vec::<String>::new());
        let after = |path: &str, text: &str| {
            let mut files = files();
            files.insert(path.into(), text.into());
            before.changes(&read(&files))
        };
        let step =
            |name: &str| format!("[[step]]\nname = \"{name}\"\nuse = \"resource-group@0.1\"\npart = \"vault@1\"\n");
        for (path, text, expected) in [
            (
                "lab/playbook.toml",
                step("store") + &step("rg"),
                &["the steps of lab/playbook.toml come in another order: store, rg"][..],
            ),
            (
                "lab/playbook.toml",
                step("rg") + &step("other"),
                &[
                    "lab/playbook.toml has no step store any more",
                    "lab/playbook.toml has the new step other",
                    "lab/texts/other.md is new",
                ],
            ),
            (
                "lab/playbook.toml",
                step("rg") + &step("store"),
                &["a step of lab/playbook.toml, or what is around the steps, is written otherwise"],
            ),
            ("lab/texts/rg.md", "z".into(), &["lab/texts/rg.md says something else"]),
        ] {
            assert_eq!(after(path, &text), expected, "{text}");
        }
    }

    #[test]
    fn names_that_would_leave_the_folder_are_not_followed() {
        let text = "texts = \"../..\"\n[[step]]\nname = \"../secret\"\npart = \"../../etc@1\"\n";
        let mut asked = Vec::new();
        let bundle = Bundle::gather("lab/playbook.toml", &mut |path| {
            asked.push(path.to_owned());
            path.ends_with("playbook.toml").then(|| text.to_owned())
        });
        assert_eq!((asked, bundle.files.len()), (vec!["lab/playbook.toml".to_owned()], 1));
    }
}
