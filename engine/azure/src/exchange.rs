//! One request with JSON over a pipeline, and its answer read to its end: what the services share for which no official
//! Rust client exists.

use azure_core::http::headers::{HeaderName, Headers};
use azure_core::http::{Context, Pipeline, PipelineSendOptions, Request};
use bytes::Bytes;
use serde_json::Value;

use crate::error::{AzureError, Effect, Kind};
use crate::retry::Repeatable;

/// An answer, read to its end.
pub(crate) struct Reply {
    pub status: u16,
    pub headers: Headers,
    pub body: Bytes,
}

impl Reply {
    /// Reads the body; `None` when there is none.
    pub fn json(&self) -> Result<Option<Value>, AzureError> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        serde_json::from_slice(&self.body).map(Some).map_err(|error| {
            AzureError::new(Kind::Other, "UnreadableAnswer", format!("the service answered no JSON: {error}"))
        })
    }

    /// Reads the body of a success.
    pub fn ok(&self, effect: Effect) -> Result<Option<Value>, AzureError> {
        if self.is_success() { self.json() } else { Err(self.error(effect)) }
    }

    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub fn error(&self, effect: Effect) -> AzureError {
        AzureError::from_answer(self.status, &self.headers, &self.body, effect)
    }

    pub fn header(&self, name: &'static str) -> Option<String> {
        self.headers.get_optional_string(&HeaderName::from_static(name))
    }
}

/// Sends a request, with a body if there is one. Any answer is a reply, whatever its status.
pub(crate) async fn send(
    pipeline: &Pipeline,
    mut request: Request,
    body: Option<&Value>,
    effect: Effect,
) -> Result<Reply, AzureError> {
    let failed = |error: azure_core::Error| AzureError::from_core(&error, effect);
    request.insert_header("accept", "application/json");
    if let Some(body) = body {
        request.insert_header("content-type", "application/json");
        request.set_json(body).map_err(failed)?;
    }
    let context = match effect {
        Effect::Read => Context::new().with_value(Repeatable),
        Effect::Write => Context::new(),
    };
    let options = PipelineSendOptions { skip_checks: true, ..PipelineSendOptions::default() };
    let answer = pipeline.send(&context, &mut request, Some(options)).await.map_err(failed)?;
    let (status, headers, body) = answer.deconstruct();
    Ok(Reply { status: status.into(), headers, body: body.into() })
}
