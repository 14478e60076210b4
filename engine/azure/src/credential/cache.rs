//! Tokens, kept until shortly before they expire.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_core::http::headers::AUTHORIZATION;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Request, StatusCode};
use tokio::sync::Mutex;

use super::sign_in_error;
use crate::azure::Clock;

/// How long before its end a token is renewed; `azure_core`'s policy uses the same margin.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// One cache for all clients: without it every vault and every account would ask `az` again, at a second each.
pub(crate) struct Tokens {
    source: Arc<dyn TokenCredential>,
    clock: Clock,
    kept: Mutex<HashMap<String, AccessToken>>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Makes an empty cache in front of `source`.
    pub fn new(source: Arc<dyn TokenCredential>, clock: Clock) -> Arc<Self> {
        Arc::new(Self { source, clock, kept: Mutex::default() })
    }

    fn is_fresh(&self, token: &AccessToken) -> bool {
        let until: SystemTime = token.expires_on.into();
        until > self.clock.now() + MARGIN
    }

    async fn forget(&self, authorization: &str) {
        let mut kept = self.kept.lock().await;
        kept.retain(|_, token| authorization.strip_prefix("Bearer ") != Some(token.token.secret()));
    }
}

#[async_trait]
impl TokenCredential for Tokens {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let key = scopes.join(" ");
        // Held while asking, so that many requests at once ask for one token.
        let mut kept = self.kept.lock().await;
        if let Some(token) = kept.get(&key)
            && self.is_fresh(token)
        {
            return Ok(token.clone());
        }
        match self.source.get_token(scopes, options).await {
            Ok(token) => {
                kept.insert(key, token.clone());
                Ok(token)
            }
            Err(error) => match kept.get(&key) {
                // Near its end, but still good: the next request asks again.
                Some(token) if SystemTime::from(token.expires_on) > self.clock.now() => Ok(token.clone()),
                _ => Err(azure_core::Error::new(ErrorKind::Credential, sign_in_error(&error))),
            },
        }
    }
}

/// Drops a token that a service refused, so that the next attempt gets another.
#[derive(Debug)]
pub(crate) struct ForgetRejected(pub Arc<Tokens>);

#[async_trait]
impl Policy for ForgetRejected {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let answer = next[0].send(ctx, request, &next[1..]).await?;
        if answer.status() == StatusCode::Unauthorized
            && let Some(authorization) = request.headers().get_optional_str(&AUTHORIZATION)
        {
            self.0.forget(authorization).await;
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as Plain;

    use azure_core::Error;
    use azure_core::time::OffsetDateTime;

    use super::*;
    use crate::error::{AzureError, Kind};

    /// Gives out numbered tokens of one hour by its own clock, until it refuses.
    #[derive(Debug)]
    struct Source {
        now: Arc<Plain<SystemTime>>,
        asked: Plain<u32>,
        refuses: Plain<bool>,
    }

    #[async_trait]
    impl TokenCredential for Source {
        async fn get_token(&self, _: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
            if *self.refuses.lock().unwrap() {
                return Err(Error::with_message(ErrorKind::Credential, "signed out"));
            }
            let mut asked = self.asked.lock().unwrap();
            *asked += 1;
            let until = *self.now.lock().unwrap() + Duration::from_secs(3600);
            Ok(AccessToken::new(format!("t{asked}"), OffsetDateTime::from(until)))
        }
    }

    fn cache() -> (Arc<Tokens>, Arc<Source>, Arc<Plain<SystemTime>>) {
        let now = Arc::new(Plain::new(SystemTime::UNIX_EPOCH));
        let source = Arc::new(Source { now: Arc::clone(&now), asked: Plain::default(), refuses: Plain::default() });
        let clock = Arc::clone(&now);
        let tokens =
            Tokens::new(Arc::clone(&source) as Arc<dyn TokenCredential>, Clock::new(move || *clock.lock().unwrap()));
        (tokens, source, now)
    }

    async fn token(tokens: &Tokens, scope: &str) -> String {
        tokens.get_token(&[scope], None).await.unwrap().token.secret().to_owned()
    }

    #[tokio::test]
    async fn tokens_are_kept_per_scope_until_shortly_before_their_end() {
        let (tokens, _, now) = cache();
        assert_eq!(token(&tokens, "a").await, "t1");
        assert_eq!(token(&tokens, "b").await, "t2");
        assert_eq!(token(&tokens, "a").await, "t1");
        *now.lock().unwrap() += Duration::from_secs(54 * 60);
        assert_eq!(token(&tokens, "a").await, "t1");
        *now.lock().unwrap() += Duration::from_secs(60);
        assert_eq!(token(&tokens, "a").await, "t3");
    }

    #[tokio::test]
    async fn a_token_near_its_end_outlives_a_failed_renewal() {
        let (tokens, source, now) = cache();
        assert_eq!(token(&tokens, "a").await, "t1");
        *source.refuses.lock().unwrap() = true;
        *now.lock().unwrap() += Duration::from_secs(58 * 60);
        assert_eq!(token(&tokens, "a").await, "t1");
        *now.lock().unwrap() += Duration::from_secs(3 * 60);
        let error = tokens.get_token(&["a"], None).await.unwrap_err();
        let own: &AzureError = error.downcast_ref().unwrap();
        assert_eq!((own.kind, own.message.as_str()), (Kind::SignIn, "signed out"));
    }

    #[tokio::test]
    async fn a_refused_token_is_forgotten_and_no_other() {
        let (tokens, _, _) = cache();
        let (a, b) = (token(&tokens, "a").await, token(&tokens, "b").await);
        tokens.forget(&format!("Bearer {a}")).await;
        assert_eq!((token(&tokens, "a").await, token(&tokens, "b").await), ("t3".into(), b));
    }
}
