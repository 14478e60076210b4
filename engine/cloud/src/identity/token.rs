//! The one validator of bearer tokens: signature, algorithm, audience, issuer, tenant and times.
//!
//! A token of any tenant of this cloud is valid; whether it is the tenant that a request needs, the dispatcher judges
//! by [`crate::service::Service::tenant`].

use jsonwebtoken::{Algorithm, Validation};
use serde_json::Value;

use super::{keys, mint, principals, tenants};
use crate::cx::{Caller, Cx};
use crate::refusal::Refusal;

/// Clock skew that a service grants, in seconds, as Microsoft's own middleware does.
const SKEW: i64 = 300;

/// Why a request has no valid token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// No `Authorization: Bearer` header.
    #[error("Request is missing a Bearer or PoP token.")]
    Missing,
    /// Not a JWT, or without the claims that every token has.
    #[error("The access token is malformed: {0}.")]
    Malformed(&'static str),
    /// Not signed with RS256 by the tenant's key.
    #[error("The access token's signature is invalid.")]
    Signature,
    /// Past its time.
    #[error("The access token expiry UTC time '{0}' is earlier than current UTC time.")]
    Expired(String),
    /// Before its time.
    #[error("The access token is not yet valid.")]
    NotYetValid,
    /// Made for another resource.
    #[error("The access token has been obtained for wrong audience or resource '{given}'.")]
    Audience {
        /// The token's audience.
        given: String,
    },
    /// Made by another issuer or in another tenant.
    #[error("The access token is from the wrong issuer '{given}'.")]
    Issuer {
        /// The token's issuer.
        given: String,
    },
    /// The principal is gone.
    #[error("The principal '{0}' of the access token does not exist in the directory.")]
    UnknownPrincipal(String),
}

/// The bearer token of a request.
fn bearer<'a>(cx: &'a Cx<'_>) -> Result<&'a str, TokenError> {
    let header = cx.request.header("authorization").ok_or(TokenError::Missing)?;
    let (scheme, token) = header.split_once(' ').ok_or(TokenError::Missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") || token.trim().is_empty() {
        return Err(TokenError::Missing);
    }
    Ok(token.trim())
}

/// Validates a request's bearer token for one of `audiences`.
pub(crate) fn authenticate(cx: &Cx<'_>, audiences: &[&str]) -> Result<Result<Caller, TokenError>, Refusal> {
    match bearer(cx) {
        Ok(token) => validate(cx, token, audiences),
        Err(error) => Ok(Err(error)),
    }
}

/// Validates a token for one of `audiences`, which compare without trailing slashes.
pub(crate) fn validate(cx: &Cx<'_>, token: &str, audiences: &[&str]) -> Result<Result<Caller, TokenError>, Refusal> {
    let Ok(header) = jsonwebtoken::decode_header(token) else {
        return Ok(Err(TokenError::Malformed("its header can't be read")));
    };
    // The algorithm is this code's choice, never the token's.
    if header.alg != Algorithm::RS256 {
        return Ok(Err(TokenError::Signature));
    }
    let Some(key) = keys::verifying(cx.tx, &header.kid.unwrap_or_default())? else {
        return Ok(Err(TokenError::Signature));
    };
    // Only the signature is checked here: times are judged below against the given wall clock.
    let mut validation = Validation::new(Algorithm::RS256);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let Ok(data) = jsonwebtoken::decode::<Value>(token, &key, &validation) else {
        return Ok(Err(TokenError::Signature));
    };
    match claims(cx, data.claims, audiences) {
        Err(error) => Ok(Err(error)),
        Ok(mut caller) => {
            if tenants::find(cx.tx, &caller.tenant)?.is_none() {
                return Ok(Err(TokenError::Issuer { given: caller.issuer }));
            }
            let Some(principal) = principals::get(cx.tx, &caller.oid)? else {
                return Ok(Err(TokenError::UnknownPrincipal(caller.oid)));
            };
            if !tenants::of_principal(cx.tx, &caller.oid)?.eq_ignore_ascii_case(&caller.tenant) {
                return Ok(Err(TokenError::UnknownPrincipal(caller.oid)));
            }
            caller.kind = Some(principal.kind);
            Ok(Ok(caller))
        }
    }
}

fn claims(cx: &Cx<'_>, claims: Value, audiences: &[&str]) -> Result<Caller, TokenError> {
    let text = |name: &str| claims[name].as_str().unwrap_or_default().to_owned();
    let time = |name: &'static str| claims[name].as_i64().ok_or(TokenError::Malformed("it lacks nbf or exp"));
    let now = cx.wall.timestamp();
    let expiry = time("exp")?;
    if now > expiry + SKEW {
        let expiry = chrono::DateTime::from_timestamp(expiry, 0).unwrap_or_default();
        return Err(TokenError::Expired(expiry.format("%m/%d/%Y %I:%M:%S %p").to_string()));
    }
    if now + SKEW < time("nbf")? {
        return Err(TokenError::NotYetValid);
    }
    let (issuer, tenant) = (text("iss"), text("tid"));
    if issuer != mint::issuer(&tenant) {
        return Err(TokenError::Issuer { given: issuer });
    }
    let audience = text("aud");
    let plain = |a: &str| a.trim_end_matches('/').to_ascii_lowercase();
    if !audiences.iter().any(|a| plain(a) == plain(&audience)) {
        return Err(TokenError::Audience { given: audience });
    }
    let oid = text("oid");
    if oid.is_empty() {
        return Err(TokenError::Malformed("it names no principal"));
    }
    Ok(Caller {
        oid,
        kind: None,
        tenant,
        app_id: text("appid"),
        upn: claims["upn"].as_str().map(str::to_owned),
        issuer,
    })
}
