//! The identity endpoint of the instance metadata service: plain HTTP at the link-local address.
//!
//! Which machine asks can't be read off a request; the front door says so through [`crate::MachineIdentities`].

use http::Method;
use serde_json::json;

use super::sign_in;
use crate::cx::{Caller, Cx};
use crate::http::Answer;
use crate::identity::principals::Principal;
use crate::identity::token::TokenError;
use crate::identity::{mint, principals};
use crate::managedidentity::USER_ASSIGNED;
use crate::operation::{Access, Operation, Params};
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::service::Service;
use crate::{compute, tee};

/// The instance metadata service.
pub(super) struct Metadata;

static OPERATIONS: &[Operation] = &[
    Operation {
        name: "Identity_GetToken",
        method: Method::GET,
        path: "/metadata/identity/oauth2/token",
        when: &[],
        api: &["2018-02-01", "2019-08-01", "2021-02-01", "2023-07-01", "2023-11-15", "2025-04-07"],
        access: Access::Open,
        lro: false,
        run: token,
    },
    Operation {
        name: "Thim_GetAmdCertification",
        method: Method::GET,
        path: "/metadata/THIM/amd/certification",
        when: &[],
        api: &[],
        access: Access::Open,
        lro: false,
        run: certification,
    },
];

fn invalid(message: &str) -> Refusal {
    Refusal::new(400, "invalid_request", message)
}

/// The identity of a request that names none: the system-assigned one, else the only user-assigned one.
fn unnamed(held: Vec<Principal>) -> Result<Option<Principal>, Refusal> {
    let user_assigned = |p: &Principal| {
        let id = p.resource.as_deref().and_then(ResourceId::parse);
        id.is_some_and(|id| id.kind().eq_ignore_ascii_case(USER_ASSIGNED))
    };
    if held.len() > 1 && held.iter().all(user_assigned) {
        return Err(invalid(
            "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the \
             token request",
        ));
    }
    Ok(held.into_iter().next())
}

/// Refuses what did not come from a program of the machine itself: a browser or a proxy can't set the one header, or
/// sets the other.
fn require_own(cx: &Cx<'_>) -> Result<(), Refusal> {
    if !cx.request.header("metadata").is_some_and(|m| m.eq_ignore_ascii_case("true")) {
        return Err(invalid("Required metadata header not specified"));
    }
    if cx.request.header("x-forwarded-for").is_some() {
        return Err(invalid("X-Forwarded-For header is not allowed"));
    }
    Ok(())
}

/// The certificates of the host's chip, for a machine with AMD SEV-SNP.
fn certification(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    require_own(cx)?;
    let machine = match &cx.request.machine {
        Some(id) => compute::machine(cx, id)?,
        None => None,
    };
    let Some(machine) = machine.filter(|machine| tee::lack(machine).is_none()) else {
        return Err(Refusal::new(404, "Not found", "The host of this machine has no certificates of AMD SEV-SNP."));
    };
    Ok(Answer::ok(&tee::thim::certification(cx, &machine)?))
}

fn token(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    require_own(cx)?;
    let resource = cx
        .request
        .query("resource")
        .filter(|r| !r.is_empty())
        .ok_or_else(|| invalid("Required audience parameter not specified"))?;
    let mut held = Vec::new();
    for oid in &cx.request.identities {
        held.extend(principals::get(cx.tx, oid)?);
    }
    let chosen = |name: &str| cx.request.query(name).filter(|v| !v.is_empty());
    let is = |part: Option<&str>, given: &str| part.is_some_and(|p| p.eq_ignore_ascii_case(given));
    let principal = if let Some(client) = chosen("client_id") {
        held.into_iter().find(|p| is(p.app_id.as_deref(), client))
    } else if let Some(oid) = chosen("object_id").or(chosen("principal_id")) {
        held.into_iter().find(|p| is(Some(&p.oid), oid))
    } else if let Some(id) = chosen("msi_res_id").or(chosen("mi_res_id")) {
        held.into_iter().find(|p| is(p.resource.as_deref(), id))
    } else {
        unnamed(held)?
    };
    let Some(principal) = principal else {
        return Err(invalid("Identity not found"));
    };
    sign_in::require_audience(resource)?;
    let minted = mint::managed_identity_token(cx, &principal, resource)?;
    Ok(Answer::ok(&json!({
        "access_token": minted.token.expose(),
        "client_id": principal.app_id,
        "expires_in": minted.expires_in.to_string(),
        "expires_on": minted.expires_on.to_string(),
        "ext_expires_in": minted.expires_in.to_string(),
        "not_before": minted.not_before.to_string(),
        "resource": resource,
        "token_type": "Bearer",
    })))
}

impl Service for Metadata {
    fn name(&self) -> &'static str {
        "imds"
    }

    fn answers(&self, host: &str) -> bool {
        host == "169.254.169.254"
    }

    fn tables(&self) -> Vec<&'static [Operation]> {
        vec![OPERATIONS]
    }

    fn authenticate(&self, _: &Cx<'_>) -> Result<Caller, Refusal> {
        Ok(Caller::default())
    }

    fn unauthorized(&self, _: &Cx<'_>, error: &TokenError) -> Refusal {
        invalid(&error.to_string())
    }

    fn scope(&self, _: &Cx<'_>, _: &'static Operation, _: &Params) -> Result<String, Refusal> {
        Ok("/".to_owned())
    }

    fn forbidden(&self, _: &Cx<'_>, _: &str, _: &str) -> Refusal {
        Refusal::new(403, "forbidden", "Forbidden")
    }

    fn wrong_version(&self, _: &Cx<'_>, operation: &'static Operation, _: &Params, _: Option<&str>) -> Refusal {
        Refusal::new(
            400,
            "Bad request. api-version is invalid or was not specified in the request.",
            format!("The newest supported versions: {}.", operation.api.join(", ")),
        )
    }

    fn unknown(&self, _: &Cx<'_>) -> Refusal {
        Refusal::new(404, "Not found", "")
    }

    fn render(&self, _: &Cx<'_>, refusal: &Refusal) -> Answer {
        let mut body = json!({ "error": refusal.code });
        if !refusal.message.is_empty() {
            body["error_description"] = refusal.message.clone().into();
        }
        refusal.render_with(&body)
    }
}
