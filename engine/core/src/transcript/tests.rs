use std::sync::Arc;

use chrono::{TimeZone, Utc};
use proptest::prelude::*;
use sealbook_attestation::{Outcome, Roots, Verdict};
use sealbook_crypto::{SealKey, SecretBytes};
use sealbook_model::CloudName;
use sealbook_model::expr::{Context, Me};
use sealbook_model::id::{Digest, RunId};
use sealbook_model::journal::{End, Evidence, Goal, Mode, Pinned, Record, RunStarted, StepStarted};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::home::Home;
use crate::journal::{Clock, Gates, Journal, RunVault, chain};

const SECRET: &str = "the word that nobody may read";

fn started(run: &RunId, cloud: CloudName) -> RunStarted {
    let pinned = Pinned { component: Digest::of(b"wasm"), description: Digest::of(b"{}"), built_in: true };
    RunStarted {
        playbook: "demo".into(),
        title: "Demo".into(),
        bundle: Digest::of(b"bundle"),
        plugins: [("thing@0.1".parse().unwrap(), pinned)].into(),
        context: Context {
            run: run.clone(),
            cloud,
            tenant: "t".into(),
            subscription: "s".into(),
            subscription_name: "Lab".into(),
            me: Me { id: "u".into(), name: "learner".into(), kind: "User".into() },
        },
        inputs: [("note".to_owned(), json!("secret:note"))].into(),
        secrets: Default::default(),
        answers: Default::default(),
        mode: Mode::Auto,
        quiet: false,
        source: None,
        policy: Digest::of(b"policy"),
        engine: "0.1.0".into(),
    }
}

/// A step from its beginning to its verdict.
fn a_step(name: &str, outputs: Value) -> [Record; 2] {
    let begun = StepStarted {
        step: name.parse().unwrap(),
        plugin: "thing@0.1".parse().unwrap(),
        inputs: json!({}),
        adopt: false,
        asks: vec![],
        grants: vec![],
        guest: None,
    };
    let evidence = Evidence { check: "it stands".into(), passed: true, detail: "yes".into() };
    let step = name.parse().unwrap();
    [Record::StepStarted(Box::new(begun)), Record::StepSucceeded { step, outputs, evidence: vec![evidence] }]
}

fn attempt(n: u32) -> Record {
    Record::AttemptStarted { attempt: n, goal: Goal::Run, generation: 0, pid: 1 }
}

fn finished() -> Record {
    Record::RunFinished { end: End::Succeeded, outputs: json!({}) }
}

struct Kit {
    _folder: TempDir,
    home: Arc<Home>,
    cloud: CloudName,
}

impl Kit {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Arc::new(Home::open(folder.path()).unwrap());
        Self { _folder: folder, home, cloud: CloudName::Embedded }
    }

    /// Records a run, signed at the end if `sealed`, and writes its transcript.
    fn run(&self, run: &str, records: impl IntoIterator<Item = Record>, sealed: bool) -> Vec<String> {
        let run: RunId = run.parse().unwrap();
        let secrets = [("note".to_owned(), SecretBytes::from(SECRET.as_bytes().to_vec()))].into();
        let vault = RunVault::new(SealKey::generate(), secrets);
        let clock = Clock::new(|| Utc.timestamp_opt(1_700_000_000, 0).unwrap());
        let journal = Journal::create(&self.home, started(&run, self.cloud), vault, clock, Gates::none()).unwrap();
        for record in records {
            journal.record_now(record).unwrap();
        }
        if sealed {
            tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(journal.seal()).unwrap();
        }
        drop(journal);
        let text = Transcript::of(&self.home, &run).unwrap().to_ndjson().unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn whole(&self, run: &str) -> Vec<String> {
        let steps = a_step("a", json!({ "n": 1.1 })).into_iter().chain(a_step("b", json!(null)));
        self.run(run, [attempt(1)].into_iter().chain(steps).chain([finished()]), true)
    }
}

fn judge(lines: &[String], key: Option<&[u8; 32]>) -> Verdict {
    verify((lines.join("\n") + "\n").as_bytes(), key, &Roots::none())
}

