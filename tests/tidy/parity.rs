//! The parity map, docs/parity.toml: what the embedded Azure offers, by its own operation tables, each with the test
//! that shows it; and the page that is rendered from it.
//!
//! `SEALBOOK_PARITY=write cargo test --workspace --test tidy parity` writes the columns that come from the tables anew,
//! keeps those that are written by hand, and renders docs/parity.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use sealbook_cloud::{Cloud, Offered};
use serde::{Deserialize, Serialize};

use crate::parity_page::page;
use crate::tree::{demand, root, sources};

const FILE: &str = "docs/parity.toml";
const PAGE: &str = "docs/parity.md";

/// Service, namespace of the provider (empty but for Azure Resource Manager), operation id.
pub type Key = (String, String, String);

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Map {
    #[serde(default)]
    pub service: Vec<Service>,
    #[serde(default)]
    pub operation: Vec<Row>,
}

/// What holds of all operations of a service, or of one provider of Azure Resource Manager.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    pub name: String,
    #[serde(default)]
    pub provider: String,
    pub enforces: Vec<String>,
    #[serde(default)]
    pub simplified: Vec<String>,
}

#[derive(Deserialize, Serialize, Clone, Default)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub service: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub provider: String,
    pub name: String,
    pub request: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub versions: Option<String>,
    /// The test in which it works; an operation that is always refused has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub works: String,
    /// The test in which it is refused, where it can be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simplified: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub long_running: bool,
}

impl Row {
    fn key(&self) -> Key {
        (self.service.clone(), self.provider.clone(), self.name.clone())
    }

    /// Whether the operation exists to be refused by its own name.
    fn never_works(&self) -> bool {
        self.works.is_empty() && self.simplified.as_deref().is_some_and(|text| text.starts_with("always refused: "))
    }
}

/// Operations by their keys; several paths may share one.
fn offered() -> BTreeMap<Key, Vec<Offered>> {
    let mut all: BTreeMap<_, Vec<Offered>> = BTreeMap::new();
    for offered in Cloud::operations() {
        let provider = offered.provider.unwrap_or_default().to_owned();
        all.entry((offered.service.to_owned(), provider, offered.name.to_owned())).or_default().push(offered);
    }
    all
}

/// A row of today's tables, with what was written by hand.
fn row(all: &[Offered], hand: Row) -> Row {
    let first = &all[0];
    let request = |o: &Offered| {
        let when: Vec<String> = o.when.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let query = if when.is_empty() { String::new() } else { format!("?{}", when.join("&")) };
        format!("{} {}{query}", o.method, o.path)
    };
    let mut requests: Vec<String> = all.iter().map(request).collect();
    requests.dedup();
    let versions = match first.versions {
        [] => None,
        [only] => Some((*only).to_owned()),
        [newest, .., oldest] => {
            let (oldest, newest) = (oldest.min(newest), newest.max(oldest));
            Some(format!("{} of them, {oldest} to {newest}", first.versions.len()))
        }
    };
    Row {
        service: first.service.to_owned(),
        provider: first.provider.unwrap_or_default().to_owned(),
        name: first.name.to_owned(),
        request: requests.join(", "),
        requires: first.action.map(str::to_owned),
        versions,
        long_running: first.long_running,
        ..hand
    }
}

/// Holds a file against what it ought to be, or writes it so.
fn settle(file: &str, wanted: &str) {
    let path = root().join(file);
    if std::env::var_os("SEALBOOK_PARITY").is_some_and(|v| v == "write") {
        fs::write(&path, wanted).unwrap();
    } else {
        assert!(
            fs::read_to_string(&path).unwrap_or_default() == wanted,
            "{file} does not say what the tables say: SEALBOOK_PARITY=write cargo test --workspace --test tidy parity"
        );
    }
}

#[test]
fn the_parity_map_is_complete_and_proved() {
    let text = fs::read_to_string(root().join(FILE)).unwrap_or_default();
    let map: Map = toml::from_str(&text).unwrap_or_else(|e| panic!("{FILE}: {e}"));
    let by_hand: BTreeMap<Key, Row> = map.operation.iter().map(|r| (r.key(), r.clone())).collect();
    let rows: Vec<Row> =
        offered().iter().map(|(key, all)| row(all, by_hand.get(key).cloned().unwrap_or_default())).collect();
    let head = text.split("\n[[operation]]").next().unwrap_or_default().trim_end().to_owned() + "\n";
    let tables = rows.iter().map(|row| format!("\n[[operation]]\n{}", toml::to_string(row).unwrap()));
    settle(FILE, &std::iter::once(head).chain(tables).collect::<String>());
    settle(PAGE, &page(&map.service, &rows));

    let tests = sources(&["engine/cloud", "tests"], &[".rs", ".py"]);
    let exists = |name: &str| match name.rsplit_once("::") {
        Some((module, test)) => {
            let file = format!("engine/cloud/src/{}", module.replace("::", "/"));
            let files = [format!("{file}.rs"), format!("{file}/mod.rs")];
            // A module of tests may stand at the end of the file that it tests.
            let outer =
                module.rsplit_once("::").map(|(outer, _)| format!("engine/cloud/src/{}", outer.replace("::", "/")));
            let outer = outer.map(|o| [format!("{o}.rs"), format!("{o}/mod.rs")]);
            tests.iter().any(|source| {
                let here = files.iter().chain(outer.iter().flatten()).any(|file| source.path.ends_with(file));
                here && source.text.contains(&format!("fn {test}("))
            })
        }
        None => tests.iter().any(|source| source.text.contains(&format!("@check(\"{name}\""))),
    };
    let proved = |row: &Row| {
        let refused = row.refused.as_deref();
        let works = exists(&row.works) || (row.never_works() && refused.is_some());
        works && refused.is_none_or(exists)
    };
    let unproved: Vec<String> = rows
        .iter()
        .filter(|row| !proved(row))
        .map(|row| {
            let Row { service, provider, name, works, refused, .. } = row;
            format!("{service} {provider} {name}: works = {works:?}, refused = {refused:?}")
        })
        .collect();
    demand("operations without a test that shows them", &unproved);

    let described = |row: &Row| {
        map.service.iter().any(|s| (&s.name, &s.provider) == (&row.service, &row.provider) && !s.enforces.is_empty())
    };
    let silent: BTreeSet<String> =
        rows.iter().filter(|row| !described(row)).map(|row| format!("{} {}", row.service, row.provider)).collect();
    demand("services without a word on what they enforce", &silent.into_iter().collect::<Vec<_>>());
}
