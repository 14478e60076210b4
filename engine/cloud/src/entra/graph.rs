//! `graph.microsoft.com`: the little of Microsoft Graph that Azure's command line needs.

use http::Method;
use serde_json::{Value, json};

use crate::cx::{Cx, PrincipalKind};
use crate::http::Answer;
use crate::identity::principals::{self, Principal};
use crate::identity::token::TokenError;
use crate::odata::{self, Term};
use crate::operation::{Access, Operation, Params, Run};
use crate::refusal::Refusal;
use crate::service::Service;

/// Microsoft Graph.
pub(super) struct Graph;

const fn operation(name: &'static str, method: Method, path: &'static str, run: Run) -> Operation {
    Operation { name, method, path, when: &[], api: &[], access: Access::Authenticated, lro: false, run }
}

static OPERATIONS: &[Operation] = &[
    operation("Graph_Me", Method::GET, "/v1.0/me", me),
    operation("Graph_ListUsers", Method::GET, "/v1.0/users", users),
    operation("Graph_GetUser", Method::GET, "/v1.0/users/{id}", user),
    operation("Graph_ListServicePrincipals", Method::GET, "/v1.0/servicePrincipals", service_principals),
    operation("Graph_GetServicePrincipal", Method::GET, "/v1.0/servicePrincipals/{id}", service_principal),
    operation("Graph_GetByIds", Method::POST, "/v1.0/directoryObjects/getByIds", by_ids),
    operation("Graph_GetDirectoryObject", Method::GET, "/v1.0/directoryObjects/{id}", directory_object),
];

fn not_found(id: &str) -> Refusal {
    Refusal::new(
        404,
        "Request_ResourceNotFound",
        format!("Resource '{id}' does not exist or one of its queried reference-property objects are not present."),
    )
}

fn document(principal: &Principal) -> Value {
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
            "displayName": principal.name,
            "servicePrincipalNames": [principal.app_id],
            "servicePrincipalType": if principal.managed { "ManagedIdentity" } else { "Application" },
            "tags": [],
        }),
    }
}

fn entity(set: &str, principal: &Principal) -> Answer {
    let mut body = json!({ "@odata.context": format!("https://graph.microsoft.com/v1.0/$metadata#{set}/$entity") });
    if let (Some(body), Value::Object(document)) = (body.as_object_mut(), document(principal)) {
        body.extend(document);
    }
    Answer::ok(&body)
}

fn set(name: &str, found: &[Principal]) -> Answer {
    Answer::ok(&json!({
        "@odata.context": format!("https://graph.microsoft.com/v1.0/$metadata#{name}"),
        "value": found.iter().map(document).collect::<Vec<_>>(),
    }))
}

/// `GET /me`: only for a signed-in person.
fn me(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    if cx.caller.kind != Some(PrincipalKind::User) {
        return Err(Refusal::new(400, "BadRequest", "/me request is only valid with delegated authentication flow."));
    }
    let principal = principals::get(cx.tx, &cx.caller.oid)?.ok_or_else(|| not_found(&cx.caller.oid))?;
    Ok(entity("users", &principal))
}

fn user(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let id = params.get("id");
    let found = match principals::get(cx.tx, id)? {
        Some(principal) => Some(principal),
        None => principals::by_upn(cx.tx, id)?,
    };
    let found = found.filter(|p| p.kind == PrincipalKind::User);
    Ok(entity("users", &found.ok_or_else(|| not_found(id))?))
}

fn service_principal(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let id = params.get("id");
    let found = principals::get(cx.tx, id)?.filter(|p| p.kind == PrincipalKind::ServicePrincipal);
    Ok(entity("servicePrincipals", &found.ok_or_else(|| not_found(id))?))
}

fn directory_object(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let id = params.get("id");
    let found = principals::get(cx.tx, id)?.ok_or_else(|| not_found(id))?;
    let mut body = document(&found);
    body["@odata.type"] = odata_type(&found).into();
    Ok(Answer::ok(&body))
}

fn odata_type(principal: &Principal) -> &'static str {
    match principal.kind {
        PrincipalKind::User => "#microsoft.graph.user",
        PrincipalKind::ServicePrincipal => "#microsoft.graph.servicePrincipal",
    }
}

fn filtered(cx: &Cx<'_>, kind: PrincipalKind) -> Result<Vec<Principal>, Refusal> {
    let mut found = principals::all(cx.tx)?;
    found.retain(|p| p.kind == kind);
    let Some(filter) = cx.request.query("$filter").filter(|f| !f.is_empty()) else {
        return Ok(found);
    };
    let is = |part: Option<&str>, value: &str| part.is_some_and(|p| p.eq_ignore_ascii_case(value));
    for term in odata::parse(filter)? {
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
            _ => return Err(unsupported(filter)),
        }
    }
    Ok(found)
}

fn unsupported(filter: &str) -> Refusal {
    Refusal::new(400, "Request_UnsupportedQuery", format!("Unsupported or invalid query filter clause: '{filter}'."))
        .gap(format!("the Graph filter `{filter}`"))
}

fn users(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    Ok(set("users", &filtered(cx, PrincipalKind::User)?))
}

fn service_principals(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    Ok(set("servicePrincipals", &filtered(cx, PrincipalKind::ServicePrincipal)?))
}

/// `POST /directoryObjects/getByIds`: those that exist; the others are left out.
fn by_ids(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let body = cx.request.json()?;
    let ids = body["ids"].as_array().cloned().unwrap_or_default();
    if ids.len() > 1_000 {
        return Err(Refusal::new(400, "Request_BadRequest", "Too many ids: the limit is 1000."));
    }
    let mut value = Vec::new();
    for id in ids.iter().filter_map(Value::as_str) {
        if let Some(principal) = principals::get(cx.tx, id)? {
            let mut entry = json!({ "@odata.type": odata_type(&principal) });
            if let (Some(entry), Value::Object(document)) = (entry.as_object_mut(), document(&principal)) {
                entry.extend(document);
            }
            value.push(entry);
        }
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
        vec![OPERATIONS]
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
