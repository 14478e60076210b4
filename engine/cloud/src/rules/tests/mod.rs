//! One test per rule, of its name, in the file of its topic; and the test of the tests.
//!
//! - `SEALBOOK_RULE_OFF=storage_names_are_global cargo test -p sealbook-cloud` does without a rule.
//! - `cargo test -p sealbook-cloud --lib proved_by_its_test -- --nocapture` shows the table of all rules.
//! - `SEALBOOK_RULES_JUDGES=all` before it lets all tests of the crate judge: how many more notice the rule. Minutes.
//! - `SEALBOOK_RULES=write` before it writes docs/rules.md anew.

mod fitting;
mod kit;
mod names;
mod protection;
mod reach;
mod release;
mod vaults;
mod waiting;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

use super::{ALL, Rule, Stated};

const OFF: &str = "SEALBOOK_RULE_OFF";

/// Where the tests of the rules are.
const HERE: &str = "rules::tests::";

/// The rule that this process does without.
pub(super) fn off() -> Option<Rule> {
    static RULE: LazyLock<Option<Rule>> = LazyLock::new(|| {
        let name = std::env::var(OFF).ok()?;
        let stated = ALL.iter().find(|stated| stated.name() == name);
        Some(stated.unwrap_or_else(|| panic!("{OFF} names no rule: {name}")).rule)
    });
    *RULE
}

impl Stated {
    /// The name in the form of a test's name.
    fn name(&self) -> String {
        let mut name = String::new();
        for c in format!("{:?}", self.rule).chars() {
            if (c.is_ascii_uppercase() || c.is_ascii_digit() && !name.ends_with(|last: char| last.is_ascii_digit()))
                && !name.is_empty()
            {
                name.push('_');
            }
            name.push(c.to_ascii_lowercase());
        }
        name
    }

    /// The path of its test.
    fn test(&self) -> String {
        format!("{HERE}{}::{}", self.topic, self.name())
    }
}

/// The outcomes of one run of this very program.
struct Judged {
    passed: BTreeSet<String>,
    failed: BTreeSet<String>,
    /// What the rule's own test saw instead of the refusal.
    instead: String,
}

/// Runs the judging tests without a rule.
fn judge(without: Option<&Stated>, everything: bool) -> Judged {
    let mut program = Command::new(std::env::current_exe().unwrap());
    if !everything {
        program.arg(HERE);
    }
    program.args(["--test-threads=1", "--skip", "each_rule_is_proved_by_its_test_alone"]);
    program.env("RUST_BACKTRACE", "0").env_remove(OFF).env_remove("RUST_TEST_NOCAPTURE");
    if let Some(stated) = without {
        program.env(OFF, stated.name());
    }
    let output = program.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let ended = |word: &str| -> BTreeSet<String> {
        let line = |line: &str| Some(line.strip_prefix("test ")?.split_once(" ... ")?.0.to_owned());
        text.lines().filter(|l| l.ends_with(&format!(" ... {word}"))).filter_map(line).collect()
    };
    let own = without.and_then(|stated| text.split_once(&format!("---- {} stdout ----", stated.test())));
    let left = own.and_then(|(_, report)| report.lines().find_map(|line| line.strip_prefix("  left: ")));
    let judged =
        Judged { passed: ended("ok"), failed: ended("FAILED"), instead: left.unwrap_or_default().replace('"', "") };
    assert!(text.contains("\ntest result: "), "the tests did not end: {text}{output:?}");
    judged
}

/// The tests of rules among some.
fn of_rules(tests: &BTreeSet<String>) -> BTreeSet<&str> {
    let deep = |test: &&str| test.strip_prefix(HERE).is_some_and(|rest| rest.contains("::"));
    tests.iter().map(String::as_str).filter(deep).collect()
}

/// Judges the tests without each rule in turn, two at a time. The first is the run with all rules.
fn judge_all(everything: bool) -> Vec<Judged> {
    let all: Vec<Option<&Stated>> = std::iter::once(None).chain(ALL.iter().map(Some)).collect();
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::SeqCst);
                    let Some(without) = all.get(index) else { break };
                    let judged = judge(*without, everything);
                    done.lock().unwrap().push((index, judged));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, judged)| judged).collect()
}

#[test]
fn each_rule_is_proved_by_its_test_alone() {
    if off().is_some() {
        return;
    }
    let everything = std::env::var("SEALBOOK_RULES_JUDGES").is_ok_and(|judges| judges == "all");
    let judged = judge_all(everything);
    let (with_all, without) = judged.split_first().unwrap();
    let expected: Vec<String> = ALL.iter().map(Stated::test).collect();
    assert_eq!(of_rules(&with_all.failed), BTreeSet::new(), "tests of rules that fail anyway");
    assert_eq!(of_rules(&with_all.passed), expected.iter().map(String::as_str).collect(), "one test per rule");

    let mut table =
        "without                                     its test  the other rules' tests      what it saw\n".to_owned();
    let mut wrong = Vec::new();
    for (stated, judged) in ALL.iter().zip(without) {
        let (test, failed) = (stated.test(), of_rules(&judged.failed));
        let fails = failed.contains(test.as_str());
        let others = failed.len() - usize::from(fails);
        let _ = write!(
            table,
            "{:<43} {:<6} {:>2} of {} pass  {:>2} more fail  instead: {:.40}",
            stated.name(),
            if fails { "fails" } else { "PASSES" },
            of_rules(&judged.passed).len(),
            ALL.len() - 1,
            others,
            judged.instead,
        );
        if everything {
            let beyond = judged.failed.difference(&with_all.failed).count() - failed.len();
            let _ = write!(table, "  {beyond} other tests of the crate notice");
        }
        table.push('\n');
        if failed != BTreeSet::from([test.as_str()]) {
            wrong.push(format!("without {}: {failed:?}", stated.name()));
        }
    }
    println!("{table}");
    assert!(wrong.is_empty(), "{}\n{table}", wrong.join("\n"));
}

/// The page, as the rules say it.
fn page() -> String {
    let mut page = String::from(
        "# Rules\n\nThe rules of Azure that the labs lean on, as the embedded Azure enforces them. Each is asked by one \
         check, and each has a test of its name in `engine/cloud/src/rules/tests` that breaks it, gets the refusal, and \
         shows the legal case next to it. Without the check exactly that test fails, which a test does for all of \
         them:\n\n    cargo test -p sealbook-cloud --lib proved_by_its_test -- --nocapture\n\nWith \
         `SEALBOOK_RULES_JUDGES=all` all tests of the crate judge, and the table says how many more notice. This page \
         comes from `engine/cloud/src/rules.rs`; `SEALBOOK_RULES=write` before `cargo test -p sealbook-cloud --lib \
         the_page` writes it anew.\n\n| rule | Azure answers | test |\n| --- | --- | --- |\n",
    );
    for stated in ALL {
        let says: Vec<&str> = stated.says.iter().map(|line| line.trim()).collect();
        let _ = writeln!(page, "| {} | {} | `{}::{}` |", says.join(" "), stated.answer, stated.topic, stated.name());
    }
    page
}

#[test]
fn the_page_lists_the_rules() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rules.md");
    if std::env::var("SEALBOOK_RULES").is_ok_and(|word| word == "write") {
        std::fs::write(&path, page()).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page(),
        "docs/rules.md is not what engine/cloud/src/rules.rs says: SEALBOOK_RULES=write writes it"
    );
}
