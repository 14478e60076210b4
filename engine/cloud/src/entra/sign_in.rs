//! The token endpoint: passwords, client secrets, refresh tokens and device codes.

use sealbook_crypto::SecretString;
use serde_json::{Value, json};
use zeroize::Zeroize as _;

use super::login::{self, Authority};
use super::{device, refresh};
use crate::cx::{Cx, PrincipalKind};
use crate::http::Answer;
use crate::identity::mint::{self, Proof};
use crate::identity::principals::{self, Principal};
use crate::identity::tenants;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::registry;

/// Microsoft's public clients that ask for tokens with a user's password: Azure CLI, Azure PowerShell,
/// Visual Studio, Visual Studio Code.
const PUBLIC_CLIENTS: &[(&str, &str)] = &[
    ("04b07795-8ddb-461a-bbee-02f9e1bf7b46", "Microsoft Azure CLI"),
    ("1950a258-227b-4e31-a9cf-717495945fc2", "Microsoft Azure PowerShell"),
    ("872cd9fa-d31f-45e0-9eab-6e460a02d1f1", "Visual Studio"),
    ("aebc6443-996d-45c2-90f0-388ff96faa56", "Visual Studio Code"),
];

/// Audience of a request that names no resource.
const GRAPH: &str = "https://graph.microsoft.com";

/// A form of a request, wiped when it goes: it holds passwords.
pub(super) struct Form(pub(super) Vec<(String, String)>);

impl Form {
    /// Value of a field.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Value of a field that must be there.
    pub(super) fn require(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).filter(|v| !v.is_empty()).ok_or_else(|| {
            invalid_request(format!("AADSTS900144: The request body must contain the following parameter: '{name}'."))
        })
    }
}

impl Drop for Form {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|(_, value)| value.zeroize());
    }
}

fn invalid_request(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "invalid_request", message)
}

/// `POST /{tenant}/oauth2/v2.0/token`: the resource is in `scope`; that of a device code in its own request.
pub(super) fn token_v2(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let form = Form(cx.request.form());
    let authority = login::authority(cx, params.get("tenant"))?;
    if form.get("grant_type") == Some(device::GRANT) {
        let granted = device::redeem(cx, &form, &authority)?;
        let who = SignedIn { principal: granted.principal, client: form.require("client_id")?, proof: Proof::Password };
        let audience = audience_of_scope(&granted.scope)?;
        return issue(cx, &form, &who, &audience, Some(&granted.scope));
    }
    let scope = form.get("scope").unwrap_or_default().to_owned();
    let who = sign_in(cx, &form, &authority)?;
    issue(cx, &form, &who, &audience_of_scope(&scope)?, Some(&scope))
}

/// `POST /{tenant}/oauth2/token`: the resource is in `resource`.
pub(super) fn token_v1(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let form = Form(cx.request.form());
    let audience = form.require("resource")?.to_owned();
    let authority = login::authority(cx, params.get("tenant"))?;
    let who = sign_in(cx, &form, &authority)?;
    issue(cx, &form, &who, &audience, None)
}

/// The resource in a scope: `https://vault.azure.net/.default` asks for `https://vault.azure.net`, and one slash more
/// before `.default` belongs to the resource.
pub(super) fn audience_of_scope(scope: &str) -> Result<String, Refusal> {
    let oidc = ["openid", "profile", "email", "offline_access"];
    let mut audiences = scope
        .split_ascii_whitespace()
        .filter(|s| !oidc.contains(s))
        .map(|s| s.rsplit_once('/').map_or(s, |(resource, _)| resource));
    let Some(first) = audiences.next() else {
        return Ok(GRAPH.to_owned());
    };
    if audiences.any(|a| a != first) {
        return Err(invalid_request(format!(
            "AADSTS28000: Provided value for the input parameter scope is not valid because it contains more than one \
             resource. Scope {scope} is not valid."
        )));
    }
    Ok(first.to_owned())
}

/// Refuses a resource that no service of this cloud is.
pub(super) fn require_audience(audience: &str) -> Result<(), Refusal> {
    let plain = audience.trim_end_matches('/');
    let host = plain.strip_prefix("https://").unwrap_or_default();
    let known =
        registry::services().any(|s| s.answers(host) || s.audiences().iter().any(|a| a.eq_ignore_ascii_case(plain)));
    if known {
        return Ok(());
    }
    Err(Refusal::new(
        400,
        "invalid_resource",
        format!(
            "AADSTS500011: The resource principal named {audience} was not found in the tenant. This can happen if the \
             application has not been installed by the administrator of the tenant or consented to by any user in the \
             tenant."
        ),
    ))
}

