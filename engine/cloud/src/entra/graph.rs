//! `graph.microsoft.com`: the little of Microsoft Graph that Azure's command line needs.

use http::Method;
use serde_json::{Value, json};

use super::applications;
use crate::cx::{Cx, PrincipalKind};
use crate::http::Answer;
use crate::identity::principals::{self, Principal};
use crate::identity::tenants;
use crate::identity::token::TokenError;
use crate::odata::{self, Term};
use crate::operation::{Access, Operation, Params, Run};
use crate::refusal::Refusal;
use crate::service::Service;

/// Microsoft Graph.
pub(super) struct Graph;

pub(super) const fn operation(name: &'static str, method: Method, path: &'static str, run: Run) -> Operation {
    Operation { name, method, path, when: &[], api: &[], access: Access::Authenticated, lro: false, run }
}

static OPERATIONS: &[Operation] = &[
    operation("Graph_Me", Method::GET, "/v1.0/me", me),
    operation("Graph_ListUsers", Method::GET, "/v1.0/users", users),
    operation("Graph_GetUser", Method::GET, "/v1.0/users/{id}", user),
    operation("Graph_ListServicePrincipals", Method::GET, "/v1.0/servicePrincipals", service_principals),
    operation("Graph_GetServicePrincipal", Method::GET, "/v1.0/servicePrincipals/{id}", service_principal),
    operation("Graph_GetServicePrincipalByAppId", Method::GET, "/v1.0/{entity}", by_key),
    operation("Graph_GetByIds", Method::POST, "/v1.0/directoryObjects/getByIds", by_ids),
    operation("Graph_GetDirectoryObject", Method::GET, "/v1.0/directoryObjects/{id}", directory_object),
];

pub(super) fn not_found(id: &str) -> Refusal {
    Refusal::new(
        404,
        "Request_ResourceNotFound",
        format!("Resource '{id}' does not exist or one of its queried reference-property objects are not present."),
    )
}

fn document(cx: &Cx<'_>, principal: &Principal) -> Value {
    match principal.kind {
        PrincipalKind::User => json!({
            "businessPhones": [],
            "displayName": principal.name,
            "givenName": null,
            "jobTitle": null,
            "mail": null,
            "mobilePhone": null,
            "officeLocation": null,
            "preferredLanguage": null,
            "surname": null,
            "userPrincipalName": principal.upn,
            "id": principal.oid,
        }),
        PrincipalKind::ServicePrincipal => json!({
            "id": principal.oid,
            "accountEnabled": true,
            "alternativeNames": principal
                .resource
                .iter()
                .flat_map(|r| ["isExplicit=False".to_owned(), r.clone()])
                .collect::<Vec<_>>(),
            "appDisplayName": if principal.managed { Value::Null } else { principal.name.clone().into() },
            "appId": principal.app_id,
            "appOwnerOrganizationId": applications::owner(principal, &cx.tenant),
            "displayName": principal.name,
            "servicePrincipalNames": [principal.app_id],
            "servicePrincipalType": if principal.managed { "ManagedIdentity" } else { "Application" },
            "tags": [],
        }),
    }
}

/// The properties that `$select` names; all when it names none.
pub(super) fn selected(cx: &Cx<'_>, document: Value) -> Value {
    let select = cx.request.query("$select").unwrap_or_default();
    let Value::Object(fields) = document else { return document };
    if select.trim().is_empty() {
        return Value::Object(fields);
    }
    let asked: Vec<&str> = select.split(',').map(str::trim).collect();
    let keep = |name: &str| name.starts_with('@') || asked.iter().any(|a| a.eq_ignore_ascii_case(name));
    Value::Object(fields.into_iter().filter(|(name, _)| keep(name)).collect())
}

