//! Applications on Microsoft Graph, and the service principals made from them.
//!
//! Source: <https://learn.microsoft.com/graph/api/serviceprincipal-post-serviceprincipals>.

use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::graph::{self, operation};
use crate::cx::{Cx, PrincipalKind};
use crate::http::Answer;
use crate::identity::principals::{self, Principal};
use crate::identity::tenants;
use crate::odata::{self, Term};
use crate::operation::{Operation, Params};
use crate::refusal::Refusal;

/// Applications of Microsoft itself, which any tenant may register: id and name.
const FIRST_PARTY: &[(&str, &str)] = &[("bf7b6499-ff71-4aa2-97a4-f372087be7f0", "Confidential VM Orchestrator")];

/// The tenant in which Microsoft's own applications are.
const MICROSOFT: &str = "f8cdef31-a31e-4b4a-93e4-5f571e91255a";

/// The operations.
pub(super) static OPERATIONS: &[Operation] = &[
    operation("Graph_CreateServicePrincipal", Method::POST, "/v1.0/servicePrincipals", create),
    operation("Graph_ListApplications", Method::GET, "/v1.0/applications", list),
    operation("Graph_GetApplication", Method::GET, "/v1.0/applications/{id}", get),
];

/// The tenant that owns the application of a service principal; managed identities have none.
pub(super) fn owner(principal: &Principal, tenant: &str) -> Value {
    match &principal.app_id {
        Some(app_id) if first_party(app_id).is_some() => MICROSOFT.into(),
        Some(_) if !principal.managed => tenant.into(),
        _ => Value::Null,
    }
}

fn first_party(app_id: &str) -> Option<&'static (&'static str, &'static str)> {
    FIRST_PARTY.iter().find(|(id, _)| id.eq_ignore_ascii_case(app_id))
}

/// `POST /servicePrincipals`: registers a known application of Microsoft in the caller's tenant.
///
/// It needs Application.ReadWrite.All. The people of a tenant here are its administrators, who have it by their role;
/// applications have no permission on Graph.
fn create(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    if cx.caller.kind != Some(PrincipalKind::User) {
        return Err(Refusal::new(
            403,
            "Authorization_RequestDenied",
            "Insufficient privileges to complete the operation.",
        ));
    }
    let body = cx.request.json().map_err(|_| bad("Unable to read JSON request payload."))?;
    for name in body.as_object().into_iter().flatten().map(|(name, _)| name.as_str()) {
        if !matches!(name, "appId" | "accountEnabled" | "@odata.type") {
            return Err(bad(format!("Invalid value specified for property '{name}' of resource 'ServicePrincipal'."))
                .gap(format!("the property {name} of a new service principal")));
        }
    }
    let app_id = body["appId"].as_str().filter(|id| !id.is_empty());
    let app_id = app_id.ok_or_else(|| bad("The property 'appId' of resource 'ServicePrincipal' is required."))?;
    if body["accountEnabled"] == false {
        return Err(bad("The service principal can't be made disabled.").gap("disabled service principals"));
    }
    if graph::by_app_id(cx, app_id)?.is_some() {
        return Err(Refusal::new(
            409,
            "Request_MultipleObjectsWithSameKeyValue",
            format!(
                "The service principal cannot be created, updated, or restored because the service principal name \
                 {app_id} is already in use."
            ),
        ));
    }
    let Some((id, name)) = first_party(app_id) else {
        let message =
            format!("The appId '{app_id}' of the service principal does not reference a valid application object.");
        return Err(bad(message));
    };
    let principal = Principal {
        oid: Uuid::new_v4().to_string(),
        app_id: Some((*id).to_owned()),
        kind: PrincipalKind::ServicePrincipal,
        managed: false,
        name: (*name).to_owned(),
        upn: None,
        resource: None,
        created: cx.now,
    };
    principals::add(cx.tx, &principal, None)?;
    tenants::adopt(cx.tx, &principal.oid, &cx.tenant)?;
    let mut answer = graph::entity(cx, "servicePrincipals", &principal)?;
    answer.status = http::StatusCode::CREATED;
    Ok(answer.header("location", format!("https://graph.microsoft.com/v1.0/servicePrincipals/{}", principal.oid)))
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "Request_BadRequest", message)
}

/// An application of the caller's tenant, seen at its service principal: each has one here.
fn own(cx: &Cx<'_>) -> Result<Vec<Principal>, Refusal> {
    let mut found = graph::of_tenant(cx, PrincipalKind::ServicePrincipal)?;
    found.retain(|p| !p.managed && p.app_id.as_deref().is_some_and(|id| first_party(id).is_none()));
    Ok(found)
}

/// Object id of an application, which is another than that of its service principal.
fn object_id(principal: &Principal) -> String {
    let digest = sealbook_crypto::sha256(format!("application/{}", principal.oid).as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

fn document(principal: &Principal) -> Value {
    json!({
        "id": object_id(principal),
        "appId": principal.app_id,
        "displayName": principal.name,
        "identifierUris": [],
        "signInAudience": "AzureADMyOrg",
        "createdDateTime": crate::time::rfc3339(principal.created),
        "tags": [],
    })
}

/// `GET /applications`: those of the caller's tenant.
fn list(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    graph::check_options(cx)?;
    let mut found = own(cx)?;
    if let Some(filter) = cx.request.query("$filter").filter(|f| !f.is_empty()) {
        for term in odata::parse(filter).map_err(|_| graph::unsupported(filter))? {
            match &term {
                Term::Eq(field, value) if field.eq_ignore_ascii_case("appId") => {
                    found.retain(|p| p.app_id.as_deref().is_some_and(|id| id.eq_ignore_ascii_case(value)));
                }
                Term::Eq(field, value) if field.eq_ignore_ascii_case("displayName") => {
                    found.retain(|p| p.name.eq_ignore_ascii_case(value));
                }
                // None here has one.
                Term::Any(field, _) if field.eq_ignore_ascii_case("identifierUris") => found.clear(),
                _ => return Err(graph::unsupported(filter)),
            }
        }
    }
    Ok(Answer::ok(&json!({
        "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#applications",
        "value": found.iter().map(|p| graph::selected(cx, document(p))).collect::<Vec<_>>(),
    })))
}

/// `GET /applications/{id}`.
fn get(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    graph::check_options(cx)?;
    let id = params.get("id");
    let found = own(cx)?.into_iter().find(|p| object_id(p).eq_ignore_ascii_case(id));
    let found = found.ok_or_else(|| graph::not_found(id))?;
    let mut body = json!({ "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#applications/$entity" });
    if let (Some(body), Value::Object(document)) = (body.as_object_mut(), graph::selected(cx, document(&found))) {
        body.extend(document);
    }
    Ok(Answer::ok(&body))
}