/// Who signed in, and how.
struct SignedIn<'a> {
    principal: Principal,
    client: &'a str,
    proof: Proof,
}

fn sign_in<'a>(cx: &mut Cx<'_>, form: &'a Form, authority: &Authority) -> Result<SignedIn<'a>, Refusal> {
    if let Authority::Tenant(tenant) = authority {
        cx.tenant.clone_from(&tenant.id);
    }
    let grant = form.require("grant_type")?;
    let client = form.require("client_id")?;
    let (principal, proof) = match grant {
        "client_credentials" => (client_secret(cx, form, client, authority)?, Proof::Secret),
        "password" => (password(cx, form, client, authority)?, Proof::Password),
        "refresh_token" => (refreshed(cx, form, client, authority)?, Proof::Password),
        other => {
            return Err(Refusal::new(
                400,
                "unsupported_grant_type",
                format!("AADSTS70003: The app requested an unsupported grant type '{other}'."),
            )
            .gap(format!("the grant type {other}")));
        }
    };
    Ok(SignedIn { principal, client, proof })
}

/// Whether a principal belongs to the tenant that an authority names.
pub(super) fn belongs(cx: &Cx<'_>, principal: &Principal, authority: &Authority) -> Result<bool, Refusal> {
    Ok(match authority {
        Authority::Shared => true,
        Authority::Tenant(tenant) => tenants::of_principal(cx.tx, &principal.oid)?.eq_ignore_ascii_case(&tenant.id),
    })
}

fn issue(
    cx: &mut Cx<'_>,
    form: &Form,
    who: &SignedIn<'_>,
    audience: &str,
    scope: Option<&str>,
) -> Result<Answer, Refusal> {
    let SignedIn { principal, client, proof } = who;
    require_audience(audience)?;
    let minted = mint::access_token(cx, principal, client, audience, *proof)?;
    // The token's secrets enter the answer here and nowhere else.
    let mut body = json!({
        "token_type": "Bearer",
        "expires_in": minted.expires_in,
        "ext_expires_in": minted.expires_in,
        "access_token": minted.token.expose(),
    });
    match scope {
        Some(_) if principal.kind == PrincipalKind::User => {
            body["scope"] = format!("{audience}/user_impersonation {audience}/.default").into();
        }
        Some(_) => {}
        None => {
            body["expires_in"] = minted.expires_in.to_string().into();
            body["ext_expires_in"] = minted.expires_in.to_string().into();
            body["expires_on"] = minted.expires_on.to_string().into();
            body["not_before"] = minted.not_before.to_string().into();
            body["resource"] = audience.into();
        }
    }
    if principal.kind == PrincipalKind::User {
        user_tokens(cx, form, principal, client, scope, &mut body)?;
    }
    Ok(Answer::ok(&body))
}

fn user_tokens(
    cx: &Cx<'_>,
    form: &Form,
    principal: &Principal,
    client: &str,
    scope: Option<&str>,
    body: &mut Value,
) -> Result<(), Refusal> {
    let asked = |name: &str| scope.is_none_or(|s| s.split_ascii_whitespace().any(|s| s == name));
    if asked("openid") {
        body["id_token"] = mint::id_token(cx, principal, client)?.expose().into();
    }
    if asked("offline_access") {
        body["refresh_token"] = refresh::issue(cx, &principal.oid, client)?.expose().into();
        body["foci"] = "1".into();
    }
    if form.get("client_info") == Some("1") {
        body["client_info"] = mint::client_info(cx, principal)?.into();
    }
    Ok(())
}