/// The names of the checks that failed.
fn failed(verdict: &Verdict) -> Vec<&str> {
    verdict.checks.iter().filter(|c| c.outcome == Outcome::Failed).map(|c| c.name.as_str()).collect()
}

fn outcome(verdict: &Verdict, name: &str) -> Outcome {
    verdict.checks.iter().find(|c| c.name == name).unwrap_or_else(|| panic!("{name} in {verdict:?}")).outcome
}

fn head_of(lines: &[String]) -> Head {
    serde_json::from_str(&lines[0]).unwrap()
}

/// What somebody without the home's key can still do: changes records, then makes the hashes fit again.
fn rehash(lines: &mut [String]) {
    let head = head_of(lines);
    let mut last = chain::genesis(head.journal, &head.home, &head.run);
    let records = usize::try_from(head.records).unwrap();
    for (seq, line) in (1..).zip(&mut lines[1..=records]) {
        let text = line.split_once(FRAME[1]).unwrap().1.strip_suffix('}').unwrap().to_owned();
        last = chain::link(&last, seq, &text);
        *line = format!("{}{}{}{text}}}", FRAME[0], hex::encode(last), FRAME[1]);
    }
}

fn edit_head(lines: &mut [String], edit: impl FnOnce(&mut Head)) {
    let mut head = head_of(lines);
    edit(&mut head);
    lines[0] = serde_json::to_string(&head).unwrap();
}

#[test]
fn what_the_home_recorded_verifies_and_keeps_its_secret() {
    let kit = Kit::new();
    let lines = kit.whole("k3f7qa");
    let verdict = judge(&lines, Some(&kit.home.public()));
    assert!(verdict.passed(), "{verdict:#?}");
    assert!(verdict.checks.iter().all(|c| c.outcome == Outcome::Passed), "{verdict:#?}");
    let names: Vec<_> = verdict.checks.iter().map(|c| c.name.as_str()).collect();
    let all = [
        "transcript.format",
        "transcript.home",
        "transcript.key",
        "chain.records",
        "chain.signatures",
        "run.records",
        "chain.head",
        "run.digests",
    ];
    assert_eq!(names, all);
    assert_eq!((&verdict.facts["status"], &verdict.facts["signed"]), (&json!("succeeded"), &json!(7)));
    // Every line is JSON, and none of them has the secret.
    for line in &lines {
        serde_json::from_str::<Value>(line).unwrap();
    }
    assert!(!lines.concat().contains(SECRET));
    // Without a key nobody has said whose it must be.
    let verdict = judge(&lines, None);
    assert_eq!((verdict.passed(), outcome(&verdict, "transcript.key")), (true, Outcome::NotApplicable));
}

#[test]
fn only_the_embedded_azure_has_roots_of_its_own_and_they_are_named_test_roots() {
    let real = Roots::builtin();
    let root = real.iter().next().unwrap().clone();
    let test = Roots::none().with_test("A WORLD", root.kind, root.certificate, root.intermediates);
    let none = Roots::none();
    let (embedded, azure) = (CloudName::Embedded, CloudName::Azure);
    let (open, bad) = (Some(Outcome::NotApplicable), Some(Outcome::Failed));
    // Where the run was, what the first line brings, what the reader gives; what becomes of the check, and whether a
    // test root is believed.
    let table = [
        (embedded, None, &none, None, false),
        (embedded, None, &test, open, true),
        (embedded, Some(test.to_pem()), &none, open, true),
        (embedded, Some(real.to_pem()), &none, bad, false),
        (embedded, Some(test.clone().and(real.clone()).to_pem()), &none, bad, false),
        (embedded, Some("nothing".into()), &none, bad, false),
        (azure, None, &test, open, false),
        (azure, Some(test.to_pem()), &none, bad, false),
        (azure, Some(test.to_pem()), &test, bad, false),
    ];
    for (n, (cloud, brought, given, expected, believed)) in table.into_iter().enumerate() {
        let kit = Kit { cloud, ..Kit::new() };
        let mut lines = kit.whole("k3f7qa");
        edit_head(&mut lines, |head| head.roots = brought);
        let verdict = verify((lines.join("\n") + "\n").as_bytes(), None, given);
        let check = verdict.checks.iter().find(|c| c.name == "transcript.roots");
        assert_eq!(check.map(|c| c.outcome), expected, "row {n}: {check:?}");
        assert_eq!(verdict.facts.contains_key("test_roots"), believed, "row {n}");
        assert_eq!(verdict.passed(), expected != bad, "row {n}: {verdict:#?}");
        if believed {
            assert!(check.unwrap().detail.contains("TEST roots (A WORLD), which shows nothing about real hardware"));
            assert_eq!(verdict.facts["test_roots"], json!(["A WORLD"]));
        }
    }
}

