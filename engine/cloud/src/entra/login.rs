//! `login.microsoftonline.com`: discovery documents, keys and the token endpoints.

use http::Method;
use serde_json::{Value, json};

use super::{device, device_page, sign_in};
use crate::cx::{Caller, Cx};
use crate::http::Answer;
use crate::identity::tenants::{self, Tenant};
use crate::identity::token::TokenError;
use crate::identity::{keys, mint};
use crate::operation::{Access, Operation, Params, Run};
use crate::refusal::Refusal;
use crate::service::Service;

/// The sign-in service.
pub(super) struct Login;

const AUTHORITY: &str = "https://login.microsoftonline.com";

const fn open(name: &'static str, method: Method, path: &'static str, run: Run) -> Operation {
    Operation { name, method, path, when: &[], api: &[], access: Access::Open, lro: false, run }
}

static OPERATIONS: &[Operation] = &[
    open(
        "Entra_OpenIdConfigurationV2",
        Method::GET,
        "/{tenant}/v2.0/.well-known/openid-configuration",
        configuration_v2,
    ),
    open("Entra_OpenIdConfiguration", Method::GET, "/{tenant}/.well-known/openid-configuration", configuration_v1),
    open("Entra_KeysV2", Method::GET, "/{tenant}/discovery/v2.0/keys", published_keys),
    open("Entra_Keys", Method::GET, "/{tenant}/discovery/keys", published_keys),
    open("Entra_InstanceDiscovery", Method::GET, "/{tenant}/discovery/instance", instance),
    open("Entra_UserRealm", Method::GET, "/{tenant}/userrealm/{user}", realm),
    open("Entra_DeviceCode", Method::POST, "/{tenant}/oauth2/v2.0/devicecode", device::start),
    open("Entra_DevicePage", Method::GET, "/{tenant}/oauth2/deviceauth", device_page::show),
    open("Entra_DeviceSignIn", Method::POST, "/{tenant}/oauth2/deviceauth", device_page::submit),
    open("Entra_TokenV2", Method::POST, "/{tenant}/oauth2/v2.0/token", sign_in::token_v2),
    open("Entra_Token", Method::POST, "/{tenant}/oauth2/token", sign_in::token_v1),
];

/// What the first segment of a path names.
pub(super) enum Authority {
    /// Any tenant: `common` or `organizations`. Who signs in decides.
    Shared,
    /// This tenant.
    Tenant(Tenant),
}

/// The authority that a path names; a tenant that does not exist is refused.
pub(super) fn authority(cx: &Cx<'_>, given: &str) -> Result<Authority, Refusal> {
    if matches!(given.to_ascii_lowercase().as_str(), "common" | "organizations") {
        return Ok(Authority::Shared);
    }
    tenants::find(cx.tx, given)?.map(Authority::Tenant).ok_or_else(|| {
        Refusal::new(
            400,
            "invalid_request",
            format!(
                "AADSTS90002: Tenant '{given}' not found. Check to make sure you have the correct tenant ID and are \
                 signing into the correct cloud. Check with your subscription administrator, this may happen if there \
                 are no active subscriptions for the tenant."
            ),
        )
    })
}

