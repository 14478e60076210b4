//! Places where a test may end the process.

use std::fmt;
use std::sync::Arc;

type Hook = dyn Fn(&str) + Send + Sync;

/// A hook that is called at named places (`before-record:step-checked`, `after-record:…`). Crash tests kill the process
/// in it; everybody else has [`Gates::none`].
#[derive(Clone, Default)]
pub struct Gates(Option<Arc<Hook>>);

impl Gates {
    /// Calls `hook` with the name of every gate that is passed.
    pub fn new(hook: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    /// No hook.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Passes the gate `<when>:<what>`.
    pub fn pass(&self, when: &str, what: &str) {
        if let Some(hook) = &self.0 {
            hook(&format!("{when}:{what}"));
        }
    }
}

impl fmt::Debug for Gates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Gates(hook)" } else { "Gates(none)" })
    }
}