#[test]
fn roots_are_wanted_for_evidence_of_machines_alone() {
    let wants = |cloud: CloudName, outputs: Value| {
        let kit = Kit { cloud, ..Kit::new() };
        kit.run("k3f7qa", [attempt(1)].into_iter().chain(a_step("a", outputs)).chain([finished()]), true);
        let transcript = Transcript::of(&kit.home, &"k3f7qa".parse().unwrap()).unwrap();
        transcript.wants_test_roots().is_some()
    };
    let machine = json!({ "document": { "type": "azure-guest", "version": 1, "evidence": {} } });
    assert!(wants(CloudName::Embedded, machine.clone()));
    assert!(!wants(CloudName::Azure, machine));
    assert!(!wants(CloudName::Embedded, json!({ "evidence": "verdict/1" })));
}

#[test]
fn a_run_that_goes_on_is_said_to_be_unsigned() {
    let kit = Kit::new();
    let key = kit.home.public();
    let going = kit.run("k3f7qa", [attempt(1)].into_iter().chain(a_step("a", json!({}))), false);
    let verdict = judge(&going, None);
    assert!(verdict.passed(), "{verdict:#?}");
    assert_eq!(outcome(&verdict, "chain.head"), Outcome::NotApplicable);
    assert_eq!(outcome(&verdict, "chain.signatures"), Outcome::NotApplicable);
    // Whoever asks for a signature by a key does not get one.
    assert_eq!(failed(&judge(&going, Some(&key))), ["transcript.key"]);
    // What came after a signature is told apart from what it covers.
    kit.whole("k3f7qb");
    let journal = Journal::open(&kit.home, &"k3f7qb".parse().unwrap(), Clock::default(), Gates::none()).unwrap();
    journal.record_now(Record::HintShown { step: "a".parse().unwrap(), tier: 1 }).unwrap();
    let text = Transcript::of(&kit.home, &"k3f7qb".parse().unwrap()).unwrap().to_ndjson().unwrap();
    let verdict = verify(text.as_bytes(), Some(&key), &Roots::none());
    assert_eq!((failed(&verdict), outcome(&verdict, "chain.head")), (vec![], Outcome::NotApplicable));
    let head = verdict.checks.iter().find(|c| c.name == "chain.head").unwrap();
    assert_eq!(head.detail, "records 8 to 8 came after the last signature: nobody vouches for them yet");
}

