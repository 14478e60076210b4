//! From failures of steps to what the learner reads, and to whether another try makes sense.

use std::time::Duration;

use sealbook_model::id::{RunId, StepPath};
use sealbook_model::journal::{Failure, Stage, StepError};
use sealbook_model::problem::{Problem, code, codes};

/// Why an attempt goes no further.
#[derive(Debug)]
pub(super) enum Stop {
    /// A step failed.
    Failed(Box<Failed>),
    /// The learner stopped it.
    Interrupted,
    /// Nothing can be recorded any more, or the journal does not fit its playbook.
    Broken(Problem),
}

/// A step's failure, recorded.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) step: StepPath,
    pub(super) stage: Stage,
    pub(super) failure: Failure,
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Broken(problem)
    }
}

/// What kept a call from its end.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The failure that it ended with, and how often it was tried again.
    Failed(Failure, u32),
    /// Everything stops.
    Stop(Stop),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure, 0)
    }
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        Self::Stop(Stop::Broken(problem))
    }
}

/// Puts a problem into the words of a step's failure. Its code is kept.
pub(super) fn as_failure(problem: &Problem) -> Failure {
    let mut message = problem.what.clone();
    for why in &problem.why {
        message.push_str(": ");
        message.push_str(why);
    }
    StepError::Component { code: problem.code.into(), message }.into()
}

/// A failure that another try may cure, with the wait that the other side asked for.
pub(super) fn may_pass(failure: &Failure, assigned_roles: bool) -> Option<Option<Duration>> {
    match (&failure.error, &failure.azure) {
        (StepError::Transient { retry_after, .. }, _) => Some(*retry_after),
        // Azure spreads role assignments over minutes, so a refusal right after one is not the last word.
        (StepError::Permanent { .. } | StepError::Precondition { .. }, Some(cause)) if assigned_roles => {
            RIGHTS.contains(&cause.code.as_str()).then_some(None)
        }
        _ => None,
    }
}

/// Azure's codes for "you, or the identity behind the service, may not": Resource Manager, Key Vault, Storage, and
/// Storage's view of Key Vault.
const RIGHTS: &[&str] = &[
    "AccessDenied",
    "AuthorizationFailed",
    "AuthorizationPermissionMismatch",
    "ForbiddenByRbac",
    "KeyVaultAccessForbidden",
    "KeyVaultAccessTokenCannotBeAcquired",
    "KeyVaultAuthenticationFailure",
    "LinkedAuthorizationFailed",
    "PrincipalNotFound",
];

/// What the learner reads about a failed step.
pub(super) fn problem(run: &RunId, step: &StepPath, stage: Stage, failure: &Failure) -> Problem {
    let resume = format!("sealbook resume {run}");
    let code = code_of(stage, failure);
    let problem = Problem::new(code, format!("step {step} failed{}", at(stage))).because(failure.to_string());
    let problem = match &failure.azure {
        Some(cause) if !cause.code.is_empty() => problem.because(format!("Azure said {} {}", cause.status, cause.code)),
        _ => problem,
    };
    match &failure.error {
        StepError::Precondition { fix, .. } if !fix.is_empty() => problem.fix(fix.clone()),
        StepError::Denied { line, .. } if !line.is_empty() => problem.fix(line.clone()),
        StepError::Conflict { candidates, .. } if !candidates.is_empty() => {
            problem.because(format!("it may be one of {}", candidates.join(", "))).fix(resume)
        }
        // A step keeps the inputs that it began with, so the same would come of it again.
        StepError::InvalidInput { .. } => problem
            .fix(format!("a run keeps what it was given: sealbook undo {run}, and begin anew with another input")),
        StepError::Permanent { .. } => {
            problem.fix(format!("another try alone won't help: mend the cause, then {resume}; or sealbook undo {run}"))
        }
        _ => problem.fix(resume),
    }
}

/// What the learner reads about a step that could not be taken back.
pub(super) fn undo_problem(run: &RunId, failed: &[(StepPath, Failure)]) -> Problem {
    let what = match failed.len() {
        1 => "one step could not be taken back".to_owned(),
        n => format!("{n} steps could not be taken back"),
    };
    let problem = Problem::new(codes::UNDO_INCOMPLETE, what).fix(format!("sealbook undo {run}"));
    failed.iter().fold(problem, |problem, (step, failure)| problem.because(format!("{step}: {failure}")))
}

fn at(stage: Stage) -> &'static str {
    match stage {
        Stage::Inputs => " before it began",
        Stage::Check => " when it looked at what is there",
        Stage::Apply => "",
        Stage::Verdict => ": its result is not what it should be",
        Stage::Verify => " when its result was looked at again",
        Stage::Lesson => ": the lesson did not show what it should",
    }
}

fn code_of(stage: Stage, failure: &Failure) -> &'static str {
    match &failure.error {
        StepError::Component { code: text, .. } => code(text).map_or(codes::STEP_FAILED, |info| info.code),
        StepError::Denied { .. } => codes::NOT_GRANTED,
        StepError::InvalidInput { .. } => codes::INPUT_REFUSED,
        StepError::Precondition { .. } => codes::PRECONDITION,
        StepError::Conflict { .. } => codes::CONFLICT,
        StepError::Cancelled => codes::INTERRUPTED,
        _ if failure.azure.as_ref().is_some_and(|cause| cause.status == 401) => codes::SIGN_IN,
        _ if stage == Stage::Verdict => codes::EXPECTATION,
        _ if stage == Stage::Verify => codes::EVIDENCE_REFUSED,
        _ if stage == Stage::Lesson => codes::LESSON_NOT_SEEN,
        StepError::Transient { .. } => codes::TRANSIENT,
        StepError::Permanent { .. } => codes::STEP_FAILED,
    }
}
