//! A ledger in memory, which can stop a run where a kill would.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use sealbook_engine::host::standing;
use sealbook_engine::step::{Failure, Intent, Ledger, Operation, Outcome, Ownership, StepError};
use sealbook_model::id::Digest;
use serde_json::Value;

/// The effects of one step.
#[derive(Default)]
pub struct Book {
    entries: Mutex<BTreeMap<String, Operation>>,
    killed: Mutex<Option<&'static str>>,
    trace: Mutex<Vec<String>>,
}

impl Book {
    /// From now on the record `before` is never written: as if the process had been killed just before.
    pub fn kill_before(&self, before: &'static str) {
        *self.killed.lock().unwrap() = Some(before);
    }

    /// The process is back.
    pub fn revive(&self) {
        *self.killed.lock().unwrap() = None;
    }

    /// Every record in the order in which it was written, as `record name`.
    pub fn trace(&self) -> Vec<String> {
        self.trace.lock().unwrap().clone()
    }

    pub fn operation(&self, name: &str) -> Option<Operation> {
        self.entries.lock().unwrap().get(name).cloned()
    }

    pub fn operations(&self) -> Vec<Operation> {
        self.entries.lock().unwrap().values().cloned().collect()
    }

    pub fn ownership(&self, name: &str) -> Option<Ownership> {
        self.operation(name)?.outcome.map(|o| o.ownership)
    }

    fn write(
        &self,
        record: &'static str,
        name: &str,
        change: impl FnOnce(&mut BTreeMap<String, Operation>),
    ) -> Result<(), Failure> {
        if *self.killed.lock().unwrap() == Some(record) {
            return Err(StepError::Permanent { message: "killed".into() }.into());
        }
        change(&mut self.entries.lock().unwrap());
        self.trace.lock().unwrap().push(format!("{record} {name}"));
        Ok(())
    }
}

#[async_trait]
impl Ledger for Book {
    async fn standing(&self, name: &str, request: &Digest) -> Result<Option<Operation>, Failure> {
        standing(self.operation(name), request)
    }

    async fn intend(&self, intent: Intent) -> Result<(), Failure> {
        let name = intent.name.clone();
        self.write("intended", &name.clone(), |entries| {
            entries.insert(name, Operation { intent, accepted: None, outcome: None });
        })
    }

    async fn accepted(&self, name: &str, follow: Value) -> Result<(), Failure> {
        self.write("accepted", name, |entries| entries.get_mut(name).unwrap().accepted = Some(follow))
    }

    async fn completed(&self, name: &str, outcome: Outcome) -> Result<(), Failure> {
        self.write("completed", name, |entries| entries.get_mut(name).unwrap().outcome = Some(outcome))
    }
}
