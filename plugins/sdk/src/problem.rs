//! Why a step did not do its work.

use serde_json::{Error as JsonError, Value};

use crate::bindings::sealbook::plugin::types as wit;
pub use wit::Problem;

/// What every function of a plugin returns.
pub type Result<T, E = Problem> = std::result::Result<T, E>;

impl Problem {
    /// An input that can't be used; `field` is its name. Never retried.
    pub fn invalid_input(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::InvalidInput(wit::InvalidInput { field: field.into(), message: message.into() })
    }

    /// Something that the learner must do first: what is wrong, and what cures it.
    pub fn precondition(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Precondition(wit::Precondition { message: message.into(), fix: fix.into() })
    }

    /// Something else stands where this step wanted to act; `candidates` are ids or URIs of what was found.
    pub fn conflict<C: Into<String>>(message: impl Into<String>, candidates: impl IntoIterator<Item = C>) -> Self {
        let candidates = candidates.into_iter().map(Into::into).collect();
        Self::Conflict(wit::Conflict { message: message.into(), candidates })
    }

    /// Refuses what stands there already but not as this step wants it: each setting that differs, with what it is and
    /// what it should be.
    ///
    /// # Errors
    /// A conflict, when a setting differs.
    pub fn unless_as_wanted<'a>(
        what: &str,
        id: &str,
        settings: impl IntoIterator<Item = (&'a str, Value, Value)>,
    ) -> Result<()> {
        let differs = settings.into_iter().filter(|(_, is, should)| is != should);
        let differences: Vec<String> =
            differs.map(|(setting, is, should)| format!("{setting} is {is} instead of {should}")).collect();
        if differences.is_empty() {
            return Ok(());
        }
        Err(Self::conflict(format!("{what} is not as this step wants it: {}", differences.join("; ")), [id]))
    }

    /// Refuses a name that Azure keeps for something deleted, whose `properties` these are. `holder` says what holds it,
    /// `meanwhile` what else that means; `free` frees the name unless purge protection forbids it.
    pub fn name_is_kept(properties: &Value, holder: &str, meanwhile: &str, free: impl Into<String>) -> Self {
        let until = properties["scheduledPurgeDate"].as_str().unwrap_or("its retention ends");
        let fix = if properties["purgeProtectionEnabled"] == true {
            "Choose another name (another `suffix`): purge protection keeps this one from being freed.".to_owned()
        } else {
            free.into()
        };
        Self::precondition(format!("{holder} until {until}{meanwhile}"), fix)
    }

    /// A failure that may pass by itself; the engine tries again, after its own delay.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::Transient(wit::Transient { message: message.into(), retry_after: None })
    }

    /// A failure that won't pass.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::Permanent(message.into())
    }

    /// Inputs that do not fit the schema. The engine checks them before; this is the second lock.
    pub(crate) fn inputs(error: &JsonError) -> Self {
        let message = error.to_string();
        let named = ["unknown field `", "missing field `"]
            .iter()
            .find_map(|start| message.strip_prefix(start)?.split('`').next());
        let field = named.unwrap_or("inputs").to_owned();
        Self::invalid_input(field, message)
    }
}

impl From<JsonError> for Problem {
    /// JSON that came from the host or goes to it: never the learner's fault.
    fn from(error: JsonError) -> Self {
        Self::permanent(format!("unexpected JSON: {error}"))
    }
}
