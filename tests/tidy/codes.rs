//! Every problem code has a page, and every page a code.

use std::collections::BTreeSet;

use crate::tree::{demand, sources};

/// The codes (`SB` and four digits) in a text.
fn codes(text: &str) -> BTreeSet<String> {
    text.match_indices("SB")
        .filter_map(|(at, _)| text.get(at..at + 6))
        .filter(|c| c[2..].bytes().all(|b| b.is_ascii_digit()))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let pages: BTreeSet<String> = sources(&["docs/errors"], &[".md"])
        .iter()
        .filter_map(|s| s.path.rsplit('/').next()?.strip_suffix(".md").map(str::to_owned))
        .filter(|n| n.starts_with("SB"))
        .collect();
    let mut used = BTreeSet::new();
    for s in sources(&["engine"], &[".rs"]) {
        if !s.is_test() {
            for (_, line) in s.statements() {
                used.extend(codes(line));
            }
        }
    }
    demand("codes without a page in docs/errors", &used.difference(&pages).cloned().collect::<Vec<_>>());
    demand("pages for codes that nothing uses", &pages.difference(&used).cloned().collect::<Vec<_>>());
}

#[test]
fn every_code_of_the_table_is_used() {
    // A code's constant, as the table names it, must occur outside the table.
    let all = sources(&["engine"], &[".rs"]);
    let table = all.iter().find(|s| s.path.ends_with("model/src/codes.rs")).unwrap();
    let names = table.text.lines().filter_map(|l| Some(l.trim().split_once(" = \"SB")?.0.to_owned()));
    let text: String = all.iter().filter(|s| s.path != table.path).map(|s| s.text.as_str()).collect();
    let unused: Vec<_> =
        names.filter(|n| !text.contains(&format!("codes::{n}")) && !text.contains(&format!("code::{n}"))).collect();
    demand("codes that nothing reports", &unused);
}

#[test]
fn pages_say_what_and_what_to_do() {
    let mut thin = Vec::new();
    for s in sources(&["docs/errors"], &[".md"]) {
        if s.path.contains("/SB") && !["## What happened", "## What to do"].iter().all(|h| s.text.contains(h)) {
            thin.push(s.path);
        }
    }
    demand("pages without `## What happened` and `## What to do`", &thin);
}
