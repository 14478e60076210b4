//! A durable record against a bare commit of SQLite, and the fold of a long journal.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;
use rusqlite::Connection;
use sealbook_crypto::SealKey;
use sealbook_engine::home::Home;
use sealbook_engine::journal::{Clock, Gates, Journal, RunVault};
use sealbook_model::CloudName;
use sealbook_model::expr::{Context, Me};
use sealbook_model::id::{Digest, RunId};
use sealbook_model::journal::{Entry, Mode, Record, RunStarted, RunState};

use crate::{at_most, figure, median, micros, millis};

pub fn bench() {
    let folder = tempfile::tempdir().unwrap();
    let run: RunId = "abc234".parse().unwrap();
    let home = Arc::new(Home::open(folder.path().join("home")).unwrap());
    let vault = RunVault::new(SealKey::generate(), BTreeMap::new());
    let journal = Journal::create(&home, started(&run), vault, Clock::default(), Gates::none()).unwrap();
    let hint = |n: u32| Record::HintShown { step: "some.step".replace('.', "/").parse().unwrap(), tier: n };

    let bare = Connection::open(folder.path().join("bare.db")).unwrap();
    bare.pragma_update(None, "journal_mode", "WAL").unwrap();
    bare.pragma_update(None, "synchronous", "FULL").unwrap();
    bare.execute_batch("CREATE TABLE record (seq INTEGER PRIMARY KEY, at INTEGER, body TEXT)").unwrap();
    let body = serde_json::to_string(&hint(1)).unwrap();
    let commit = median(100, || {
        bare.execute("INSERT INTO record (at, body) VALUES (?1, ?2)", (1, &body)).unwrap();
    });
    let record = median(100, || journal.record_now(hint(1)).unwrap());
    figure("a commit of one row, bare SQLite, synchronous=FULL", micros(commit));
    figure("a durable record", micros(record));
    at_most("durable record / bare commit", record / commit, 1.5, "x");

    let first = Entry { seq: 1, at: Utc::now(), record: Record::RunStarted(Box::new(started(&run))) };
    let rest = (2..=100_000).map(|seq| Entry { seq, at: Utc::now(), record: hint(1) });
    let entries: Vec<Entry> = std::iter::once(first).chain(rest).collect();
    let begun = Instant::now();
    let state = RunState::fold(entries);
    let took = millis(begun.elapsed());
    assert!(state.started.is_some());
    at_most("fold of 100,000 records", took, 200.0, "ms");
}

fn started(run: &RunId) -> RunStarted {
    RunStarted {
        playbook: "bench".into(),
        title: "Bench".into(),
        bundle: Digest::of(b"bundle"),
        plugins: BTreeMap::new(),
        context: context(run),
        inputs: BTreeMap::new(),
        secrets: BTreeMap::new(),
        answers: BTreeMap::new(),
        mode: Mode::Auto,
        quiet: false,
        source: None,
        policy: Digest::of(b""),
        engine: "bench".into(),
    }
}

/// A run on the embedded Azure.
pub fn context(run: &RunId) -> Context {
    Context {
        run: run.clone(),
        cloud: CloudName::Embedded,
        tenant: "72f988bf-86f1-41af-91ab-2d7cd011db47".into(),
        subscription: "1b4df8a5-4c55-4fb6-9a24-4c5f6e7a8b9c".into(),
        subscription_name: "Lab".into(),
        me: Me { id: "u".into(), name: "learner".into(), kind: "User".into() },
    }
}
