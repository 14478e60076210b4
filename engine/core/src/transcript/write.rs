//! From a journal to its transcript.

use sealbook_attestation::Roots;
use sealbook_model::CloudName;
use sealbook_model::expr::Context;
use sealbook_model::id::RunId;
use sealbook_model::journal::{Record, RunState};
use sealbook_model::problem::{Problem, codes};

use super::{FORMAT, FRAME, Head, SealLine, needs_roots};
use crate::home::Home;
use crate::journal::{Recorded, SqliteStore};
use crate::run::begun;

/// The transcript of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcript {
    head: Head,
    recorded: Recorded,
}

impl Transcript {
    /// Reads a run's journal, also while another process writes it.
    ///
    /// # Errors
    /// SB0501 to SB0503 when the journal can't be trusted, SB0506 when there is no such run.
    pub fn of(home: &Home, run: &RunId) -> Result<Self, Problem> {
        let recorded = SqliteStore::recorded(home, run)?;
        let state = RunState::fold(recorded.entries.iter().cloned());
        let started = begun(run, &state)?;
        let head = Head {
            format: FORMAT,
            journal: recorded.header.format,
            home: recorded.header.home.clone(),
            public: home.public().to_vec(),
            run: run.clone(),
            playbook: started.bundle,
            plugins: started.plugins.iter().map(|(name, pinned)| (name.clone(), pinned.component)).collect(),
            records: recorded.records.len() as u64,
            signatures: recorded.seals.len() as u64,
            roots: None,
        };
        Ok(Self { head, recorded })
    }

    /// The run's context, if there is evidence in the transcript that only the test roots of its embedded Azure vouch
    /// for.
    #[must_use]
    pub fn wants_test_roots(&self) -> Option<&Context> {
        let records = || self.recorded.entries.iter().map(|entry| &entry.record);
        let context = records().find_map(|record| match record {
            Record::RunStarted(started) => Some(&started.context),
            _ => None,
        })?;
        let wants = |record: &Record| match record {
            Record::StepSucceeded { outputs, .. } => needs_roots(outputs),
            _ => false,
        };
        (context.cloud == CloudName::Embedded && records().any(wants)).then_some(context)
    }

    /// Takes along the test roots that vouch for its evidence.
    #[must_use]
    pub fn with_test_roots(mut self, roots: &Roots) -> Self {
        self.head.roots = Some(roots.to_pem());
        self
    }

    /// The first line.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The last record's hash.
    #[must_use]
    pub fn last(&self) -> Option<&[u8; 32]> {
        self.recorded.records.last().map(|(_, hash)| hash)
    }

    /// Up to which record the home has signed; none: it has not yet.
    #[must_use]
    pub fn signed(&self) -> Option<u64> {
        self.recorded.seals.iter().map(|seal| seal.seq).max()
    }

    /// The text.
    ///
    /// # Errors
    /// SB0707: a line could not be written as JSON.
    pub fn to_ndjson(&self) -> Result<String, Problem> {
        let failed = |e: serde_json::Error| {
            Problem::new(codes::INTERNAL, "the transcript was not written").because(e.to_string())
        };
        let mut text = serde_json::to_string(&self.head).map_err(failed)?;
        text.push('\n');
        let [before, between, after] = FRAME;
        for (json, hash) in &self.recorded.records {
            for part in [before, &hex::encode(hash), between, json, after, "\n"] {
                text.push_str(part);
            }
        }
        for seal in &self.recorded.seals {
            let line = SealLine {
                seq: seal.seq,
                hash: seal.hash.to_vec(),
                public: seal.public.clone(),
                signature: seal.signature.clone(),
            };
            text.push_str(&serde_json::to_string(&line).map_err(failed)?);
            text.push('\n');
        }
        Ok(text)
    }
}