/// Refuses the query options that would change an answer in ways that are not offered here.
pub(super) fn check_options(cx: &Cx<'_>) -> Result<(), Refusal> {
    for (name, _) in &cx.request.query {
        let offered = ["$filter", "$select", "api-version"].iter().any(|o| o.eq_ignore_ascii_case(name));
        if name.starts_with('$') && !offered {
            return Err(Refusal::new(
                400,
                "Request_UnsupportedQuery",
                format!("The query option '{name}' is not supported here."),
            )
            .gap(format!("the Graph query option {name}")));
        }
    }
    Ok(())
}

/// Reads a principal of the caller's tenant; those of other tenants are not there.
fn principal(cx: &Cx<'_>, oid: &str) -> Result<Option<Principal>, Refusal> {
    own(cx, principals::get(cx.tx, oid)?)
}

fn own(cx: &Cx<'_>, found: Option<Principal>) -> Result<Option<Principal>, Refusal> {
    Ok(match found {
        Some(principal) if tenants::of_principal(cx.tx, &principal.oid)?.eq_ignore_ascii_case(&cx.tenant) => {
            Some(principal)
        }
        _ => None,
    })
}

/// One object, as Graph answers it.
pub(super) fn entity(cx: &Cx<'_>, set: &str, principal: &Principal) -> Result<Answer, Refusal> {
    check_options(cx)?;
    let mut body = json!({ "@odata.context": format!("https://graph.microsoft.com/v1.0/$metadata#{set}/$entity") });
    if let (Some(body), Value::Object(document)) = (body.as_object_mut(), selected(cx, document(cx, principal))) {
        body.extend(document);
    }
    Ok(Answer::ok(&body))
}

fn set(cx: &Cx<'_>, name: &str, found: &[Principal]) -> Result<Answer, Refusal> {
    check_options(cx)?;
    Ok(Answer::ok(&json!({
        "@odata.context": format!("https://graph.microsoft.com/v1.0/$metadata#{name}"),
        "value": found.iter().map(|p| selected(cx, document(cx, p))).collect::<Vec<_>>(),
    })))
}

/// `GET /me`: only for a signed-in person.
fn me(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    if cx.caller.kind != Some(PrincipalKind::User) {
        return Err(Refusal::new(400, "BadRequest", "/me request is only valid with delegated authentication flow."));
    }
    let principal = principal(cx, &cx.caller.oid)?.ok_or_else(|| not_found(&cx.caller.oid))?;
    entity(cx, "users", &principal)
}

fn user(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let id = params.get("id");
    let found = match principal(cx, id)? {
        Some(principal) => Some(principal),
        None => own(cx, principals::by_upn(cx.tx, id)?)?,
    };
    let found = found.filter(|p| p.kind == PrincipalKind::User);
    entity(cx, "users", &found.ok_or_else(|| not_found(id))?)
}

fn service_principal(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let id = params.get("id");
    let found = principal(cx, id)?.filter(|p| p.kind == PrincipalKind::ServicePrincipal);
    entity(cx, "servicePrincipals", &found.ok_or_else(|| not_found(id))?)
}

/// `GET /servicePrincipals(appId='…')`: the alternate key.
fn by_key(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let given = params.get("entity");
    let key = given.strip_suffix("')").and_then(|rest| rest.split_once("(appId='"));
    let Some((_, app_id)) = key.filter(|(set, _)| set.eq_ignore_ascii_case("servicePrincipals")) else {
        return Err(Graph.unknown(cx).gap(format!("GET {}{}", cx.request.host, cx.request.path)));
    };
    let found = by_app_id(cx, app_id)?;
    entity(cx, "servicePrincipals", &found.ok_or_else(|| not_found(app_id))?)
}

fn directory_object(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let id = params.get("id");
    check_options(cx)?;
    let found = principal(cx, id)?.ok_or_else(|| not_found(id))?;
    let mut body = document(cx, &found);
    body["@odata.type"] = odata_type(&found).into();
    Ok(Answer::ok(&selected(cx, body)))
}

