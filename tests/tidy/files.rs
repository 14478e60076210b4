//! Sizes and habits of source files.

use crate::tree::{demand, sources};

/// Lines of code a file may have, tests at its end not counted.
const CAP: usize = 800;
const MEDIAN: usize = 200;

#[test]
fn files_stay_readable() {
    let mut sizes: Vec<(usize, String)> = sources(&["engine", "plugins"], &[".rs"])
        .iter()
        .filter(|s| !s.is_test())
        .map(|s| (s.code().count(), s.path.clone()))
        .collect();
    sizes.sort();
    let large: Vec<_> =
        sizes.iter().filter(|(n, _)| *n > CAP).map(|(n, p)| format!("{p}: {n} lines, the cap is {CAP}")).collect();
    demand("files over the cap", &large);
    let (median, _) = &sizes[sizes.len() / 2];
    assert!(*median <= MEDIAN, "the median file has {median} lines, the norm is {MEDIAN}");
}

#[test]
fn nothing_is_left_unfinished() {
    let words = ["todo!(", "unimplemented!(", concat!("FIX", "ME"), concat!("XX", "X:"), concat!("HA", "CK:")];
    let mut found = Vec::new();
    for s in sources(&["engine", "plugins", "tests"], &[".rs"]) {
        for (n, line) in s.text.lines().enumerate() {
            if words.iter().any(|w| line.contains(w)) && !s.is_below("tests/tidy") {
                found.push(format!("{}:{}: {}", s.path, n + 1, line.trim()));
            }
        }
    }
    demand("unfinished work", &found);
}

#[test]
fn tests_wait_on_conditions_and_none_is_ignored() {
    let mut found = Vec::new();
    for s in sources(&["engine", "plugins", "tests"], &[".rs"]) {
        if s.is_below("tests/tidy") {
            continue;
        }
        let tests_from = if s.is_test() { 0 } else { s.code().count() };
        for (n, line) in s.text.lines().enumerate().skip(tests_from) {
            if line.contains("thread::sleep")
                || line.contains("time::sleep(")
                || line.trim_start().starts_with("#[ignore")
            {
                found.push(format!("{}:{}: {}", s.path, n + 1, line.trim()));
            }
        }
    }
    demand("sleeps or ignored tests", &found);
}

#[test]
fn unsafe_code_has_one_exception() {
    let mut found = Vec::new();
    for s in sources(&["engine", "plugins"], &[".rs"]) {
        for (n, line) in s.statements() {
            if line.contains("unsafe {") || line.contains("allow(unsafe_code") || line.contains("expect(unsafe_code") {
                found.push((s.path.clone(), n));
            }
        }
    }
    let files: std::collections::BTreeSet<_> = found.iter().map(|(p, _)| p.as_str()).collect();
    let expected = ["engine/core/src/host/cache.rs"];
    assert!(files.iter().all(|f| expected.contains(f)), "unsafe code outside the one exception: {found:?}");
}

#[test]
fn clocks_are_read_where_they_are_injected() {
    let places = [
        "engine/azure/src/azure.rs",
        // Its argument `--at` replaces the clock.
        "engine/cli/src/commands/attest.rs",
        // Evidence of Azure itself is judged at the instant of this machine.
        "engine/cli/src/trust.rs",
        "engine/cloud/src/config.rs",
        "engine/cloud/src/front/server.rs",
        "engine/core/src/journal/writer.rs",
    ];
    let mut found = Vec::new();
    for s in sources(&["engine"], &[".rs"]) {
        if s.is_test() || places.contains(&s.path.as_str()) {
            continue;
        }
        for (n, line) in s.statements() {
            if ["Utc::now", "SystemTime::now", "Local::now"].iter().any(|w| line.contains(w)) {
                found.push(format!("{}:{n}: {}", s.path, line.trim()));
            }
        }
    }
    demand("a clock outside the places that tests can replace", &found);
}

#[test]
fn libraries_do_not_read_the_environment_or_print() {
    let mut found = Vec::new();
    let words = [
        "env::var",
        "env::vars",
        "env::temp_dir",
        "env::home_dir",
        "println!",
        "eprintln!",
        "print!(",
        "eprint!(",
        "process::exit",
    ];
    for s in sources(&["engine"], &[".rs"]) {
        if s.is_below("engine/cli") || s.is_test() || s.path.ends_with("build.rs") {
            continue;
        }
        for (n, line) in s.statements() {
            if words.iter().any(|w| line.contains(w)) {
                found.push(format!("{}:{n}: {}", s.path, line.trim()));
            }
        }
    }
    demand("a library that prints, exits or reads the environment", &found);
}
