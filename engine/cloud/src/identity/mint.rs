//! Issues tokens with the claims that Microsoft Entra puts into them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, Header};
use sealbook_crypto::SecretString;
use serde_json::{Value, json};

use super::keys;
use super::principals::Principal;
use super::tenants;
use crate::cx::{Cx, PrincipalKind};
use crate::refusal::Refusal;

/// How a principal signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Password of a user, through a public client.
    Password,
    /// Client secret.
    Secret,
    /// Managed identity.
    Managed,
}

/// A fresh access token.
#[derive(Debug)]
pub(crate) struct Minted {
    /// The token.
    pub token: SecretString,
    /// Seconds until it expires.
    pub expires_in: i64,
    /// When it expires, in seconds since the epoch.
    pub expires_on: i64,
    /// From when it is valid, in seconds since the epoch.
    pub not_before: i64,
}

/// Issuer of access tokens (v1.0 tokens, which Azure's own resources ask for).
pub(crate) fn issuer(tenant: &str) -> String {
    format!("https://sts.windows.net/{tenant}/")
}

/// Issuer of id tokens (v2.0).
pub(crate) fn issuer_v2(tenant: &str) -> String {
    format!("https://login.microsoftonline.com/{tenant}/v2.0")
}

fn sign(cx: &Cx<'_>, claims: &Value) -> Result<SecretString, Refusal> {
    let (kid, key) = keys::signing(cx)?;
    let header = Header { typ: Some("JWT".to_owned()), kid: Some(kid), ..Header::new(Algorithm::RS256) };
    jsonwebtoken::encode(&header, claims, &key).map(SecretString::new).map_err(Refusal::internal)
}

/// Issues an access token for `audience` to `principal`, asked for by `client` (an application id).
pub(crate) fn access_token(
    cx: &Cx<'_>,
    principal: &Principal,
    client: &str,
    audience: &str,
    proof: Proof,
) -> Result<Minted, Refusal> {
    let lifetime = if proof == Proof::Managed { 86_400 } else { 3_600 };
    let now = cx.wall.timestamp();
    // Entra dates a token five minutes back, so that a reader whose clock is behind still accepts it.
    let not_before = now - 300;
    let expires_on = now + lifetime - 1;
    let tenant = tenants::of_principal(cx.tx, &principal.oid)?;
    let issuer = issuer(&tenant);
    let mut claims = json!({
        "aud": audience,
        "iss": issuer,
        "iat": not_before,
        "nbf": not_before,
        "exp": expires_on,
        "aio": URL_SAFE_NO_PAD.encode(cx.random::<24>()),
        "appid": client,
        "appidacr": match proof { Proof::Password => "0", Proof::Secret => "1", Proof::Managed => "2" },
        "oid": principal.oid,
        "rh": URL_SAFE_NO_PAD.encode(cx.random::<24>()),
        "tid": tenant,
        "uti": URL_SAFE_NO_PAD.encode(cx.random::<16>()),
        "ver": "1.0",
        "xms_tcdt": 1_600_000_000,
    });
    match principal.kind {
        PrincipalKind::User => {
            claims["acr"] = "1".into();
            claims["amr"] = json!(["pwd"]);
            claims["idtyp"] = "user".into();
            claims["ipaddr"] = "127.0.0.1".into();
            claims["name"] = principal.name.clone().into();
            claims["scp"] = "user_impersonation".into();
            claims["sub"] = pairwise(&principal.oid, audience).into();
            claims["unique_name"] = principal.upn.clone().into();
            claims["upn"] = principal.upn.clone().into();
        }
        PrincipalKind::ServicePrincipal => {
            claims["idp"] = issuer.into();
            claims["idtyp"] = "app".into();
            claims["sub"] = principal.oid.clone().into();
        }
    }
    if let (true, Some(resource)) = (principal.managed, &principal.resource) {
        claims["xms_mirid"] = resource.clone().into();
        claims["xms_az_rid"] = resource.clone().into();
    }
    Ok(Minted { token: sign(cx, &claims)?, expires_in: lifetime - 1, expires_on, not_before })
}

/// Issues the OpenID Connect id token that a public client asks for.
pub(crate) fn id_token(cx: &Cx<'_>, principal: &Principal, client: &str) -> Result<SecretString, Refusal> {
    let now = cx.wall.timestamp();
    let tenant = tenants::of_principal(cx.tx, &principal.oid)?;
    let claims = json!({
        "aud": client,
        "iss": issuer_v2(&tenant),
        "iat": now - 300,
        "nbf": now - 300,
        "exp": now + 3_600,
        "name": principal.name,
        "oid": principal.oid,
        "preferred_username": principal.upn,
        "sub": pairwise(&principal.oid, client),
        "tid": tenant,
        "uti": URL_SAFE_NO_PAD.encode(cx.random::<16>()),
        "ver": "2.0",
    });
    sign(cx, &claims)
}

/// MSAL's `client_info`: which account in which tenant signed in.
pub(crate) fn client_info(cx: &Cx<'_>, principal: &Principal) -> Result<String, Refusal> {
    let info = json!({ "uid": principal.oid, "utid": tenants::of_principal(cx.tx, &principal.oid)? });
    Ok(URL_SAFE_NO_PAD.encode(info.to_string()))
}

/// Issues a token to a managed identity. Services and the identity endpoints use this; who may ask is theirs to judge.
pub(crate) fn managed_identity_token(cx: &Cx<'_>, principal: &Principal, audience: &str) -> Result<Minted, Refusal> {
    let client = principal.app_id.clone().unwrap_or_default();
    access_token(cx, principal, &client, audience, Proof::Managed)
}

/// Subject that is stable per user and audience (a pairwise identifier, OpenID Connect Core §8.1).
fn pairwise(oid: &str, audience: &str) -> String {
    URL_SAFE_NO_PAD.encode(sealbook_crypto::sha256(format!("{oid}\n{audience}").as_bytes()))
}
