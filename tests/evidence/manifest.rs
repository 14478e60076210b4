//! The manifest: which files there are, who judges them, and what must come of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::judges;
use crate::shared::{repository, shared};

/// One file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its path below the evidence.
    pub path: String,
    /// The module that is responsible, or `none`.
    pub module: String,
    /// What it is; the judges of the module read it accordingly.
    pub kind: Option<String>,
    /// Other files that it is judged with.
    #[serde(default)]
    pub with: Vec<String>,
    /// The instant for which it is judged (RFC 3339, UTC).
    pub at: Option<String>,
    /// What must come of it.
    pub expect: Option<Expect>,
    /// With `refused`: the check that decides.
    pub decides: Option<String>,
    /// Why, where that is not plain.
    pub why: Option<String>,
}

/// What must come of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expect {
    /// It verifies.
    Verified,
    /// It is refused, by the check that `decides`.
    Refused,
    /// It belongs to another file, which names it in its `with`.
    Part,
    /// It is not judged; `why` says the reason.
    Unjudged,
}

#[derive(Deserialize)]
struct Manifest {
    file: Vec<Entry>,
}

/// All entries.
pub fn entries() -> Vec<Entry> {
    let text = std::fs::read_to_string(repository("tests/evidence/manifest.toml")).unwrap();
    toml::from_str::<Manifest>(&text).unwrap().file
}

/// Reads files below the evidence.
pub struct Evidence(PathBuf);

impl Evidence {
    /// The folder, if it is there.
    pub fn open() -> Option<Self> {
        shared("evidence").map(Self)
    }

    pub fn read(&self, path: &str) -> Vec<u8> {
        std::fs::read(self.0.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The files of a folder, by their paths below the evidence.
    pub fn below(&self, folder: &str) -> Vec<String> {
        self.files().into_iter().filter(|path| path.starts_with(&format!("{folder}/"))).collect()
    }

    fn files(&self) -> BTreeSet<String> {
        fn walk(root: &Path, folder: &Path, found: &mut BTreeSet<String>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(root, &path, found);
                } else {
                    found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/"));
                }
            }
        }
        let mut found = BTreeSet::new();
        walk(&self.0, &self.0, &mut found);
        found
    }
}

/// Unix seconds of an instant.
pub fn seconds(at: &str) -> i64 {
    let at: der::DateTime = at.parse().unwrap_or_else(|error| panic!("{at}: {error}"));
    i64::try_from(at.unix_duration().as_secs()).unwrap()
}

#[test]
fn every_file_is_listed_and_every_listed_file_is_there() {
    let Some(evidence) = Evidence::open() else { return };
    let listed: Vec<_> = entries().into_iter().map(|entry| entry.path).collect();
    let unique: BTreeSet<_> = listed.iter().cloned().collect();
    assert_eq!(unique.len(), listed.len(), "a file is listed twice");
    let found = evidence.files();
    let unlisted: Vec<_> = found.difference(&unique).collect();
    let missing: Vec<_> = unique.difference(&found).collect();
    assert!(unlisted.is_empty(), "not in manifest.toml: {unlisted:#?}");
    assert!(missing.is_empty(), "in manifest.toml, but not there: {missing:#?}");
}

#[test]
fn entries_are_complete() {
    let entries = entries();
    let used: BTreeSet<_> = entries.iter().flat_map(|entry| entry.with.iter().cloned()).collect();
    let listed: BTreeSet<_> = entries.iter().map(|entry| entry.path.clone()).collect();
    assert!(used.is_subset(&listed), "{:?}", used.difference(&listed));
    for entry in &entries {
        let name = &entry.path;
        assert!(judges::MODULES.contains(&entry.module.as_str()), "{name}: no module {}", entry.module);
        match entry.expect {
            None => assert!(!judges::JUDGED.contains(&entry.module.as_str()), "{name} expects nothing"),
            Some(Expect::Part) => assert!(used.contains(name), "{name} is a part of nothing"),
            Some(Expect::Unjudged) => assert!(entry.why.is_some(), "{name}: why is it not judged?"),
            Some(Expect::Verified) => assert!(entry.kind.is_some() && entry.at.is_some(), "{name}: what, and when?"),
            Some(Expect::Refused) => {
                assert!(entry.kind.is_some() && entry.at.is_some() && entry.decides.is_some(), "{name}: which check?");
            }
        }
    }
}

#[test]
fn evidence_is_judged_as_the_manifest_says() {
    let Some(evidence) = Evidence::open() else { return };
    let mut wrong = Vec::new();
    let mut counts: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    for entry in entries().iter().filter(|entry| judges::JUDGED.contains(&entry.module.as_str())) {
        let expected = match entry.expect {
            Some(Expect::Verified) => None,
            Some(Expect::Refused) => entry.decides.clone(),
            _ => continue,
        };
        let verdict = judges::judge(entry, &evidence);
        let decided = verdict.deciding();
        if decided.map(|check| check.name.clone()) != expected || verdict.passed() != expected.is_none() {
            wrong.push(format!("{}: expected {expected:?}, got {decided:#?}", entry.path));
        }
        counts.entry(entry.module.clone()).or_default()[usize::from(expected.is_some())] += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let [verified, refused] = counts.values().fold([0, 0], |[a, b], [c, d]| [a + c, b + d]);
    println!("verified {verified}, refused {refused}: {counts:?}");
    let page = std::fs::read_to_string(repository("docs/attestation.md")).unwrap();
    let line = format!("{} files: {verified} verify, {refused} are refused", verified + refused);
    assert!(page.contains(&line), "docs/attestation.md must say: {line}");
}
