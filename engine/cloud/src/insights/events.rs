//! The activity log on the wire ("Activity Logs - List" in the Azure Monitor REST reference).

use chrono::{DateTime, Utc};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::activity::{self, Event, KEPT};
use crate::cx::Cx;
use crate::http::Answer;
use crate::odata::{self, Term};
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::resource_id::within;
use crate::time::rfc3339;

/// Events on one page.
const PAGE: usize = 200;

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "BadRequest", message)
}

/// What a filter asks for.
#[derive(Default)]
struct Asked {
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    /// Field and value.
    fields: Vec<(String, String)>,
}

/// Fields that a filter may compare besides the time.
const FIELDS: &[&str] = &[
    "resourceGroupName",
    "resourceUri",
    "resourceId",
    "resourceProvider",
    "correlationId",
    "caller",
    "status",
    "eventChannels",
];

fn instant(text: &str) -> Result<DateTime<Utc>, Refusal> {
    let read = DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_rfc3339(&format!("{text}Z")));
    read.map(|time| time.with_timezone(&Utc)).map_err(|_| bad(format!("The time '{text}' of the filter is not valid.")))
}

fn asked(filter: &str) -> Result<Asked, Refusal> {
    let mut asked = Asked::default();
    let unsupported =
        || bad(format!("The filter '{filter}' is not supported.")).gap(format!("the activity log filter `{filter}`"));
    for term in odata::parse(filter).map_err(|_| unsupported())? {
        match term {
            Term::Ge(field, value) if field.eq_ignore_ascii_case("eventTimestamp") => {
                asked.from = Some(instant(&value)?);
            }
            Term::Le(field, value) if field.eq_ignore_ascii_case("eventTimestamp") => {
                asked.to = Some(instant(&value)?);
            }
            Term::Eq(field, value) if FIELDS.iter().any(|f| f.eq_ignore_ascii_case(&field)) => {
                asked.fields.push((field.to_ascii_lowercase(), value));
            }
            _ => return Err(unsupported()),
        }
    }
    Ok(asked)
}

fn meets(event: &Event, field: &str, value: &str) -> bool {
    let is = |part: &str| part.eq_ignore_ascii_case(value);
    match field {
        "resourcegroupname" => is(&event.group),
        "resourceuri" | "resourceid" => within(&event.resource, value),
        "resourceprovider" => is(&event.namespace),
        "correlationid" => is(&event.correlation),
        "caller" => is(&event.caller),
        "status" => is(status(event)),
        "eventchannels" => value.split(',').any(|channel| channel.trim().eq_ignore_ascii_case("Operation")),
        _ => false,
    }
}

/// `ActivityLogs_List`: newest first; the filter must say from when.
pub(super) fn list(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let filter = cx.request.query("$filter").filter(|f| !f.is_empty());
    let asked = asked(filter.ok_or_else(|| bad("The $filter query parameter is required."))?)?;
    let from = asked.from.ok_or_else(|| bad("The start time of the filter (eventTimestamp ge) is required."))?;
    let to = asked.to.unwrap_or(cx.now);
    if from < cx.now - KEPT {
        return Err(bad("The start time cannot be more than 90 day(s) in the past."));
    }
    if to < from {
        return Err(bad("The end time of the filter must not lie before its start time."));
    }
    let mut events = activity::between(cx.tx, params.get("subscription"), from, to)?;
    events.retain(|event| asked.fields.iter().all(|(field, value)| meets(event, field, value)));
    let skip = match cx.request.query("$skipToken") {
        None => 0,
        Some(token) => token.parse().map_err(|_| bad(format!("The skip token '{token}' is not valid.")))?,
    };
    let select: Vec<String> =
        cx.request.query("$select").unwrap_or_default().split(',').map(|f| f.trim().to_ascii_lowercase()).collect();
    let page = events.iter().skip(skip).take(PAGE).map(|event| chosen(document(event), &select));
    let mut body = json!({ "value": page.collect::<Vec<Value>>() });
    if events.len() > skip.saturating_add(PAGE) {
        let kept = cx.request.query.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("$skipToken"));
        let query: String = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(kept.map(|(name, value)| (name.as_str(), value.as_str())))
            .append_pair("$skipToken", &(skip + PAGE).to_string())
            .finish();
        body["nextLink"] = format!("https://{}{}?{query}", cx.request.host, cx.request.path).into();
    }
    Ok(Answer::ok(&body))
}

fn chosen(document: Value, select: &[String]) -> Value {
    let Value::Object(fields) = document else { return document };
    if select.iter().all(String::is_empty) {
        return Value::Object(fields);
    }
    let keep = |name: &str| select.iter().any(|s| s.eq_ignore_ascii_case(name));
    Value::Object(fields.into_iter().filter(|(name, _)| keep(name)).collect::<Map<_, _>>())
}

/// A long-running operation that was begun is `Accepted`; its end is not an event of its own here.
fn status(event: &Event) -> &'static str {
    match event.status {
        202 => "Accepted",
        200..=399 => "Succeeded",
        _ => "Failed",
    }
}

fn named(value: &str) -> Value {
    json!({ "value": value, "localizedValue": value })
}

/// An event as Azure shows it.
fn document(event: &Event) -> Value {
    let reason = StatusCode::from_u16(event.status).ok().and_then(|s| s.canonical_reason()).unwrap_or_default();
    let short = reason.replace(' ', "");
    let time = rfc3339(event.time);
    let ticks = event.time.timestamp_millis().saturating_mul(10_000).saturating_add(621_355_968_000_000_000);
    let failed = status(event) == "Failed";
    let mut claims = json!({
        "aud": "https://management.core.windows.net/",
        "iss": crate::identity::mint::issuer(&event.tenant),
        "appid": event.app_id,
        "http://schemas.microsoft.com/identity/claims/objectidentifier": event.oid,
        "http://schemas.microsoft.com/identity/claims/tenantid": event.tenant,
    });
    if let Some(upn) = &event.upn {
        claims["http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"] = upn.clone().into();
    }
    let mut properties = json!({
        "statusCode": short,
        "serviceRequestId": event.request,
        "eventCategory": "Administrative",
        "entity": event.resource,
        "message": event.action,
        "hierarchy": event.subscription,
    });
    if let Some(code) = &event.code {
        properties["statusMessage"] = json!({ "error": { "code": code } }).to_string().into();
    }
    json!({
        "authorization": { "action": event.action, "scope": event.resource },
        "caller": event.caller,
        "channels": "Operation",
        "claims": claims,
        "correlationId": event.correlation,
        "description": "",
        "eventDataId": event.id,
        "eventName": { "value": "EndRequest", "localizedValue": "End request" },
        "category": named("Administrative"),
        "eventTimestamp": time,
        "httpRequest": {
            "clientRequestId": event.client_request,
            "clientIpAddress": "127.0.0.1",
            "method": event.method,
        },
        "id": format!("{}/events/{}/ticks/{ticks}", event.resource, event.id),
        "level": if failed { "Error" } else { "Informational" },
        "operationId": event.correlation,
        "operationName": named(&event.action),
        "properties": properties,
        "resourceGroupName": event.group,
        "resourceId": event.resource,
        "resourceProviderName": named(&event.namespace),
        "resourceType": named(&event.kind),
        "status": named(status(event)),
        "subStatus": {
            "value": short,
            "localizedValue": format!("{reason} (HTTP Status Code: {})", event.status),
        },
        "submissionTimestamp": time,
        "subscriptionId": event.subscription,
        "tenantId": event.tenant,
    })
}
