//! The parity map, docs/parity.toml: what the embedded Azure offers, by its own operation tables, each with the test
//! that shows it.
//!
//! `SEALBOOK_PARITY=write cargo test --workspace --test tidy parity` writes the columns that come from the tables anew
//! and keeps those that are written by hand.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use sealbook_cloud::{Cloud, Offered};
use serde::Deserialize;

use crate::tree::{demand, root, sources};

const FILE: &str = "docs/parity.toml";

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Map {
    #[serde(default)]
    service: Vec<Service>,
    #[serde(default)]
    operation: Vec<Row>,
}

/// What holds of all operations of a service.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    name: String,
    enforces: Vec<String>,
    #[serde(default)]
    #[expect(dead_code, reason = "for readers")]
    simplified: Vec<String>,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct Row {
    service: String,
    name: String,
    #[expect(dead_code, reason = "comes from the tables")]
    request: String,
    #[expect(dead_code, reason = "comes from the tables")]
    requires: Option<String>,
    #[expect(dead_code, reason = "comes from the tables")]
    versions: Option<String>,
    #[expect(dead_code, reason = "comes from the tables")]
    long_running: Option<bool>,
    /// The test in which it works.
    #[serde(default)]
    works: String,
    /// The test in which it is refused, where it can be.
    refused: Option<String>,
    simplified: Option<String>,
}

/// Operations by service and name; several paths may share a name.
fn offered() -> BTreeMap<(String, String), Vec<Offered>> {
    let mut all: BTreeMap<_, Vec<Offered>> = BTreeMap::new();
    for offered in Cloud::operations() {
        all.entry((offered.service.to_owned(), offered.name.to_owned())).or_default().push(offered);
    }
    all
}

fn row(all: &[Offered], hand: &Row) -> String {
    let first = &all[0];
    let request = |o: &Offered| {
        let when: Vec<String> = o.when.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let query = if when.is_empty() { String::new() } else { format!("?{}", when.join("&")) };
        format!("{} {}{query}", o.method, o.path)
    };
    let mut requests: Vec<String> = all.iter().map(request).collect();
    requests.dedup();
    let requests = requests.join(", ");
    let versions = match first.versions {
        [] => None,
        [only] => Some((*only).to_owned()),
        [newest, .., oldest] => {
            let (oldest, newest) = (oldest.min(newest), newest.max(oldest));
            Some(format!("{} of them, {oldest} to {newest}", first.versions.len()))
        }
    };
    let columns = [
        ("service", Some(first.service)),
        ("name", Some(first.name)),
        ("request", Some(requests.as_str())),
        ("requires", first.action),
        ("versions", versions.as_deref()),
        ("works", Some(&hand.works)),
        ("refused", hand.refused.as_deref()),
        ("simplified", hand.simplified.as_deref()),
    ];
    let mut out = String::from("\n[[operation]]\n");
    for (key, value) in columns {
        if let Some(value) = value {
            let _ = writeln!(out, "{key} = {}", toml::Value::from(value));
        }
    }
    if first.long_running {
        out.push_str("long_running = true\n");
    }
    out
}

#[test]
fn the_parity_map_is_complete_and_proved() {
    let path = root().join(FILE);
    let text = fs::read_to_string(&path).unwrap_or_default();
    let map: Map = toml::from_str(&text).unwrap_or_else(|e| panic!("{FILE}: {e}"));
    let by_hand: BTreeMap<(String, String), Row> =
        map.operation.iter().map(|r| ((r.service.clone(), r.name.clone()), r.clone())).collect();
    let offered = offered();
    let head: String = text.split("\n[[operation]]").next().unwrap_or_default().trim_end().to_owned() + "\n";
    let nothing = |(service, name): &(String, String)| Row {
        service: service.clone(),
        name: name.clone(),
        request: String::new(),
        requires: None,
        versions: None,
        long_running: None,
        works: String::new(),
        refused: None,
        simplified: None,
    };
    let rows = offered.iter().map(|(key, all)| row(all, &by_hand.get(key).cloned().unwrap_or_else(|| nothing(key))));
    let wanted: String = std::iter::once(head).chain(rows).collect();
    if std::env::var_os("SEALBOOK_PARITY").is_some_and(|v| v == "write") {
        fs::write(&path, &wanted).unwrap();
    } else {
        assert!(
            text == wanted,
            "{FILE} does not say what the tables say: SEALBOOK_PARITY=write cargo test --workspace --test tidy parity"
        );
    }

    let tests: String = sources(&["engine/cloud", "tests"], &[".rs", ".py"]).into_iter().map(|s| s.text).collect();
    let exists = |name: &str| {
        let own = name.rsplit("::").next().unwrap_or_default();
        !own.is_empty() && (tests.contains(&format!("fn {own}(")) || tests.contains(&format!("@check(\"{name}")))
    };
    let mut unproved = Vec::new();
    for key in offered.keys() {
        let hand = by_hand.get(key).cloned().unwrap_or_else(|| nothing(key));
        if !exists(&hand.works) || hand.refused.as_deref().is_some_and(|name| !exists(name)) {
            unproved.push(format!("{} {}: works = {:?}, refused = {:?}", key.0, key.1, hand.works, hand.refused));
        }
    }
    demand("operations without a test that shows them", &unproved);

    let described: Vec<&str> = map.service.iter().filter(|s| !s.enforces.is_empty()).map(|s| s.name.as_str()).collect();
    let silent: Vec<String> =
        offered.keys().map(|(s, _)| s.clone()).filter(|s| !described.contains(&s.as_str())).collect();
    demand("services without a word on what they enforce", &silent);
}