fn odata_type(principal: &Principal) -> &'static str {
    match principal.kind {
        PrincipalKind::User => "#microsoft.graph.user",
        PrincipalKind::ServicePrincipal => "#microsoft.graph.servicePrincipal",
    }
}

/// The principals of a kind in the caller's tenant.
pub(super) fn of_tenant(cx: &Cx<'_>, kind: PrincipalKind) -> Result<Vec<Principal>, Refusal> {
    let mut found = Vec::new();
    for principal in principals::all(cx.tx)?.into_iter().filter(|p| p.kind == kind) {
        found.extend(own(cx, Some(principal))?);
    }
    Ok(found)
}

/// The service principal of an application in the caller's tenant; another tenant may have one, too.
pub(super) fn by_app_id(cx: &Cx<'_>, app_id: &str) -> Result<Option<Principal>, Refusal> {
    let is = |p: &Principal| p.app_id.as_deref().is_some_and(|id| id.eq_ignore_ascii_case(app_id));
    Ok(of_tenant(cx, PrincipalKind::ServicePrincipal)?.into_iter().find(is))
}

fn filtered(cx: &Cx<'_>, kind: PrincipalKind) -> Result<Vec<Principal>, Refusal> {
    let mut found = of_tenant(cx, kind)?;
    let Some(filter) = cx.request.query("$filter").filter(|f| !f.is_empty()) else {
        return Ok(found);
    };
    let is = |part: Option<&str>, value: &str| part.is_some_and(|p| p.eq_ignore_ascii_case(value));
    for term in odata::parse(filter).map_err(|_| unsupported(filter))? {
        match &term {
            Term::Any(field, value) if field.eq_ignore_ascii_case("servicePrincipalNames") => {
                found.retain(|p| is(p.app_id.as_deref(), value));
            }
            Term::Eq(field, value) => match field.to_ascii_lowercase().as_str() {
                "appid" => found.retain(|p| is(p.app_id.as_deref(), value)),
                "id" => found.retain(|p| is(Some(&p.oid), value)),
                "displayname" => found.retain(|p| is(Some(&p.name), value)),
                "userprincipalname" => found.retain(|p| is(p.upn.as_deref(), value)),
                // Nobody here has a mail address.
                "mail" => found.clear(),
                _ => return Err(unsupported(filter)),
            },
            Term::StartsWith(field, start) => {
                let start = start.to_lowercase();
                let starts = |part: &str| part.to_lowercase().starts_with(&start);
                match field.to_ascii_lowercase().as_str() {
                    "displayname" => found.retain(|p| starts(&p.name)),
                    "userprincipalname" => found.retain(|p| p.upn.as_deref().is_some_and(starts)),
                    _ => return Err(unsupported(filter)),
                }
            }
            _ => return Err(unsupported(filter)),
        }
    }
    Ok(found)
}

pub(super) fn unsupported(filter: &str) -> Refusal {
    Refusal::new(400, "Request_UnsupportedQuery", format!("Unsupported or invalid query filter clause: '{filter}'."))
        .gap(format!("the Graph filter `{filter}`"))
}

fn users(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    set(cx, "users", &filtered(cx, PrincipalKind::User)?)
}

fn service_principals(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    set(cx, "servicePrincipals", &filtered(cx, PrincipalKind::ServicePrincipal)?)
}

/// Words that `types` of `getByIds` may hold; only the first two name something that is here.
const TYPES: &[&str] = &[
    "user",
    "servicePrincipal",
    "group",
    "device",
    "application",
    "directoryObject",
    "directoryObjectPartnerReference",
];

/// The texts of an array of a request, else Graph's refusal.
fn texts(body: &Value, name: &str) -> Result<Vec<String>, Refusal> {
    let invalid = || {
        Refusal::new(
            400,
            "Request_BadRequest",
            format!("Invalid value specified for property '{name}' of the request."),
        )
    };
    let array = body[name].as_array().ok_or_else(invalid)?;
    array.iter().map(|value| value.as_str().map(str::to_owned).ok_or_else(invalid)).collect()
}