#[test]
fn every_attack_is_named() {
    type Attack = fn(&Kit, &mut Vec<String>);
    let kit = Kit::new();
    let whole = kit.whole("k3f7qa");
    // The transcript has a head, seven records and one signature.
    let table: &[(&str, Attack, &[&str])] = &[
        (
            "a changed record",
            |_, t| t[4] = t[4].replace("it stands", "it stood"),
            &["chain.records", "chain.signatures", "chain.head"],
        ),
        (
            "a changed record whose hashes were made to fit",
            |_, t| {
                t[4] = t[4].replace("it stands", "it stood");
                rehash(t);
            },
            &["chain.signatures", "chain.head"],
        ),
        (
            "a changed hash",
            |_, t| {
                let of_another = t[4][..74].to_owned();
                t[3].replace_range(..74, &of_another);
            },
            &["chain.records"],
        ),
        (
            "a record in another's place",
            |_, t| t[3] = t[4].clone(),
            &["chain.records", "chain.signatures", "run.records", "chain.head"],
        ),
        (
            "a removed record",
            |_, t| {
                t.remove(4);
            },
            &["transcript.format"],
        ),
        (
            "a removed record that is not announced",
            |_, t| {
                t.remove(4);
                edit_head(t, |h| h.records -= 1);
            },
            &["chain.records", "chain.signatures", "run.records", "chain.head"],
        ),
        (
            "records in another order",
            |_, t| t.swap(3, 5),
            &["chain.records", "chain.signatures", "run.records", "chain.head"],
        ),
        (
            "records in another order whose hashes were made to fit",
            |_, t| {
                t.swap(3, 5);
                rehash(t);
            },
            &["chain.signatures", "run.records", "chain.head"],
        ),
        (
            "a record twice",
            |_, t| {
                let again = t[4].clone();
                t.insert(5, again);
                edit_head(t, |h| h.records += 1);
            },
            &["chain.records", "chain.signatures", "run.records", "chain.head"],
        ),
        ("truncated", |_, t| t.truncate(6), &["transcript.format"]),
        (
            "truncated in a line",
            |_, t| {
                let half = t[5].len() / 2;
                t[5].truncate(half);
                t.truncate(6);
            },
            &["transcript.format"],
        ),
        (
            "without its signature",
            |_, t| {
                t.pop();
                edit_head(t, |h| h.signatures = 0);
            },
            &["transcript.key", "chain.head"],
        ),
        (
            "without its last record, under its signature",
            |_, t| {
                t.remove(7);
                edit_head(t, |h| h.records -= 1);
            },
            &["chain.signatures", "chain.head"],
        ),
        (
            "a signature by another home",
            |_, t| {
                let foreign = Kit::new().whole("k3f7qa");
                t[8] = foreign[8].clone();
            },
            &["chain.signatures", "chain.head"],
        ),
        (
            "a signature by another home, and its key",
            |_, t| {
                let foreign = Kit::new().whole("k3f7qa");
                t[8] = foreign[8].clone();
                edit_head(t, |h| h.public = head_of(&foreign).public);
            },
            &["transcript.home", "transcript.key", "chain.signatures", "chain.head"],
        ),
        ("another home's whole transcript", |_, t| *t = Kit::new().whole("k3f7qa"), &["transcript.key"]),
        (
            "another run's signature",
            |kit, t| t[8] = kit.whole("other2")[8].clone(),
            &["chain.signatures", "chain.head"],
        ),
        (
            "another run's name",
            |_, t| edit_head(t, |h| h.run = "other2".parse().unwrap()),
            &["chain.records", "chain.signatures", "run.records", "chain.head"],
        ),
        (
            "another run's records, whose hashes were made to fit",
            |kit, t| {
                let other = kit.whole("other3");
                t[1..8].clone_from_slice(&other[1..8]);
                rehash(t);
            },
            &["chain.signatures", "run.records", "chain.head"],
        ),
        (
            "a broken signature",
            |_, t| {
                let last = t[8].len() - 4;
                let digit = if t[8].as_bytes()[last] == b'0' { "1" } else { "0" };
                t[8].replace_range(last..=last, digit);
            },
            &["chain.signatures", "chain.head"],
        ),
        (
            "a signature over no record",
            |_, t| t[8] = t[8].replace("\"seq\":7", "\"seq\":0"),
            &["chain.signatures", "chain.head"],
        ),
        (
            "a signature over a later record",
            |_, t| t[8] = t[8].replace("\"seq\":7", "\"seq\":18446744073709551615"),
            &["chain.signatures", "chain.head"],
        ),
        ("another playbook", |_, t| edit_head(t, |h| h.playbook = Digest::of(b"other")), &["run.digests"]),
        ("another plugin", |_, t| edit_head(t, |h| h.plugins.clear()), &["run.digests"]),
        ("a version from the future", |_, t| edit_head(t, |h| h.format = 2), &["transcript.format"]),
        ("records from the future", |_, t| edit_head(t, |h| h.journal = 9), &["transcript.format"]),
        (
            "a kind of record from the future",
            |_, t| t[2] = t[2].replace("attempt-started", "dream-dreamt"),
            &["transcript.format"],
        ),
        (
            "an unknown field in the head",
            |_, t| t[0] = t[0].replace("\"run\"", "\"more\":1,\"run\""),
            &["transcript.format"],
        ),
        ("a line too many", |_, t| t.push("{}".into()), &["transcript.format"]),
        (
            "a record laid out anew",
            |_, t| t[3] = t[3].replace("\"entry\":", "\"entry\": "),
            &["chain.records", "chain.signatures", "chain.head"],
        ),
        ("not JSON", |_, t| t[3] = "hello".into(), &["transcript.format"]),
        ("nothing", |_, t| t.clear(), &["transcript.format"]),
        (
            "no head",
            |_, t| {
                t.remove(0);
            },
            &["transcript.format"],
        ),
        ("more records than there can be", |_, t| edit_head(t, |h| h.records = u64::MAX), &["transcript.format"]),
    ];
    let key = kit.home.public();
    for (name, attack, expected) in table {
        let mut lines = whole.clone();
        attack(&kit, &mut lines);
        let verdict = judge(&lines, Some(&key));
        assert_eq!(failed(&verdict), *expected, "{name}: {verdict:#?}");
        assert!(!verdict.passed(), "{name}");
    }
    let other = Kit::new().home.public();
    assert_eq!(failed(&judge(&whole, Some(&other))), ["transcript.key"]);
}

