//! A refused request, before a service renders it in its own envelope.

use quick_xml::escape::escape;
use serde_json::{Map, Value, json};

use crate::http::Answer;

/// Why an operation did not run or did not succeed. Everything the operation wrote is rolled back, unless it says
/// otherwise ([`Refusal::keep`]).
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Azure's error code.
    pub code: String,
    /// Azure's message.
    pub message: String,
    /// What the embedded Azure lacks, when that is the reason; answered as `x-sealbook-gap`.
    pub gap: Option<String>,
    /// What few refusals have; boxed, so that every `Result` of this crate stays small.
    pub rest: Box<Rest>,
}

/// The parts of a refusal that few have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rest {
    inner: Option<String>,
    details: Vec<Value>,
    headers: Vec<(&'static str, String)>,
    cause: Option<String>,
    /// Whether what the operation wrote stays.
    pub keeps: bool,
}

impl Refusal {
    /// A refusal with Azure's status, code and message.
    pub fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into(), gap: None, rest: Box::default() }
    }

    /// A failure of the embedded Azure itself: 500, with the cause kept for the log.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        let mut refusal = Self::new(500, "InternalServerError", "An internal server error occurred. Try again.");
        refusal.rest.cause = Some(cause.to_string());
        refusal
    }

    /// The cause of a failure of the embedded Azure itself: logged, never answered.
    pub fn cause(&self) -> Option<&str> {
        self.rest.cause.as_deref()
    }

    /// Sets further errors (ARM `details`).
    pub fn details(mut self, details: Vec<Value>) -> Self {
        self.rest.details = details;
        self
    }

    /// Sets the innermost code (`innererror.code` of Key Vault).
    pub fn inner(mut self, code: impl Into<String>) -> Self {
        self.rest.inner = Some(code.into());
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.rest.headers.push((name, value.into()));
        self
    }

    /// Keeps what the operation wrote: for refusals that must be remembered, such as a guess at a code.
    pub fn keep(mut self) -> Self {
        self.rest.keeps = true;
        self
    }

    /// Says that the embedded Azure lacks something that Azure has.
    pub fn gap(mut self, what: impl Into<String>) -> Self {
        self.gap = Some(what.into());
        self
    }

    /// Adds the headers to a rendered answer.
    fn finish(&self, mut answer: Answer) -> Answer {
        for (name, value) in &self.rest.headers {
            answer.set(name, value);
        }
        if let Some(gap) = &self.gap {
            answer.set("x-sealbook-gap", gap);
        }
        answer
    }

    /// Renders Azure Resource Manager's envelope.
    pub fn render_arm(&self) -> Answer {
        let answer = Answer::json(self.status, &json!({ "error": self.arm_error() }));
        self.finish(answer.header("x-ms-failure-cause", if self.status < 500 { "gateway" } else { "service" }))
    }

    /// The error object of Azure Resource Manager, also used in the status of a failed long-running operation.
    pub fn arm_error(&self) -> Value {
        let mut error = Map::new();
        error.insert("code".into(), self.code.clone().into());
        error.insert("message".into(), self.message.clone().into());
        if !self.rest.details.is_empty() {
            error.insert("details".into(), self.rest.details.clone().into());
        }
        Value::Object(error)
    }

    /// Renders Key Vault's data-plane envelope.
    pub fn render_key_vault(&self) -> Answer {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(inner) = &self.rest.inner {
            error["innererror"] = json!({ "code": inner });
        }
        self.finish(Answer::json(self.status, &json!({ "error": error })))
    }

    /// Renders the envelope of the query API of Log Analytics. The first of the details is the inner error.
    pub fn render_log_analytics(&self, correlation: &str) -> Answer {
        let mut error = json!({ "message": self.message, "code": self.code, "correlationId": correlation });
        if let Some(inner) = self.rest.details.first() {
            error["innererror"] = inner.clone();
        }
        self.finish(Answer::json(self.status, &json!({ "error": error })))
    }

    /// Renders Storage's XML envelope; `request_id` and `time` belong to its message. Text members of the details
    /// become elements after the message (`AuthenticationErrorDetail`).
    pub fn render_storage(&self, request_id: &str, time: &str) -> Answer {
        let message = format!("{}\nRequestId:{request_id}\nTime:{time}", self.message);
        let members = self.rest.details.iter().filter_map(Value::as_object).flatten();
        let details: String =
            members.filter_map(|(name, text)| Some(format!("<{name}>{}</{name}>", escape(text.as_str()?)))).collect();
        let body = format!(
            "<Error><Code>{}</Code><Message>{}</Message>{details}</Error>",
            escape(self.code.as_str()),
            escape(message.as_str())
        );
        self.finish(Answer::xml(self.status, &body).header("x-ms-error-code", &self.code))
    }

    /// Renders with another body but this refusal's headers.
    pub fn render_with(&self, body: &Value) -> Answer {
        self.finish(Answer::json(self.status, body))
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::internal(error)
    }
}

impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(error)
    }
}