fn configuration(cx: &Cx<'_>, params: &Params, v2: bool) -> Result<Answer, Refusal> {
    let given = params.get("tenant");
    let authority = authority(cx, given)?;
    let (shared, path, tid) = match &authority {
        Authority::Shared => (true, given, "{tenantid}"),
        Authority::Tenant(tenant) => (false, tenant.id.as_str(), tenant.id.as_str()),
    };
    let (version, issuer) = if v2 { ("/v2.0", mint::issuer_v2(tid)) } else { ("", mint::issuer(tid)) };
    Ok(Answer::ok(&json!({
        "token_endpoint": format!("{AUTHORITY}/{path}/oauth2{version}/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "jwks_uri": format!("{AUTHORITY}/{path}/discovery{version}/keys"),
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": issuer,
        "request_uri_parameter_supported": false,
        "userinfo_endpoint": "https://graph.microsoft.com/oidc/userinfo",
        "authorization_endpoint": format!("{AUTHORITY}/{path}/oauth2{version}/authorize"),
        "device_authorization_endpoint": format!("{AUTHORITY}/{path}/oauth2{version}/devicecode"),
        "http_logout_supported": true,
        "frontchannel_logout_supported": true,
        "end_session_endpoint": format!("{AUTHORITY}/{path}/oauth2{version}/logout"),
        "claims_supported": [
            "sub", "iss", "cloud_instance_name", "cloud_instance_host_name", "cloud_graph_host_name",
            "msgraph_host", "aud", "exp", "iat", "auth_time", "acr", "nonce", "preferred_username", "name", "tid",
            "ver", "at_hash", "c_hash", "email",
        ],
        "tenant_region_scope": if shared { Value::Null } else { "EU".into() },
        "cloud_instance_name": "microsoftonline.com",
        "cloud_graph_host_name": "graph.windows.net",
        "msgraph_host": "graph.microsoft.com",
        "rbac_url": "https://pas.windows.net",
    })))
}

fn configuration_v2(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    configuration(cx, params, true)
}

fn configuration_v1(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    configuration(cx, params, false)
}

fn published_keys(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let issuer = match authority(cx, params.get("tenant"))? {
        Authority::Shared => mint::issuer_v2("{tenantid}"),
        Authority::Tenant(tenant) => mint::issuer_v2(&tenant.id),
    };
    Ok(Answer::ok(&keys::jwks(cx, &issuer)?))
}

/// Instance discovery: which hosts are the same authority.
fn instance(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    Ok(Answer::ok(&json!({
        "tenant_discovery_endpoint": format!("{AUTHORITY}/{}/v2.0/.well-known/openid-configuration", cx.tenant),
        "api-version": "1.1",
        "metadata": [{
            "preferred_network": "login.microsoftonline.com",
            "preferred_cache": "login.windows.net",
            "aliases": [
                "login.microsoftonline.com",
                "login.windows.net",
                "login.microsoft.com",
                "sts.windows.net",
            ],
        }],
    })))
}

/// Whether a user name belongs to a tenant of this cloud (`Managed`) or to nobody (`Unknown`).
fn realm(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let user = params.get("user");
    let domain = user.rsplit('@').next().unwrap_or_default();
    let tenant = tenants::all(cx.tx)?.into_iter().find(|t| t.domain.eq_ignore_ascii_case(domain));
    Ok(Answer::ok(&if let Some(tenant) = tenant {
        json!({
            "ver": "1.0",
            "account_type": "Managed",
            "domain_name": tenant.domain,
            "cloud_instance_name": "microsoftonline.com",
            "cloud_audience_urn": "urn:federation:MicrosoftOnline",
        })
    } else {
        json!({ "ver": "1.0", "account_type": "Unknown", "cloud_instance_name": "microsoftonline.com" })
    }))
}

impl Service for Login {
    fn name(&self) -> &'static str {
        "entra"
    }

    fn answers(&self, host: &str) -> bool {
        matches!(host, "login.microsoftonline.com" | "login.windows.net" | "login.microsoft.com" | "sts.windows.net")
    }

    fn tables(&self) -> Vec<&'static [Operation]> {
        vec![OPERATIONS]
    }

    fn authenticate(&self, _: &Cx<'_>) -> Result<Caller, Refusal> {
        Ok(Caller::default())
    }

    fn unauthorized(&self, _: &Cx<'_>, error: &TokenError) -> Refusal {
        Refusal::new(401, "invalid_token", error.to_string())
    }

    fn scope(&self, _: &Cx<'_>, _: &'static Operation, _: &Params) -> Result<String, Refusal> {
        Ok("/".to_owned())
    }

    fn forbidden(&self, _: &Cx<'_>, _: &str, _: &str) -> Refusal {
        Refusal::new(403, "access_denied", "Access is denied.")
    }

    fn wrong_version(&self, _: &Cx<'_>, _: &'static Operation, _: &Params, _: Option<&str>) -> Refusal {
        Refusal::new(400, "invalid_request", "The version is not supported.")
    }

    fn throttled(&self, _: &Cx<'_>) -> Refusal {
        Refusal::new(429, "temporarily_unavailable", "AADSTS90055: The server is temporarily too busy.")
    }

    fn unknown(&self, cx: &Cx<'_>) -> Refusal {
        Refusal::new(
            404,
            "invalid_request",
            format!("AADSTS90013: The path '{}' is not a valid endpoint.", cx.request.path),
        )
    }

    /// Entra's own error document, as OAuth 2.0 (RFC 6749 §5.2) with Microsoft's additions.
    fn render(&self, cx: &Cx<'_>, refusal: &Refusal) -> Answer {
        let number = refusal
            .message
            .strip_prefix("AADSTS")
            .and_then(|m| m.split(':').next())
            .and_then(|n| n.parse::<u32>().ok());
        let trace = cx.request_id.to_string();
        let time = cx.wall.format("%Y-%m-%d %H:%M:%SZ").to_string();
        refusal.render_with(&json!({
            "error": refusal.code,
            "error_description": format!(
                "{} Trace ID: {trace} Correlation ID: {} Timestamp: {time}",
                refusal.message, cx.correlation_id
            ),
            "error_codes": number.into_iter().collect::<Vec<_>>(),
            "timestamp": time,
            "trace_id": trace,
            "correlation_id": cx.correlation_id,
        }))
    }

    fn finish(&self, _: &Cx<'_>, answer: &mut Answer) {
        answer.set("cache-control", "no-store, no-cache");
        answer.set("x-content-type-options", "nosniff");
        answer.set("pragma", "no-cache");
    }
}
