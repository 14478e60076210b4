use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use chrono::{TimeZone, Utc};
use rusqlite::{Connection, params};
use sealbook_crypto::{SealKey, SecretBytes};
use sealbook_model::CloudName;
use sealbook_model::expr::{Context, Me};
use sealbook_model::id::{Digest, RunId};
use sealbook_model::journal::{Mode, Record, RunStarted};
use sealbook_model::problem::{Problem, codes};
use tempfile::TempDir;

use super::*;
use crate::home::Home;

/// A home with one run of a few records.
struct Kit {
    folder: TempDir,
    home: Arc<Home>,
    run: RunId,
}

fn run_id(text: &str) -> RunId {
    text.parse().unwrap()
}

fn clock() -> Clock {
    Clock::new(|| Utc.timestamp_opt(1_700_000_000, 0).unwrap())
}

fn started(run: &RunId) -> RunStarted {
    RunStarted {
        playbook: "demo".into(),
        title: "Demo".into(),
        bundle: Digest::of(b"bundle"),
        plugins: BTreeMap::new(),
        context: Context {
            run: run.clone(),
            cloud: CloudName::Embedded,
            tenant: "t".into(),
            subscription: "s".into(),
            subscription_name: "Lab".into(),
            me: Me { id: "u".into(), name: "learner".into(), kind: "User".into() },
        },
        inputs: BTreeMap::new(),
        secrets: BTreeMap::new(),
        answers: BTreeMap::new(),
        mode: Mode::Auto,
        quiet: false,
        source: None,
        policy: Digest::of(b"policy"),
        engine: "0.1.0".into(),
    }
}

fn hint(tier: u32) -> Record {
    Record::HintShown { step: "rg".parse().unwrap(), tier }
}

impl Kit {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Arc::new(Home::open(folder.path()).unwrap());
        let kit = Self { folder, home, run: run_id("k3f7qa") };
        let journal = kit.create(&kit.run).unwrap();
        for tier in 1..=4 {
            journal.record_now(hint(tier)).unwrap();
        }
        kit
    }

    fn create(&self, run: &RunId) -> Result<Journal, Problem> {
        let secrets = BTreeMap::from([("note".to_owned(), SecretBytes::from(b"only my key".to_vec()))]);
        let vault = RunVault::new(SealKey::generate(), secrets);
        Journal::create(&self.home, started(run), vault, clock(), Gates::none())
    }

    fn open(&self) -> Result<Journal, Problem> {
        Journal::open(&self.home, &self.run, clock(), Gates::none())
    }

    fn look(&self) -> Result<Journal, Problem> {
        Journal::look(&self.home, &self.run, clock())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("runs").join(name)
    }

    fn db(&self) -> PathBuf {
        self.file("k3f7qa.db")
    }

    /// Changes the journal behind its back, as whoever can write the file can.
    fn sql(&self, statement: &str) {
        let connection = Connection::open(self.db()).unwrap();
        connection.execute_batch(statement).unwrap();
    }

    /// Both ways in must refuse, by the same code, and leave the file as it is.
    fn refused(&self, what: &str) -> Problem {
        let before = fs::read(self.db()).unwrap();
        let problem = self.look().expect_err(what);
        assert_eq!(self.open().expect_err(what).code, problem.code, "{what}");
        assert_eq!(fs::read(self.db()).unwrap(), before, "{what}: a refused journal is left alone");
        problem
    }
}

#[test]
fn what_was_recorded_is_there_again() {
    let kit = Kit::new();
    for journal in [kit.look().unwrap(), kit.open().unwrap()] {
        assert_eq!(journal.with(|state| (state.records, state.steps[&"rg".parse().unwrap()].hints)), (5, 4));
        assert_eq!(journal.vault().secret("note").unwrap().expose(), b"only my key");
        assert!(journal.vault().secret("other").is_none());
    }
    let journal = kit.open().unwrap();
    journal.record_now(hint(5)).unwrap();
    drop(journal);
    assert_eq!(kit.open().unwrap().with(|state| state.records), 6);
}

