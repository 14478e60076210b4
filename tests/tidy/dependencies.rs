//! Who may name which crate, and under which licences the dependencies come.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::tree::{demand, root, sources};

/// Our crates, and those of our crates that each may depend on.
const DIRECTIONS: [(&str, &[&str]); 10] = [
    ("sealbook-crypto", &[]),
    ("sealbook-attestation", &["sealbook-crypto"]),
    ("sealbook-model", &["sealbook-crypto"]),
    ("sealbook-azure", &["sealbook-crypto"]),
    ("sealbook-cloud", &["sealbook-attestation", "sealbook-crypto"]),
    ("sealbook-engine", &["sealbook-attestation", "sealbook-azure", "sealbook-crypto", "sealbook-model"]),
    (
        "sealbook-guest",
        &["sealbook-attestation", "sealbook-azure", "sealbook-crypto", "sealbook-engine", "sealbook-model"],
    ),
    (
        "sealbook",
        &[
            "sealbook-attestation",
            "sealbook-azure",
            "sealbook-cloud",
            "sealbook-crypto",
            "sealbook-engine",
            "sealbook-guest",
            "sealbook-model",
        ],
    ),
    ("sealbook-sdk", &[]),
    // A guest of tests/contract.
    ("sealbook-probe", &["sealbook-sdk"]),
];

/// Crates with a single place where they may be named, as folders (a trailing slash) or files.
const PLACES: [(&str, &[&str]); 15] = [
    ("aws_lc_rs", &["engine/crypto/"]),
    ("azure_core", &["engine/azure/"]),
    ("azure_identity", &["engine/azure/"]),
    ("cel", &["engine/model/"]),
    ("clap", &["engine/cli/"]),
    ("dcap_qvl", &["engine/attestation/src/tdx/"]),
    ("indicatif", &["engine/cli/"]),
    ("miette", &["engine/cli/"]),
    ("hyper", &["engine/cloud/src/front/"]),
    ("rusqlite", &["engine/core/src/journal/", "engine/cloud/"]),
    ("toml", &["engine/model/", "engine/cli/"]),
    ("x509_cert", &["engine/attestation/src/x509/"]),
    ("wasmparser", &["engine/core/src/host/"]),
    ("wasmtime", &["engine/core/src/host/"]),
    ("wasmtime_wasi", &["engine/core/src/host/"]),
];

/// Crates that come with the text of a licence instead of its name: how the text begins, and the name.
const TEXTS: [(&str, &str, &str); 1] = [("forust-ml", "Apache License Version 2.0, January 2004", "Apache-2.0")];

/// The licence of a package, by its name or else by its text.
fn licence(package: &Value) -> Option<String> {
    if let Some(name) = package["license"].as_str() {
        return Some(name.into());
    }
    let (_, start, name) = TEXTS.iter().find(|(krate, ..)| package["name"] == *krate)?;
    let folder = std::path::Path::new(package["manifest_path"].as_str()?).parent()?;
    let text = std::fs::read_to_string(folder.join(package["license_file"].as_str()?)).ok()?;
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").starts_with(start).then(|| (*name).into())
}

fn metadata() -> Value {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--all-features"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

/// The ids of the packages that members of the workspace need otherwise than in tests.
fn shipped(metadata: &Value) -> BTreeSet<String> {
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let mut waiting: Vec<&str> =
        metadata["workspace_members"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if !seen.insert(id.to_owned()) {
            continue;
        }
        let node = nodes.iter().find(|node| node["id"] == id).unwrap();
        for dependency in node["deps"].as_array().unwrap() {
            if dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"] != "dev") {
                waiting.push(dependency["pkg"].as_str().unwrap());
            }
        }
    }
    seen
}

#[test]
fn crates_depend_downwards_only() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        if !package["source"].is_null() || name.starts_with("sealbook-plugin-") {
            continue;
        }
        let Some((_, allowed)) = DIRECTIONS.iter().find(|(n, _)| *n == name) else {
            wrong.push(format!("{name} is not in the map"));
            continue;
        };
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = dependency["name"].as_str().unwrap();
            // Tests may judge a crate with another one.
            if to.starts_with("sealbook") && dependency["kind"].is_null() && !allowed.contains(&to) {
                wrong.push(format!("{name} -> {to}"));
            }
        }
    }
    demand("dependencies against the map", &wrong);
}

#[test]
fn plugins_depend_on_the_sdk_alone() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        if name.starts_with("sealbook-plugin-") {
            for dependency in package["dependencies"].as_array().unwrap() {
                let to = dependency["name"].as_str().unwrap();
                if to.starts_with("sealbook") && to != "sealbook-sdk" {
                    wrong.push(format!("{name} -> {to}"));
                }
            }
        }
    }
    demand("plugins that know more than the SDK", &wrong);
}

#[test]
fn crates_are_named_in_their_places_only() {
    let mut wrong = Vec::new();
    for s in sources(&["engine"], &[".rs"]) {
        if s.is_test() {
            continue;
        }
        for (n, line) in s.statements() {
            for (name, places) in PLACES {
                let named = [format!("{name}::"), format!("use {name};"), format!("use {name} as")];
                let at_word = |p: &str| {
                    line.match_indices(p)
                        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "_:\"".contains(c)))
                };
                if named.iter().any(|p| at_word(p)) && !places.iter().any(|p| s.path.starts_with(p)) {
                    wrong.push(format!("{}:{n}: {name} belongs to {}", s.path, places.join(", ")));
                }
            }
        }
    }
    demand("crates named outside their place", &wrong);
}

#[test]
fn licences_are_permissive() {
    let deny: toml::Table = std::fs::read_to_string(root().join("deny.toml")).unwrap().parse().unwrap();
    let allowed: BTreeSet<&str> =
        deny["licenses"]["allow"].as_array().unwrap().iter().map(|l| l.as_str().unwrap()).collect();
    let exceptions: BTreeSet<&str> =
        deny["licenses"]["exceptions"].as_array().unwrap().iter().map(|e| e["crate"].as_str().unwrap()).collect();
    let metadata = metadata();
    let shipped = shipped(&metadata);
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        if exceptions.contains(package["name"].as_str().unwrap()) && !shipped.contains(package["id"].as_str().unwrap())
        {
            continue;
        }
        let name = format!("{} {}", package["name"].as_str().unwrap(), package["version"].as_str().unwrap());
        let Some(text) = licence(package) else {
            wrong.push(format!("{name}: no licence expression"));
            continue;
        };
        match spdx::Expression::parse_mode(&text, spdx::ParseMode::LAX) {
            Ok(e) if e.evaluate(|req| allowed.contains(req.to_string().as_str())) => {}
            Ok(_) => wrong.push(format!("{name}: {text}")),
            Err(e) => wrong.push(format!("{name}: {text}: {e}")),
        }
    }
    demand("dependencies under licences that deny.toml does not allow", &wrong);
}