fn client_secret(cx: &Cx<'_>, form: &Form, client: &str, authority: &Authority) -> Result<Principal, Refusal> {
    let found = match principals::by_app_id(cx.tx, client)? {
        Some(principal) if !principal.managed && belongs(cx, &principal, authority)? => Some(principal),
        _ => None,
    };
    let principal = found.ok_or_else(|| {
        let tenant = &cx.tenant;
        Refusal::new(
            400,
            "unauthorized_client",
            format!(
                "AADSTS700016: Application with identifier '{client}' was not found in the directory '{tenant}'. \
                     This can happen if the application has not been installed by the administrator of the tenant or \
                     consented to by any user in the tenant."
            ),
        )
    })?;
    let Some(given) = form.get("client_secret") else {
        if form.get("client_assertion").is_some() {
            return Err(Refusal::new(
                401,
                "invalid_client",
                "AADSTS700027: The client assertion can't be verified: no certificate is registered for the application.",
            )
            .gap("client assertions"));
        }
        return Err(Refusal::new(
            401,
            "invalid_client",
            "AADSTS7000216: 'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' \
             grant type.",
        ));
    };
    if !principals::secret_matches(cx, &principal.oid, &SecretString::from(given))? {
        return Err(Refusal::new(
            401,
            "invalid_client",
            format!(
                "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the \
                 client secret value, not the client secret ID, for a secret added to app '{client}'."
            ),
        ));
    }
    Ok(principal)
}

/// Name of a client that may sign users in without a secret of its own; every other one is refused.
pub(super) fn public_client(cx: &Cx<'_>, client: &str) -> Result<String, Refusal> {
    if let Some((_, name)) = PUBLIC_CLIENTS.iter().find(|(id, _)| id.eq_ignore_ascii_case(client)) {
        return Ok((*name).to_owned());
    }
    if principals::by_app_id(cx.tx, client)?.is_some() {
        return Err(Refusal::new(
            401,
            "invalid_client",
            "AADSTS7000218: The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
        ));
    }
    Err(Refusal::new(
        400,
        "unauthorized_client",
        format!("AADSTS700016: Application with identifier '{client}' was not found in the directory '{}'.", cx.tenant),
    ))
}

fn password(cx: &Cx<'_>, form: &Form, client: &str, authority: &Authority) -> Result<Principal, Refusal> {
    public_client(cx, client)?;
    let user = form.require("username")?;
    let given = SecretString::from(form.require("password")?);
    let found = match principals::by_upn(cx.tx, user)? {
        Some(principal) if belongs(cx, &principal, authority)? => Some(principal),
        _ => None,
    };
    let Some(principal) = found else {
        return Err(Refusal::new(
            400,
            "invalid_grant",
            format!(
                "AADSTS50034: The user account {user} does not exist in the {} directory. To sign into this \
                 application, the account must be added to the directory.",
                cx.tenant
            ),
        ));
    };
    if !principals::secret_matches(cx, &principal.oid, &given)? {
        return Err(Refusal::new(
            400,
            "invalid_grant",
            "AADSTS50126: Error validating credentials due to invalid username or password.",
        ));
    }
    Ok(principal)
}

fn refreshed(cx: &Cx<'_>, form: &Form, client: &str, authority: &Authority) -> Result<Principal, Refusal> {
    let token = SecretString::from(form.require("refresh_token")?);
    let principal = match refresh::redeem(cx, &token, client)? {
        Some(oid) => principals::get(cx.tx, &oid)?,
        None => None,
    };
    let principal = principal.ok_or_else(|| {
        Refusal::new(
            400,
            "invalid_grant",
            "AADSTS70000: Provided grant is invalid or malformed: the refresh token is unknown or has expired.",
        )
    })?;
    if !belongs(cx, &principal, authority)? {
        return Err(Refusal::new(
            400,
            "invalid_grant",
            format!(
                "AADSTS50020: User account '{}' from identity provider '{}' does not exist in tenant '{}' and cannot \
                 access the application '{client}' in that tenant. The account needs to be added as an external user \
                 in the tenant first.",
                principal.upn.as_deref().unwrap_or(&principal.name),
                mint::issuer(&tenants::of_principal(cx.tx, &principal.oid)?),
                cx.tenant
            ),
        ));
    }
    Ok(principal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audiences() {
        let table = [
            ("https://vault.azure.net/.default", "https://vault.azure.net"),
            ("https://management.core.windows.net//.default", "https://management.core.windows.net/"),
            ("https://management.azure.com/.default openid profile offline_access", "https://management.azure.com"),
            ("https://management.azure.com/user_impersonation", "https://management.azure.com"),
            ("openid profile", GRAPH),
            ("https://storage.azure.com/.default", "https://storage.azure.com"),
        ];
        for (scope, expected) in table {
            assert_eq!(audience_of_scope(scope).unwrap(), expected, "{scope}");
        }
        assert!(audience_of_scope("https://a.example/.default https://b.example/.default").is_err());
    }
}