/// A home with a run as version 1 of the format wrote it. Newer programs must go on reading it.
fn fixture() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/journal/fixtures/format-1"))
}

#[test]
fn journals_of_format_1_are_read() {
    if !fixture().exists() {
        write_the_fixture();
        panic!("the fixture was missing: look at what was written to {}, and commit it", fixture().display());
    }
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    fs::create_dir_all(&runs).unwrap();
    // Written anew and not copied: what a checkout gives is readable by others.
    crate::files::write_atomic(&folder.path().join("home.key"), &fs::read(fixture().join("home.key")).unwrap())
        .unwrap();
    crate::files::write_atomic(&runs.join("k3f7qa.db"), &fs::read(fixture().join("k3f7qa.db")).unwrap()).unwrap();
    let home = Arc::new(Home::open(folder.path()).unwrap());
    let run = run_id("k3f7qa");
    for journal in
        [Journal::look(&home, &run, clock()).unwrap(), Journal::open(&home, &run, clock(), Gates::none()).unwrap()]
    {
        assert_eq!(journal.with(|state| (state.records, state.steps[&"rg".parse().unwrap()].hints)), (5, 4));
        assert_eq!(journal.vault().secret("note").unwrap().expose(), b"only my key");
    }
}

/// A new version of the format writes its fixture once; an old one's is never written again.
fn write_the_fixture() {
    let kit = Kit::new();
    kit.sql("PRAGMA journal_mode = delete");
    fs::create_dir_all(fixture()).unwrap();
    fs::copy(kit.folder.path().join("home.key"), fixture().join("home.key")).unwrap();
    fs::copy(kit.db(), fixture().join("k3f7qa.db")).unwrap();
}

#[test]
fn a_journal_can_be_read_while_it_is_written() {
    let kit = Kit::new();
    let journal = kit.open().unwrap();
    journal.record_now(hint(5)).unwrap();
    let other = kit.look().unwrap();
    assert_eq!(other.with(|state| state.records), 6);
    assert_eq!(other.record_now(hint(6)).unwrap_err().code, codes::JOURNAL_WRITE);
    journal.record_now(hint(6)).unwrap();
    assert_eq!(kit.look().unwrap().with(|state| state.records), 7);
}

#[test]
fn a_second_holder_is_refused_by_name_and_the_right_ends_with_its_holder() {
    let kit = Kit::new();
    assert_eq!(holder(&kit.home, &kit.run).unwrap(), None);
    let journal = kit.open().unwrap();
    assert_eq!(holder(&kit.home, &kit.run).unwrap(), Some(std::process::id()));
    let problem = kit.open().unwrap_err();
    assert_eq!(problem.code, codes::RUN_LOCKED);
    assert!(problem.what.contains(&format!("process {}", std::process::id())), "{problem}");
    drop(journal);
    assert_eq!(holder(&kit.home, &kit.run).unwrap(), None);
    kit.open().unwrap();
}

#[test]
fn rows_that_were_changed_are_refused() {
    let rows = [
        (
            "a record's text",
            "UPDATE record SET json = replace(json, '\"tier\":2', '\"tier\":3') WHERE seq = 3",
            "record 3",
        ),
        ("a record's hash", "UPDATE record SET hash = zeroblob(32) WHERE seq = 3", "record 3"),
        ("the link between records", "UPDATE record SET prev = zeroblob(32) WHERE seq = 4", "record 4"),
        ("the first record", "UPDATE record SET json = replace(json, 'Demo', 'Demi') WHERE seq = 1", "record 1"),
        ("a hole", "DELETE FROM record WHERE seq = 2", "record 2"),
        ("the last records cut", "DELETE FROM record WHERE seq > 3", "ends with record 3"),
        ("all records cut", "DELETE FROM record", "no records"),
        (
            "two records swapped",
            "UPDATE record SET seq = 99 WHERE seq = 2; UPDATE record SET seq = 2 WHERE seq = 3;
             UPDATE record SET seq = 3 WHERE seq = 99",
            "record 2",
        ),
        ("the head moved back", "DELETE FROM record WHERE seq = 5; UPDATE head SET seq = 4", "ends with record 4"),
        ("the head's proof", "UPDATE head SET mac = zeroblob(32)", "ends with record 5"),
        ("no head", "DELETE FROM head", ""),
        ("no header", "DELETE FROM header", ""),
        ("no table", "DROP TABLE record", ""),
        ("the mark of a journal", "PRAGMA application_id = 7", "not a journal"),
        ("the run's key", "UPDATE header SET key = zeroblob(60)", "key does not open"),
    ];
    for (what, statement, why) in rows {
        let kit = Kit::new();
        kit.sql(statement);
        let problem = kit.refused(what);
        assert_eq!(problem.code, codes::JOURNAL_DAMAGED, "{what}: {problem}");
        assert!(problem.why.iter().any(|line| line.contains(why)), "{what}: {problem}");
    }
}

