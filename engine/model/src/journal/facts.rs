//! What the calls of a step say, in the form in which records carry it. The engine speaks the same words.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::grant::Denial;
use crate::id::Digest;

/// Why a call did not do its work: the problem, and what Azure had answered if Azure was the cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{error}")]
pub struct Failure {
    /// The problem in the contract's terms.
    pub error: StepError,
    /// The refusal of Azure behind it, for lessons and retry budgets.
    pub azure: Option<AzureCause>,
}

/// What Azure said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AzureCause {
    /// HTTP status; 0 when there was no answer.
    pub status: u16,
    /// Azure's error code, the inner one where there is one (`ForbiddenByRbac`).
    pub code: String,
}

impl From<Denial> for StepError {
    fn from(Denial { capability, scope, line, .. }: Denial) -> Self {
        Self::Denied { capability, scope, line }
    }
}

/// The contract's problems (wit `types.problem`), and what only the host can say of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum StepError {
    /// An input can't be used. Never retried.
    #[error("input `{field}`: {message}")]
    InvalidInput {
        /// Which one.
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// The learner must act first.
    #[error("{message}")]
    Precondition {
        /// What is missing.
        message: String,
        /// What to do about it.
        fix: String,
    },
    /// Not asked for, not granted, or forbidden by the policy.
    #[error("not allowed: {capability} {scope}")]
    Denied {
        /// The capability, as in a grant.
        capability: String,
        /// The scope it was wanted on.
        scope: String,
        /// The exact TOML that would allow it.
        line: String,
    },
    /// Something else stands there.
    #[error("{message}")]
    Conflict {
        /// What is in the way.
        message: String,
        /// The things that may be meant.
        candidates: Vec<String>,
    },
    /// May pass by itself.
    #[error("{message}")]
    Transient {
        /// What happened.
        message: String,
        /// How long the other side asked to be left alone.
        retry_after: Option<Duration>,
    },
    /// Stopped by the learner.
    #[error("stopped")]
    Cancelled,
    /// Won't get better.
    #[error("{message}")]
    Permanent {
        /// What happened.
        message: String,
    },
    /// The component itself misbehaved.
    #[error("{message}")]
    Component {
        /// A problem code with a page.
        code: String,
        /// What it did.
        message: String,
    },
}

impl From<StepError> for Failure {
    fn from(error: StepError) -> Self {
        Self { error, azure: None }
    }
}

/// What `apply` would do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Preview {
    /// Changes in words.
    pub changes: Vec<String>,
    /// Prior state, journaled before `apply`, given back to `undo`.
    pub before: Value,
    /// What it will cost.
    pub costs: Vec<Cost>,
    /// What stays after undo, in words.
    pub leaves: Vec<String>,
    /// The equivalent `az` line.
    pub az: Option<String>,
}

/// What an item costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// The item.
    pub item: String,
    /// US dollars per hour while it exists.
    pub usd_per_hour: f64,
    /// US dollars that undo can't stop.
    pub usd_after_undo: f64,
}

/// One check made by `verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What was looked at.
    pub check: String,
    /// Whether it holds.
    pub passed: bool,
    /// What was seen.
    pub detail: String,
}

/// What remains after undo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leftover {
    /// The thing.
    pub what: String,
    /// Why it can't go.
    pub why: String,
    /// RFC 3339 instant until which it stays; none: until somebody removes it.
    pub until: Option<String>,
    /// US dollars it costs until then.
    pub usd: f64,
    /// US dollars an hour, for what stays until somebody removes it.
    #[serde(default)]
    pub usd_per_hour: f64,
}

/// An effect that is about to happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The plugin's name for it; with run, step and generation it is the idempotency key.
    pub name: String,
    /// A row of the reconcile table (`arm-put`, `role-assignment`, `key-create`, `key-rotate`, `blob-put`, …).
    pub kind: String,
    /// Resource id or URI.
    pub target: String,
    /// Digest of the canonical request: the same name with another request is refused.
    pub request: Digest,
    /// What was there before, for effects that carry no mark.
    pub prior: Value,
}

/// How an effect ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What the plugin got.
    pub result: Value,
    /// Whose thing it touched.
    pub ownership: Ownership,
}

/// Whose thing an effect touched (wit `step.ownership`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ownership {
    /// Made or changed by this run.
    Ours,
    /// Was there, without our mark: never undone.
    Foreign,
    /// The outcome was never learnt.
    Unknown,
}

/// One effect as the ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// What was intended.
    pub intent: Intent,
    /// Where a long-running operation is followed (`Azure-AsyncOperation` or `Location`).
    pub accepted: Option<Value>,
    /// None: the run was stopped before it learnt it.
    pub outcome: Option<Outcome>,
}
