//! User name and password, for the learner of the embedded Azure.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::Error;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_core::http::headers::{CONTENT_TYPE, content_type};
use azure_core::http::{ClientOptions, Method, Pipeline, Request, Url};
use azure_core::time::OffsetDateTime;
use sealbook_crypto::SecretString;
use serde::Deserialize;

/// The Azure CLI's application id: the public client that Azure's own services know.
const PUBLIC_CLIENT: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";

/// The password grant against Entra's v2.0 token endpoint.
pub(super) struct PasswordCredential {
    endpoint: Url,
    user: String,
    password: SecretString,
    pipeline: Pipeline,
}

impl fmt::Debug for PasswordCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordCredential").field("user", &self.user).finish_non_exhaustive()
    }
}

impl PasswordCredential {
    pub fn new(tenant: &str, user: &str, password: SecretString, options: ClientOptions) -> azure_core::Result<Self> {
        let plain = !tenant.is_empty() && tenant.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
        if !plain {
            let message = format!("{tenant:?} is neither a tenant id nor a domain");
            return Err(Error::with_message(ErrorKind::Credential, message));
        }
        let endpoint = format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token").parse()?;
        let (name, version) = (option_env!("CARGO_PKG_NAME"), option_env!("CARGO_PKG_VERSION"));
        let pipeline = Pipeline::new(name, version, options, Vec::new(), Vec::new(), None);
        Ok(Self { endpoint, user: user.to_owned(), password, pipeline })
    }
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u64,
}

#[async_trait]
impl TokenCredential for PasswordCredential {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        // A query and a form are encoded the same way.
        let mut form = self.endpoint.clone();
        form.query_pairs_mut()
            .append_pair("client_id", PUBLIC_CLIENT)
            .append_pair("grant_type", "password")
            .append_pair("username", &self.user)
            .append_pair("password", self.password.expose())
            .append_pair("scope", &scopes.join(" "));
        let body = form.query().unwrap_or_default().to_owned();
        let mut request = Request::new(self.endpoint.clone(), Method::Post);
        request.insert_header(CONTENT_TYPE, content_type::APPLICATION_X_WWW_FORM_URLENCODED);
        request.insert_header("accept", "application/json");
        request.set_body(body);
        let options = options.unwrap_or_default();
        let answer = self.pipeline.send(&options.method_options.context, &mut request, None).await?;
        let granted: Granted = answer.body().json()?;
        let expires_on = OffsetDateTime::now_utc() + Duration::from_secs(granted.expires_in);
        Ok(AccessToken::new(granted.access_token, expires_on))
    }
}