#[test]
fn records_of_the_right_shape_from_another_hand_are_refused() {
    // Whoever knows the format can rebuild the chain; the home's proof over its end can't be made without its key.
    let kit = Kit::new();
    {
        let connection = Connection::open(kit.db()).unwrap();
        let (json, prev): (String, chain::Link) = connection
            .query_row("SELECT json, prev FROM record WHERE seq = 5", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        let json = json.replace("\"tier\":4", "\"tier\":9");
        let hash = chain::link(&prev, 5, &json);
        connection.execute("UPDATE record SET json = ?1, hash = ?2 WHERE seq = 5", params![json, hash]).unwrap();
        connection.execute("UPDATE head SET hash = ?1", params![hash]).unwrap();
    }
    assert_eq!(kit.refused("a rebuilt chain").code, codes::JOURNAL_DAMAGED);
}

#[test]
fn newer_formats_and_records_are_refused_by_name() {
    let kit = Kit::new();
    kit.sql("PRAGMA user_version = 2");
    let problem = kit.refused("a newer format");
    assert_eq!(problem.code, codes::JOURNAL_NEWER);
    assert_eq!(problem.why, ["its format is 2; this Sealbook reads 1"]);

    // A record of a kind that does not exist yet, properly chained by a newer program of the same home.
    let kit = Kit::new();
    {
        let connection = Connection::open(kit.db()).unwrap();
        let last: chain::Link = connection.query_row("SELECT hash FROM head", [], |row| row.get(0)).unwrap();
        let json = r#"{"seq":6,"at":"2023-11-14T22:13:20Z","record":{"run-teleported":{}}}"#;
        let hash = chain::link(&last, 6, json);
        let tag = chain::mac(&kit.home.derive("sealbook journal heads"), &kit.run, 6, &hash);
        connection.execute("INSERT INTO record VALUES (6, ?1, ?2, ?3)", params![json, last, hash]).unwrap();
        connection.execute("UPDATE head SET seq = 6, hash = ?1, mac = ?2", params![hash, tag]).unwrap();
    }
    let problem = kit.refused("a newer record");
    assert_eq!(problem.code, codes::JOURNAL_NEWER);
    assert!(problem.why[0].contains("record 6") && problem.why[0].contains("run-teleported"), "{problem}");
}

#[test]
fn journals_of_other_homes_and_other_runs_are_refused_by_name() {
    let (kit, other) = (Kit::new(), Kit::new());
    fs::copy(other.db(), kit.db()).unwrap();
    let problem = kit.refused("another home's");
    assert_eq!(problem.code, codes::JOURNAL_FOREIGN);
    assert!(problem.why[0].contains(other.home.id()), "{problem}");
    // Its name alone does not make it ours.
    kit.sql(&format!("UPDATE header SET home = '{}'", kit.home.id()));
    assert_eq!(kit.refused("another home's, renamed").code, codes::JOURNAL_DAMAGED);

    let kit = Kit::new();
    let second = run_id("aaaaaa");
    drop(kit.create(&second).unwrap());
    fs::copy(kit.file("aaaaaa.db"), kit.db()).unwrap();
    let problem = kit.refused("another run's");
    assert_eq!((problem.code, problem.why[0].contains("aaaaaa")), (codes::JOURNAL_DAMAGED, true), "{problem}");
}

#[test]
fn truncated_files_are_refused_and_never_start_afresh() {
    let kit = Kit::new();
    let whole = fs::read(kit.db()).unwrap();
    for length in [0, 1, 15, 16, 99, 100, 512, 1000, 4096, 8192, whole.len() - 4096] {
        fs::write(kit.db(), &whole[..length]).unwrap();
        assert_eq!(kit.refused(&format!("{length} bytes")).code, codes::JOURNAL_DAMAGED);
    }
    fs::write(kit.db(), &whole).unwrap();
    kit.open().unwrap();
    fs::remove_file(kit.db()).unwrap();
    assert_eq!(kit.open().unwrap_err().code, codes::UNKNOWN_RUN);
    assert_eq!(kit.look().unwrap_err().code, codes::UNKNOWN_RUN);
    assert!(!kit.db().exists());
}

#[test]
fn no_flipped_bit_changes_what_is_read() {
    let kit = Kit::new();
    let whole = fs::read(kit.db()).unwrap();
    let good = kit.look().unwrap().with(Clone::clone);
    let mut refused = 0;
    // Every 61st byte: each region of each page gets its share, and the test stays quick.
    for (at, bit) in (0..whole.len()).step_by(61).zip((0..8).cycle()) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << bit;
        fs::write(kit.db(), &bytes).unwrap();
        match kit.look() {
            Ok(journal) => assert_eq!(journal.with(Clone::clone), good, "byte {at}, bit {bit}"),
            Err(problem) => {
                refused += 1;
                let by_name = [codes::JOURNAL_DAMAGED, codes::JOURNAL_NEWER, codes::JOURNAL_FOREIGN];
                assert!(by_name.contains(&problem.code), "byte {at}, bit {bit}: {problem}");
            }
        }
    }
    assert!(refused > 10, "{refused}");
}

