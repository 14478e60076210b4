//! What a run is started with.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use sealbook_crypto::SecretString;
use sealbook_model::expr::Context;
use sealbook_model::journal::{Consent, Mode};
use sealbook_model::playbook::{Answers, Bundle};
use sealbook_model::plugin::{Description, PluginRef};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::Learner;
use crate::event::Events;

/// A run to start.
#[derive(Debug, Clone)]
pub struct StartRequest {
    /// The playbook with its parts and texts.
    pub bundle: Bundle,
    /// Every plugin that the playbook may use.
    pub plugins: BTreeMap<PluginRef, Plugin>,
    /// Run id, cloud, tenant, subscription and account. The id must be a new one ([`super::Runs::fresh_id`]).
    pub context: Context,
    /// All inputs, defaults filled in; a secret as the reference `secret:<name>`.
    pub inputs: BTreeMap<String, Value>,
    /// The secrets behind those references.
    pub secrets: BTreeMap<String, SecretString>,
    /// Inputs that the learner was asked for, to be recorded.
    pub prompted: Vec<String>,
    /// The options taken, by choice; the others take their defaults.
    pub answers: Answers,
    /// What the learner agreed to before the start.
    pub consents: Vec<Consent>,
    /// Who does the work.
    pub mode: Mode,
    /// Whether nobody is to be asked on the way; a resume keeps to it.
    pub quiet: bool,
    /// The file that the playbook was read from; none: it came with the program.
    pub source: Option<String>,
}

/// A plugin: the component and what it says of itself.
#[derive(Clone)]
pub struct Plugin {
    /// The component's bytes.
    pub component: Arc<[u8]>,
    /// Its description.
    pub description: Description,
    /// Whether it came with this program.
    pub built_in: bool,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin").field("bytes", &self.component.len()).field("built_in", &self.built_in).finish()
    }
}

/// The surroundings of one attempt.
#[derive(Clone)]
pub struct Session {
    /// Who answers questions.
    pub learner: Arc<dyn Learner>,
    /// Where notices go.
    pub events: Events,
    /// Cancelled by the first Ctrl-C.
    pub cancel: CancellationToken,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("cancelled", &self.cancel.is_cancelled()).finish_non_exhaustive()
    }
}