/// `POST /directoryObjects/getByIds`: those that exist and have one of the `types`; the others are left out.
fn by_ids(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let body = cx.request.json()?;
    let ids = texts(&body, "ids")?;
    if ids.len() > 1_000 {
        return Err(Refusal::new(400, "Request_BadRequest", "Too many ids: the limit is 1000."));
    }
    let types = if body["types"].is_null() { Vec::new() } else { texts(&body, "types")? };
    let is = |types: &[String], name: &str| types.iter().any(|t| t.eq_ignore_ascii_case(name));
    if let Some(other) = types.iter().find(|t| !TYPES.iter().any(|known| known.eq_ignore_ascii_case(t))) {
        return Err(Refusal::new(400, "Request_BadRequest", format!("The type '{other}' is not valid for 'types'."))
            .gap(format!("the directory object type {other}")));
    }
    let mut value = Vec::new();
    for id in &ids {
        let Some(principal) = principal(cx, id)? else { continue };
        let kind = odata_type(&principal).trim_start_matches("#microsoft.graph.");
        if !types.is_empty() && !is(&types, kind) && !is(&types, "directoryObject") {
            continue;
        }
        let mut entry = json!({ "@odata.type": odata_type(&principal) });
        if let (Some(entry), Value::Object(document)) = (entry.as_object_mut(), document(cx, &principal)) {
            entry.extend(document);
        }
        value.push(entry);
    }
    Ok(Answer::ok(&json!({
        "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#directoryObjects",
        "value": value,
    })))
}

impl Service for Graph {
    fn name(&self) -> &'static str {
        "graph"
    }

    fn answers(&self, host: &str) -> bool {
        host == "graph.microsoft.com"
    }

    fn tables(&self) -> Vec<&'static [Operation]> {
        vec![OPERATIONS, applications::OPERATIONS]
    }

    fn audiences(&self) -> &'static [&'static str] {
        &["https://graph.microsoft.com", "00000003-0000-0000-c000-000000000000"]
    }

    fn unauthorized(&self, cx: &Cx<'_>, error: &TokenError) -> Refusal {
        let message = match error {
            TokenError::Missing => "Access token is empty.".to_owned(),
            TokenError::Expired(_) => "Lifetime validation failed, the token is expired.".to_owned(),
            other => other.to_string(),
        };
        Refusal::new(401, "InvalidAuthenticationToken", message).header(
            "www-authenticate",
            format!("Bearer authorization_uri=\"https://login.microsoftonline.com/{}\"", cx.tenant),
        )
    }

    fn scope(&self, _: &Cx<'_>, _: &'static Operation, _: &Params) -> Result<String, Refusal> {
        Ok("/".to_owned())
    }

    fn forbidden(&self, _: &Cx<'_>, _: &str, _: &str) -> Refusal {
        Refusal::new(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
    }

    fn wrong_version(&self, _: &Cx<'_>, _: &'static Operation, _: &Params, _: Option<&str>) -> Refusal {
        Refusal::new(400, "BadRequest", "Invalid version.")
    }

    fn unknown(&self, cx: &Cx<'_>) -> Refusal {
        let segment = cx.request.segments.last().map_or("", String::as_str);
        Refusal::new(400, "BadRequest", format!("Resource not found for the segment '{segment}'."))
    }

    fn render(&self, cx: &Cx<'_>, refusal: &Refusal) -> Answer {
        let id = cx.request_id.to_string();
        refusal.render_with(&json!({ "error": {
            "code": refusal.code,
            "message": refusal.message,
            "innerError": {
                "date": cx.wall.format("%Y-%m-%dT%H:%M:%S").to_string(),
                "request-id": id,
                "client-request-id": id,
            },
        } }))
    }

    fn finish(&self, cx: &Cx<'_>, answer: &mut Answer) {
        answer.set("request-id", cx.request_id.to_string());
    }
}