#[test]
fn a_lost_write_ahead_log_is_noticed() {
    let kit = Kit::new();
    let copy = fs::read(kit.db()).unwrap();
    let journal = kit.open().unwrap();
    journal.record_now(hint(5)).unwrap();
    journal.record_now(hint(6)).unwrap();
    drop(journal);
    // The file as a backup has it that forgot the log: in good order, but two acknowledged records short.
    fs::write(kit.db(), copy).unwrap();
    let problem = kit.refused("a lost log");
    assert_eq!(problem.code, codes::JOURNAL_DAMAGED);
    assert_eq!(problem.why, ["it ends with record 5, but record 7 had been written"]);
}

#[tokio::test]
async fn a_sealed_head_must_verify() {
    let rows = [
        ("intact", "", true),
        ("its signature", "UPDATE seal SET signature = zeroblob(64)", false),
        ("its key", "UPDATE seal SET public = zeroblob(32)", false),
        ("its hash", "UPDATE seal SET hash = zeroblob(32)", false),
        ("its place", "UPDATE seal SET seq = 4", false),
        ("a place before the first record", "UPDATE seal SET seq = -1", false),
    ];
    for (what, statement, good) in rows {
        let kit = Kit::new();
        kit.open().unwrap().seal().await.unwrap();
        kit.sql(statement);
        if good {
            let journal = kit.open().unwrap();
            journal.record_now(hint(5)).unwrap();
            journal.seal().await.unwrap();
        } else {
            let problem = kit.refused(what);
            assert!(problem.why[0].contains("signature over its records"), "{what}: {problem}");
        }
    }
}

