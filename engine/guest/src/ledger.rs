//! The ledger of a guest's effects: in memory, as everything here. What it forgets in a restart is recognised by its
//! marks; what it knows goes back with every reply, so that the run's own records have it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use sealbook_engine::host::standing;
use sealbook_engine::step::{Failure, Intent, Ledger, Operation, Outcome};
use sealbook_model::id::Digest;
use serde_json::Value;

/// The effects of one step in one generation, in the order in which they were intended.
#[derive(Default)]
pub(crate) struct GuestLedger(Mutex<(Vec<String>, BTreeMap<String, Operation>)>);

impl GuestLedger {
    pub(crate) fn operations(&self) -> Vec<Operation> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.0.iter().filter_map(|name| held.1.get(name).cloned()).collect()
    }

    fn with<T>(&self, f: impl FnOnce(&mut (Vec<String>, BTreeMap<String, Operation>)) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Ledger for GuestLedger {
    async fn standing(&self, name: &str, request: &Digest) -> Result<Option<Operation>, Failure> {
        standing(self.with(|(_, known)| known.get(name).cloned()), request)
    }

    async fn intend(&self, intent: Intent) -> Result<(), Failure> {
        self.with(|(order, known)| {
            if known.get(&intent.name).is_some_and(|known| known.intent.request == intent.request) {
                return;
            }
            let name = intent.name.clone();
            if known.insert(name.clone(), Operation { intent, accepted: None, outcome: None }).is_none() {
                order.push(name);
            }
        });
        Ok(())
    }

    async fn accepted(&self, name: &str, follow: Value) -> Result<(), Failure> {
        self.with(|(_, known)| {
            if let Some(operation) = known.get_mut(name) {
                operation.accepted = Some(follow);
            }
        });
        Ok(())
    }

    async fn completed(&self, name: &str, outcome: Outcome) -> Result<(), Failure> {
        self.with(|(_, known)| {
            if let Some(operation) = known.get_mut(name) {
                operation.outcome = Some(outcome);
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sealbook_engine::step::Ownership;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_blob_may_be_written_anew_and_nothing_else_may() {
        for (kind, may) in [("blob-put", true), ("arm-put", false)] {
            let ledger = GuestLedger::default();
            let request = |text: &str| Digest::of(text.as_bytes());
            let intent = |text: &str| Intent {
                name: "put".into(),
                kind: kind.into(),
                target: "https://a.blob.core.windows.net/c/b".into(),
                request: request(text),
                prior: Value::Null,
            };
            ledger.intend(intent("once")).await.unwrap();
            let outcome = Outcome { result: json!({}), ownership: Ownership::Ours };
            ledger.completed("put", outcome).await.unwrap();
            assert!(ledger.standing("put", &request("once")).await.unwrap().unwrap().outcome.is_some());
            let anew = ledger.standing("put", &request("anew")).await;
            assert_eq!(matches!(anew, Ok(None)), may, "{kind}: {anew:?}");
            // What is intended anew is in the place of the first, and not done.
            ledger.intend(intent("anew")).await.unwrap();
            let [known] = &ledger.operations()[..] else { panic!("one operation") };
            assert_eq!((known.intent.request, known.outcome.is_none()), (request("anew"), true));
        }
    }
}
