//! What only the host can say of a component. A fault ends the call at once: for the guest it is a trap.

use sealbook_model::codes;

use crate::step::{Failure, StepError};

/// A breach of the contract between host and component, with the problem code that explains it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the component can't be loaded: {0}")]
    Unloadable(String),
    #[error("this component is no Sealbook plugin: {0}")]
    NotAPlugin(String),
    #[error("the plugin imports {0}, which no plugin gets; capabilities come from `sealbook:plugin` alone")]
    ForeignImport(String),
    #[error("the plugin used up its CPU allowance ({0}); the machine's policy can raise it under `[limits]`")]
    Cpu(String),
    #[error(
        "the plugin wanted {wanted} MiB of memory and may have {allowed} MiB; the machine's policy can raise it under `[limits]`"
    )]
    Memory { wanted: u64, allowed: u64 },
    #[error("the plugin crashed: {0}")]
    Crashed(String),
    #[error("the plugin overflowed its stack")]
    Stack,
    #[error("the plugin handed over more data than allowed: {0}")]
    TooMuchData(String),
    #[error("the plugin made more than {0} host calls in one call; the machine's policy can raise it under `[limits]`")]
    HostCalls(u32),
    #[error("the plugin used a handle that is not its own: {0}")]
    BadHandle(String),
    #[error("the plugin answered with something invalid: {0}")]
    BadAnswer(String),
    #[error("the plugin tried `{what}` in `{phase}`, where it may only look")]
    OutOfPhase { what: String, phase: &'static str },
    #[error("the plugin wrote more than {0} log lines in one call")]
    LogFlood(u32),
    #[error("the host failed: {0}")]
    Host(String),
}

impl Fault {
    /// The problem code with a page in `docs/errors`.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unloadable(_) | Self::NotAPlugin(_) => codes::COMPONENT_INVALID,
            Self::ForeignImport(_) => codes::IMPORT_NOT_OFFERED,
            Self::Crashed(_) | Self::Stack => codes::COMPONENT_TRAPPED,
            Self::Cpu(_) => codes::FUEL_SPENT,
            Self::Memory { .. } => codes::MEMORY_SPENT,
            Self::HostCalls(_) => codes::HOST_CALLS_SPENT,
            Self::TooMuchData(_) | Self::LogFlood(_) => codes::OUTPUT_TOO_LARGE,
            Self::BadAnswer(_) => codes::OUTPUT_INVALID,
            Self::BadHandle(_) => codes::BAD_HANDLE,
            Self::OutOfPhase { .. } => codes::EFFECT_OUT_OF_PHASE,
            Self::Host(_) => codes::HOST_FAILED,
        }
    }
}

impl From<Fault> for StepError {
    fn from(fault: Fault) -> Self {
        Self::Component { code: fault.code().into(), message: fault.to_string() }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        StepError::from(fault).into()
    }
}

/// Why a host function did not do its work: a problem that the guest gets as a value, or a fault that ends the call.
#[derive(Debug)]
pub(crate) enum Refusal {
    Problem(Box<Failure>),
    Fault(Fault),
    /// wasmtime's own refusal, a handle that the store's table does not know for instance.
    Trap(wasmtime::Error),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        match failure.error {
            // What the host says of a component is never handed to that component as a value.
            StepError::Component { .. } => Self::Trap(wasmtime::Error::new(ComponentFailure(failure))),
            _ => Self::Problem(Box::new(failure)),
        }
    }
}

impl From<StepError> for Refusal {
    fn from(error: StepError) -> Self {
        Failure::from(error).into()
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<wasmtime::component::ResourceTableError> for Refusal {
    fn from(error: wasmtime::component::ResourceTableError) -> Self {
        Self::Fault(Fault::BadHandle(error.to_string()))
    }
}

/// Carries a failure that ends the call through wasmtime.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ComponentFailure(pub(crate) Failure);
