//! The one place that decides whether a request is sent again.
//!
//! `azure_core`'s own retry policy sends writes again after a lost connection, and nobody could then tell what the
//! first attempt did. So it is switched off everywhere, and [`Retry`] stands in its place, around token and transport:
//!
//! | what happened                                  | reads | writes |
//! | ---------------------------------------------- | ----- | ------ |
//! | never reached the service                      | again | again  |
//! | 429, with a `Retry-After` that is short enough | again | again  |
//! | 401 with a token (it was revoked or outdated)  | once  | once   |
//! | 408, 500, 502, 503, 504                        | again | no     |
//! | connection lost, no answer in time             | again | no     |
//!
//! What is not sent again here comes back as an error, and the run loop reconciles before it decides.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::Error;
use azure_core::error::ErrorKind;
use azure_core::http::headers::{AUTHORIZATION, Headers, RETRY_AFTER, RETRY_AFTER_MS, X_MS_RETRY_AFTER_MS};
use azure_core::http::policies::{Policy, PolicyResult, get_retry_after};
use azure_core::http::{Context, Method, Request, StatusCode};
use azure_core::time::OffsetDateTime;
use tracing::debug;

/// How often and how long requests are repeated inside one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryRules {
    /// Most attempts, the first one included.
    pub attempts: u32,
    /// Wait before the second attempt; doubles from there.
    pub first_delay: Duration,
    /// Longest wait of our own choosing.
    pub longest_delay: Duration,
    /// Longest `Retry-After` that is waited for inside a call. A longer one comes back as an error that carries it, so
    /// that a run can park instead of blocking.
    pub longest_retry_after: Duration,
    /// Deadline of one attempt.
    pub attempt_timeout: Duration,
}

impl Default for RetryRules {
    fn default() -> Self {
        Self {
            attempts: 5,
            first_delay: Duration::from_millis(300),
            longest_delay: Duration::from_secs(8),
            longest_retry_after: Duration::from_secs(20),
            attempt_timeout: Duration::from_secs(180),
        }
    }
}

/// Marks a request as a read although its method says otherwise (`wrapKey`, `checkNameAvailability`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Repeatable;

/// The policy. Goes before everything that a repetition must do afresh, the token included.
#[derive(Debug)]
pub(crate) struct Retry(pub RetryRules);

enum Verdict {
    Final,
    Again(Option<Duration>),
    AgainOnce,
}

#[async_trait]
impl Policy for Retry {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        // Key Vault's policy takes the body out for its first, tokenless attempt: keep one to start over with.
        let pristine = request.clone();
        let reads = ctx.value::<Repeatable>().is_some() || is_read(request);
        let mut renewed = false;
        let mut attempt = 1;
        loop {
            let sent = tokio::time::timeout(self.0.attempt_timeout, next[0].send(ctx, request, &next[1..])).await;
            let result = sent.unwrap_or_else(|_| {
                let waited = self.0.attempt_timeout.as_secs();
                let host = request.url().host_str().unwrap_or_default();
                Err(Error::with_message(ErrorKind::Io, format!("{host} did not answer within {waited} s")))
            });
            let had_token = request.headers().get_optional_str(&AUTHORIZATION).is_some();
            let retry_after = match judge(&result, reads, had_token) {
                Verdict::Final => return result,
                Verdict::AgainOnce if renewed => return result,
                Verdict::AgainOnce => {
                    renewed = true;
                    Some(Duration::ZERO)
                }
                Verdict::Again(retry_after) => retry_after,
            };
            if attempt >= self.0.attempts || retry_after.is_some_and(|delay| delay > self.0.longest_retry_after) {
                return result;
            }
            let delay = retry_after.unwrap_or_else(|| self.backoff(attempt));
            debug!(method = %request.method(), attempt, ?delay, "sending the request again");
            tokio::time::sleep(delay).await;
            attempt += 1;
            *request = pristine.clone();
            request.body_mut().reset().await?;
        }
    }
}

impl Retry {
    /// Doubles per attempt, with half of it left to chance so that clients do not come back in step.
    fn backoff(&self, attempt: u32) -> Duration {
        let full = self.0.first_delay.saturating_mul(1 << (attempt - 1).min(10)).min(self.0.longest_delay);
        let [chance] = sealbook_crypto::random::<1>();
        full / 2 + full / 2 * u32::from(chance) / 255
    }
}

/// Tells whether repeating a request cannot do anything twice, judged by the request alone.
fn is_read(request: &Request) -> bool {
    match request.method() {
        Method::Get | Method::Head => true,
        // A block counts only once a block list names it.
        Method::Put => request.url().query_pairs().any(|(name, value)| name == "comp" && value == "block"),
        _ => false,
    }
}

fn judge(result: &PolicyResult, reads: bool, had_token: bool) -> Verdict {
    match result {
        Ok(answer) => match answer.status() {
            StatusCode::TooManyRequests => Verdict::Again(retry_after(answer.headers())),
            StatusCode::Unauthorized if had_token => Verdict::AgainOnce,
            StatusCode::RequestTimeout
            | StatusCode::InternalServerError
            | StatusCode::BadGateway
            | StatusCode::ServiceUnavailable
            | StatusCode::GatewayTimeout
                if reads =>
            {
                Verdict::Again(retry_after(answer.headers()))
            }
            _ => Verdict::Final,
        },
        Err(error) => match error.kind() {
            ErrorKind::Connection => Verdict::Again(None),
            ErrorKind::Io if reads => Verdict::Again(None),
            _ => Verdict::Final,
        },
    }
}

/// Reads how long the service asks to wait: `Retry-After` in seconds or as a date (RFC 9110), or Azure's headers in
/// milliseconds.
pub(crate) fn retry_after(headers: &Headers) -> Option<Duration> {
    get_retry_after(headers, OffsetDateTime::now_utc, &[X_MS_RETRY_AFTER_MS, RETRY_AFTER_MS, RETRY_AFTER])
        .map(|delay| Duration::try_from(delay).unwrap_or_default())
}
