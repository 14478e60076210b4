//! The journal as the run loop uses it: record, then know.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use sealbook_crypto::SealKey;
use sealbook_model::id::{Digest, RunId};
use sealbook_model::journal::{Entry, Record, RunStarted, RunState};
use sealbook_model::problem::{Problem, codes};

use super::{Gates, Header, RecordStore, RunVault, SqliteStore};
use crate::home::Home;

/// Where the time comes from.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl Clock {
    /// Asks `now` for the time.
    pub fn new(now: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        (self.0)()
    }
}

impl Default for Clock {
    /// The system's clock.
    fn default() -> Self {
        Self::new(Utc::now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock(..)")
    }
}

/// The open journal of a run: its store, the state that follows from it, and the run's secrets. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    run: RunId,
    vault: Arc<RunVault>,
    gates: Gates,
    clock: Clock,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    store: Box<dyn RecordStore>,
    state: RunState,
    broken: Option<Problem>,
}

impl Journal {
    /// Starts the journal of a new run. `vault` seals the secrets into `started`.
    ///
    /// # Errors
    /// SB0504 when it can't be written.
    pub fn create(
        home: &Arc<Home>,
        mut started: RunStarted,
        vault: RunVault,
        clock: Clock,
        gates: Gates,
    ) -> Result<Self, Problem> {
        let run = started.run().clone();
        started.secrets = vault.sealed(&run);
        let first = Entry { seq: 1, at: clock.now(), record: Record::RunStarted(Box::new(started)) };
        gates.pass("before-record", first.record.name());
        let store = SqliteStore::create(home, &run, vault.key(), &first)?;
        gates.pass("after-record", first.record.name());
        Ok(Self::join(run, vault, clock, gates, Box::new(store), RunState::fold([first])))
    }

    /// Opens the journal of an existing run for writing.
    ///
    /// # Errors
    /// SB0501 to SB0503 when it can't be trusted, SB0505 when another process holds the run.
    pub fn open(home: &Arc<Home>, run: &RunId, clock: Clock, gates: Gates) -> Result<Self, Problem> {
        let (store, entries) = SqliteStore::open(home, run)?;
        let key = SqliteStore::run_key(home, store.header())?;
        let state = RunState::fold(entries);
        let vault = open_vault(run, key, &state)?;
        Ok(Self::join(run.clone(), vault, clock, gates, Box::new(store), state))
    }

    /// Reads the journal of a run, also while another process works on it. Nothing can be recorded in it.
    ///
    /// # Errors
    /// SB0501 to SB0503 when it can't be trusted.
    pub fn look(home: &Home, run: &RunId, clock: Clock) -> Result<Self, Problem> {
        let (header, entries) = SqliteStore::read(home, run)?;
        let key = SqliteStore::run_key(home, &header)?;
        let state = RunState::fold(entries);
        let vault = open_vault(run, key, &state)?;
        Ok(Self::join(run.clone(), vault, clock, Gates::none(), Box::new(Closed(header)), state))
    }

    fn join(
        run: RunId,
        vault: RunVault,
        clock: Clock,
        gates: Gates,
        store: Box<dyn RecordStore>,
        state: RunState,
    ) -> Self {
        let inner = Arc::new(Mutex::new(Inner { store, state, broken: None }));
        Self { run, vault: Arc::new(vault), gates, clock, inner }
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The run's secrets.
    #[must_use]
    pub fn vault(&self) -> &Arc<RunVault> {
        &self.vault
    }

    /// The time, as it is recorded.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Looks at the state. `look` must not call the journal.
    pub fn with<R>(&self, look: impl FnOnce(&RunState) -> R) -> R {
        look(&self.lock().state)
    }

    /// Records something and takes it into the state. Returns once it is durable; a caller that goes away meanwhile
    /// changes nothing about that.
    ///
    /// # Errors
    /// SB0504. From then on nothing can be recorded.
    pub async fn record(&self, record: Record) -> Result<(), Problem> {
        let name = record.name();
        self.gates.pass("before-record", name);
        let (inner, at) = (self.inner.clone(), self.clock.now());
        let written = tokio::task::spawn_blocking(move || lock(&inner).append(at, record)).await;
        match written {
            Ok(result) => result?,
            Err(e) => return Err(Problem::new(codes::INTERNAL, "a record was not written").because(e.to_string())),
        }
        self.gates.pass("after-record", name);
        Ok(())
    }

    /// Like [`Journal::record`], outside of a runtime.
    ///
    /// # Errors
    /// SB0504.
    pub fn record_now(&self, record: Record) -> Result<(), Problem> {
        let (name, at) = (record.name(), self.clock.now());
        self.gates.pass("before-record", name);
        self.lock().append(at, record)?;
        self.gates.pass("after-record", name);
        Ok(())
    }

    /// Signs the head, when an attempt has ended.
    ///
    /// # Errors
    /// SB0504.
    pub async fn seal(&self) -> Result<(), Problem> {
        let inner = self.inner.clone();
        tokio::task::spawn_blocking(move || lock(&inner).store.seal())
            .await
            .unwrap_or_else(|e| Err(Problem::new(codes::INTERNAL, "the head was not signed").because(e.to_string())))
    }

    /// The head of the chain of records: the hash of the last one, which covers all before it.
    #[must_use]
    pub fn head(&self) -> Digest {
        Digest::from_bytes(self.lock().store.head())
    }

    /// Why nothing can be recorded any more, if that is so.
    #[must_use]
    pub fn broken(&self) -> Option<Problem> {
        self.lock().broken.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

impl Inner {
    fn append(&mut self, at: DateTime<Utc>, record: Record) -> Result<(), Problem> {
        if let Some(problem) = &self.broken {
            return Err(problem.clone());
        }
        let entry = Entry { seq: self.state.records + 1, at, record };
        match self.store.append(&entry) {
            Ok(()) => {
                self.state.apply(entry);
                Ok(())
            }
            Err(problem) => {
                self.broken = Some(problem.clone());
                Err(problem)
            }
        }
    }
}

/// A journal that is only looked at.
struct Closed(Header);

impl Closed {
    fn refusal(&self) -> Problem {
        Problem::new(codes::JOURNAL_WRITE, format!("the journal of run {} is open for reading", self.0.run))
    }
}

impl RecordStore for Closed {
    fn header(&self) -> &Header {
        &self.0
    }

    fn head(&self) -> [u8; 32] {
        [0; 32]
    }

    fn append(&mut self, _: &Entry) -> Result<(), Problem> {
        Err(self.refusal())
    }

    fn seal(&mut self) -> Result<(), Problem> {
        Err(self.refusal())
    }
}

/// A panic while the lock was held can only have come from a reader: the state changes after the record is durable.
fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open_vault(run: &RunId, key: SealKey, state: &RunState) -> Result<RunVault, Problem> {
    match &state.started {
        Some(started) => RunVault::open(run, key, &started.secrets),
        None => Err(Problem::new(codes::JOURNAL_DAMAGED, format!("the journal of run {run} is damaged"))
            .because("it does not say how the run began")),
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("run", &self.run).finish_non_exhaustive()
    }
}