#[test]
fn a_failed_write_stops_the_journal_and_loses_nothing() {
    let kit = Kit::new();
    let journal = kit.open().unwrap();
    // A trigger stands in for a disk that is full: SQLite refuses the row and rolls back.
    kit.sql("CREATE TRIGGER full BEFORE INSERT ON record WHEN new.seq = 7 BEGIN SELECT raise(ABORT, 'disk full'); END");
    journal.record_now(hint(5)).unwrap();
    let problem = journal.record_now(hint(6)).unwrap_err();
    assert_eq!((problem.code, problem.why[0].as_str()), (codes::JOURNAL_WRITE, "disk full"));
    kit.sql("DROP TRIGGER full");
    // It stays stopped: what came of the write is known only after opening it again.
    assert_eq!(journal.record_now(hint(7)).unwrap_err().code, codes::JOURNAL_WRITE);
    assert!(journal.broken().is_some());
    drop(journal);
    let journal = kit.open().unwrap();
    assert_eq!(journal.with(|state| state.records), 6);
    journal.record_now(hint(6)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn effects_that_end_at_once_are_recorded_one_after_the_other() {
    let kit = Kit::new();
    let journal = kit.open().unwrap();
    let tasks: Vec<_> = (0..40)
        .map(|tier| {
            let journal = journal.clone();
            tokio::spawn(async move { journal.record(hint(tier)).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    drop(journal);
    assert_eq!(kit.open().unwrap().with(|state| state.records), 45);
}

#[tokio::test]
async fn a_record_that_nobody_waits_for_any_more_is_written_all_the_same() {
    let kit = Kit::new();
    let journal = kit.open().unwrap();
    tokio::select! {
        biased;
        result = journal.record(hint(9)) => panic!("written within one poll: {result:?}"),
        () = std::future::ready(()) => {}
    }
    while journal.with(|state| state.records) < 6 {
        tokio::task::yield_now().await;
    }
    drop(journal);
    assert_eq!(kit.open().unwrap().with(|state| state.records), 6);
}

#[test]
fn a_second_writer_is_noticed() {
    let kit = Kit::new();
    let journal = kit.open().unwrap();
    kit.sql("UPDATE head SET seq = 6");
    let problem = journal.record_now(hint(5)).unwrap_err();
    assert_eq!(problem.why, ["something else has written into it"]);
}

#[test]
fn a_run_that_was_killed_while_it_was_made_leaves_nothing() {
    let kit = Kit::new();
    let run = run_id("bbbbbb");
    fs::write(kit.file(".bbbbbb.new"), b"half a journal").unwrap();
    assert_eq!(Journal::look(&kit.home, &run, clock()).unwrap_err().code, codes::UNKNOWN_RUN);
    drop(kit.create(&run).unwrap());
    assert_eq!(Journal::look(&kit.home, &run, clock()).unwrap().with(|state| state.records), 1);
    assert!(!kit.file(".bbbbbb.new").exists());
    assert_eq!(kit.create(&run).unwrap_err().code, codes::JOURNAL_WRITE, "a run is never overwritten");
}

#[test]
fn destroying_a_run_takes_its_key_with_it() {
    let kit = Kit::new();
    let key = kit.open().unwrap().vault().key().expose().to_vec();
    let held = kit.open().unwrap();
    assert_eq!(SqliteStore::destroy(&kit.home, &kit.run).unwrap_err().code, codes::RUN_LOCKED);
    drop(held);
    SqliteStore::destroy(&kit.home, &kit.run).unwrap();
    let left: Vec<_> = fs::read_dir(kit.file("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(key.len(), 32);
}

#[cfg(unix)]
#[test]
fn journals_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let kit = Kit::new();
    let journal = kit.open().unwrap();
    journal.record_now(hint(5)).unwrap();
    for entry in fs::read_dir(kit.file("")).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
    }
}

#[test]
fn gates_are_passed_before_and_after_each_record() {
    let kit = Kit::new();
    let passed = Arc::new(Mutex::new(Vec::new()));
    let gates = {
        let passed = passed.clone();
        Gates::new(move |gate| passed.lock().unwrap().push(gate.to_owned()))
    };
    let journal = Journal::open(&kit.home, &kit.run, clock(), gates).unwrap();
    journal.record_now(Record::RunInterrupted).unwrap();
    assert_eq!(*passed.lock().unwrap(), ["before-record:run-interrupted", "after-record:run-interrupted"]);
}