#[test]
fn what_does_not_end_is_not_read_to_its_end() {
    let kit = Kit::new();
    let whole = kit.whole("k3f7qa");
    let huge = whole[0].clone() + "\n" + &"x".repeat(usize::try_from(read::LINE_MAX).unwrap() + 1);
    let verdict = verify(huge.as_bytes(), None, &Roots::none());
    assert_eq!(verdict.checks[0].detail, "line 2: a line has at most 16777216 bytes");
    // A stream without an end: refused at the same place.
    let endless = std::io::BufReader::new(std::io::repeat(b'a'));
    assert_eq!(verify(endless, None, &Roots::none()).checks[0].detail, "line 1: a line has at most 16777216 bytes");
    let verdict = verify(&b"\xff\xfe\n"[..], None, &Roots::none());
    assert_eq!(verdict.checks[0].detail, "line 1: it is not UTF-8");
}

#[test]
fn records_that_no_engine_writes_are_no_run() {
    let kit = Kit::new();
    let effect = |step: &str| Record::EffectCompleted {
        step: step.parse().unwrap(),
        generation: 0,
        name: "put".into(),
        outcome: sealbook_model::journal::Outcome {
            result: json!({}),
            ownership: sealbook_model::journal::Ownership::Ours,
        },
    };
    let [begun, done] = a_step("a", json!({}));
    let undone = Record::UndoFinished { generation: 1, complete: true };
    let back = Record::AttemptStarted { attempt: 1, goal: Goal::Undo, generation: 1, pid: 1 };
    let table: Vec<(&str, Vec<Record>)> = vec![
        ("record 2 (step-started): no attempt is at work", vec![begun.clone()]),
        ("record 3 (step-succeeded): its step had not begun", vec![attempt(1), done.clone()]),
        ("record 4 (effect-completed): nobody had recorded the intent", vec![attempt(1), begun.clone(), effect("a")]),
        ("record 2 (attempt-started): attempts are counted one by one", vec![attempt(2)]),
        ("record 4 (step-started): no attempt is at work", vec![attempt(1), finished(), begun.clone()]),
        ("record 3 (undo-finished): no undo had begun", vec![back.clone(), undone]),
        ("record 3 (step-started): the attempt goes back", vec![back, begun]),
        (
            "record 2 (run-started): only the first record begins a run",
            vec![Record::RunStarted(Box::new(started(&"k3f7qa".parse().unwrap(), CloudName::Embedded)))],
        ),
    ];
    for (n, (why, records)) in table.into_iter().enumerate() {
        let id = format!("k3f7q{}", char::from(b'a' + u8::try_from(n).unwrap()));
        let verdict = judge(&kit.run(&id, records, true), None);
        let check = verdict.checks.iter().find(|c| c.name == "run.records").unwrap();
        assert_eq!((check.outcome, check.detail.as_str()), (Outcome::Failed, why));
    }
}

#[test]
fn evidence_in_outputs_is_judged_again() {
    let kit = Kit::new();
    let document = |outcome: &str| {
        json!({ "vm": { "evidence": "verdict/1", "facts": {},
            "checks": [{ "name": "snp.signature", "outcome": outcome, "detail": "by VCEK" }] } })
    };
    for (run, outcome, expected) in
        [("k3f7qa", "passed", vec![]), ("k3f7qb", "failed", vec!["evidence.attest.claimed"])]
    {
        let records = [attempt(1)].into_iter().chain(a_step("attest", document(outcome))).chain([finished()]);
        let verdict = judge(&kit.run(run, records, true), Some(&kit.home.public()));
        assert_eq!(failed(&verdict), expected, "{verdict:#?}");
        // What a step says of itself is no check of this transcript's, by whatever name.
        assert!(!verdict.checks.iter().any(|c| c.name == "evidence.attest.snp.signature"));
        let claim = verdict.checks.iter().find(|c| c.name == "evidence.attest.claimed").unwrap();
        assert_ne!(claim.outcome, Outcome::Passed);
    }
}

proptest! {
    /// Whatever single byte of a transcript changes, it is noticed; whatever stands in a file, nothing panics.
    #[test]
    fn no_changed_byte_goes_unnoticed(at in any::<proptest::sample::Index>(), to in any::<u8>()) {
        use std::sync::LazyLock;
        static WHOLE: LazyLock<(Vec<u8>, [u8; 32])> = LazyLock::new(|| {
            let kit = Kit::new();
            ((kit.whole("k3f7qa").join("\n") + "\n").into_bytes(), kit.home.public())
        });
        let (mut bytes, key) = (WHOLE.0.clone(), WHOLE.1);
        let at = at.index(bytes.len() - 1);
        prop_assume!(bytes[at] != to);
        let was = bytes[at];
        bytes[at] = to;
        // Hex digits may be of either case, which says the same.
        prop_assume!(!was.eq_ignore_ascii_case(&to));
        prop_assert!(!verify(&bytes[..], Some(&key), &Roots::none()).passed(), "byte {} {} -> {}", at, was as char, to as char);
    }

    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(!verify(&bytes[..], None, &Roots::none()).passed());
    }
}

/// Format version 1 as it lies on disk: a change here needs a new version.
#[test]
fn a_transcript_is_written_like_this() {
    let head = Head {
        format: FORMAT,
        journal: 1,
        home: "0011223344556677".into(),
        public: vec![0xab; 4],
        run: "k3f7qa".parse().unwrap(),
        playbook: Digest::of(b"bundle"),
        plugins: [("thing@0.1".parse().unwrap(), Digest::of(b"wasm"))].into(),
        records: 7,
        signatures: 1,
        roots: None,
    };
    insta::assert_snapshot!(serde_json::to_string(&head).unwrap(), @r#"{"sealbook-transcript":1,"journal":1,"home":"0011223344556677","public":"abababab","run":"k3f7qa","playbook":"sha256:1e6ed65d77d6364eeaed5a745ba5c4985ae2b700dd85d7cf7f027bdf294a33fc","plugins":{"thing@0.1":"sha256:336154bf67f765f8f75d16a0accee61b5ee5f6a75b2a2905703df913bd550f3e"},"records":7,"signatures":1}"#);
    let seal = SealLine { seq: 7, hash: vec![1; 2], public: vec![2; 2], signature: vec![3; 2] };
    insta::assert_snapshot!(serde_json::to_string(&seal).unwrap(), @r#"{"seq":7,"hash":"0101","public":"0202","signature":"0303"}"#);
}
