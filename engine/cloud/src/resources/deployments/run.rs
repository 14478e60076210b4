//! Carrying a deployment out: each resource is PUT as its deployer would PUT it, once what it depends on is there.

use chrono::Duration;
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use super::evaluate::{Scope, invalid};
use super::store::{self, Deployment, State, Work};
use super::template::{self, Place, Planned};
use crate::cx::{Caller, Cx};
use crate::dispatch;
use crate::http::{Answer, Request};
use crate::lro::{self, Lro, NewLro, Status};
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::resources::{NAMESPACE, groups};
use crate::store::{instant, millis};

/// Name of the long-running operation that carries deployments out.
pub(in crate::resources) const STEP: &str = "deployment-step";
/// How long a step takes at least.
const PAUSE: Duration = Duration::milliseconds(100);

/// What expressions see in a deployment.
pub(super) fn scope(
    cx: &Cx<'_>,
    place: &Place,
    parameters: serde_json::Map<String, Value>,
    variables: serde_json::Map<String, Value>,
) -> Result<Scope, Refusal> {
    let group = groups::require(cx, &place.subscription, &place.group)?;
    let mut shown = group.body.clone();
    shown["name"] = group.name.into();
    let subscription = json!({
        "id": format!("/subscriptions/{}", place.subscription),
        "subscriptionId": place.subscription,
        "tenantId": cx.tenant,
    });
    Ok(Scope::new(parameters, variables, subscription, shown))
}

/// A request to Azure Resource Manager for a resource.
pub(super) fn request(method: Method, id: &str, api: &str, body: Option<&Value>) -> Request {
    let mut headers = HeaderMap::new();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    Request {
        method,
        host: "management.azure.com".to_owned(),
        path: id.to_owned(),
        segments: id.split('/').filter(|s| !s.is_empty()).map(str::to_owned).collect(),
        query: vec![("api-version".to_owned(), api.to_owned())],
        headers,
        body: body.map(|body| body.to_string().into()).unwrap_or_default(),
        identities: Vec::new(),
        machine: None,
    }
}

/// Starts the next step of a deployment.
pub(super) fn start(cx: &mut Cx<'_>, id: &str, due: Duration) -> Result<Lro, Refusal> {
    cx.start(NewLro { provider: NAMESPACE, kind: STEP, resource: id, payload: Value::Null, takes: due.max(PAUSE) })
}

/// Does what can be done now; starts the next step, or ends the deployment.
pub(in crate::resources) fn step(cx: &mut Cx<'_>, lro: &Lro) -> Result<Option<Value>, Refusal> {
    let Some(mut deployment) = store::get(cx, &lro.resource)? else { return Ok(None) };
    let Some(work) = deployment.work.clone() else { return Ok(None) };
    let caller = work.deployer.caller();
    cx.tenant.clone_from(&caller.tenant);
    let place = place_of(&deployment)?;
    let scope = scope(cx, &place, work.parameters.clone(), work.variables.clone())?;
    look(cx, &mut deployment)?;
    for at in 0..work.resources.len() {
        if deployment.steps[at].state == State::Waiting && ready(&work.resources[at], &deployment) {
            begin(cx, &mut deployment, &work, at, &scope, &caller)?;
        }
    }
    let pending: Vec<&str> = deployment
        .steps
        .iter()
        .filter_map(|step| match &step.state {
            State::Running(id) => Some(id.as_str()),
            _ => None,
        })
        .collect();
    let more = (0..work.resources.len())
        .any(|at| deployment.steps[at].state == State::Waiting && ready(&work.resources[at], &deployment));
    if pending.is_empty() && !more {
        end(cx, &mut deployment, &work, &scope, &caller)?;
    } else {
        // The first one that ends may let others begin.
        let mut next = None;
        for id in &pending {
            let due = lro::get(cx.tx, id)?.map_or(PAUSE, |lro| lro.due - cx.now);
            next = Some(next.map_or(due, |next| due.min(next)));
        }
        let next = next.unwrap_or(PAUSE).max(PAUSE);
        deployment.document["properties"]["provisioningState"] = "Running".into();
        start(cx, &deployment.id, next)?;
    }
    store::put(cx, &deployment)?;
    Ok(None)
}

/// A deployment whose step broke has failed.
pub(in crate::resources) fn broken(cx: &mut Cx<'_>, lro: &Lro) -> Result<(), Refusal> {
    let Some(mut deployment) = store::get(cx, &lro.resource)? else { return Ok(()) };
    let error = Refusal::internal("a step of a deployment broke").arm_error();
    close(cx, &mut deployment, Some(error));
    store::put(cx, &deployment)
}

pub(super) fn place_of(deployment: &Deployment) -> Result<Place, Refusal> {
    let id = ResourceId::parse(&deployment.id);
    let id = id.ok_or_else(|| Refusal::internal(format!("{} is no resource id", deployment.id)))?;
    Ok(Place {
        subscription: id.subscription().unwrap_or_default().to_owned(),
        group: id.group().unwrap_or_default().to_owned(),
    })
}

/// Whether everything is there that a resource depends on.
fn ready(planned: &Planned, deployment: &Deployment) -> bool {
    planned.after.iter().all(|before| deployment.steps[*before].state == State::Succeeded)
}

/// Finds out what has become of the operations in progress.
fn look(cx: &Cx<'_>, deployment: &mut Deployment) -> Result<(), Refusal> {
    for step in &mut deployment.steps {
        let State::Running(running) = &step.state else { continue };
        let found = lro::get(cx.tx, running)?;
        let (state, error) = match found {
            Some(lro) if lro.status == Status::InProgress => continue,
            Some(lro) if lro.status != Status::Succeeded => (State::Failed, lro.error),
            _ => (State::Succeeded, None),
        };
        if state == State::Failed {
            step.status = 409;
        }
        step.error = error;
        step.state = state;
        step.ended = millis(cx.now);
    }
    Ok(())
}

/// PUTs a resource.
fn begin(
    cx: &mut Cx<'_>,
    deployment: &mut Deployment,
    work: &Work,
    at: usize,
    scope: &Scope,
    caller: &Caller,
) -> Result<(), Refusal> {
    let planned = &work.resources[at];
    let body = scope.document(&planned.body, &mut |target, api, whole| read(cx, work, caller, target, api, whole));
    let result = body.and_then(|body| {
        let request = request(Method::PUT, &planned.id, &planned.api, Some(&body));
        dispatch::on_behalf(cx, &request, caller)
    });
    let now = millis(cx.now);
    let step = &mut deployment.steps[at];
    step.started = now;
    match result {
        Ok(answer) => {
            step.status = answer.status.as_u16();
            step.state = match operation(&answer) {
                Some(id) => State::Running(id),
                None => State::Succeeded,
            };
        }
        Err(refusal) if refusal.status >= 500 && refusal.cause().is_some() => return Err(refusal),
        Err(refusal) => {
            step.status = refusal.status;
            step.error = Some(refusal.arm_error());
            step.state = State::Failed;
        }
    }
    step.ended = now;
    Ok(())
}

/// Id of the long-running operation that an answer started.
fn operation(answer: &Answer) -> Option<String> {
    let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
    let url = header("azure-asyncoperation").or_else(|| header("location"))?;
    let id = url.split('?').next()?.rsplit('/').next()?;
    uuid::Uuid::try_parse(id).ok().map(|_| id.to_owned())
}

/// `reference()`: what the deployer reads of a resource now.
fn read(
    cx: &mut Cx<'_>,
    work: &Work,
    caller: &Caller,
    target: &str,
    api: Option<&str>,
    whole: bool,
) -> Result<Value, Refusal> {
    let planned = template::position(&work.resources, target).map(|at| &work.resources[at]);
    let id = match planned {
        Some(planned) => planned.id.clone(),
        None if template::is_id(target) => target.to_owned(),
        None => return Err(invalid(format!("The resource '{target}' is not defined in the template"))),
    };
    let Some(api) = api.or(planned.map(|planned| planned.api.as_str())) else {
        return Err(invalid(format!("The api-version is required to reference the resource '{target}'")));
    };
    let answer = dispatch::on_behalf(cx, &request(Method::GET, &id, api, None), caller)?;
    let body: Value = serde_json::from_slice(&answer.body)?;
    if whole { Ok(body) } else { Ok(body["properties"].clone()) }
}

/// Ends a deployment of which nothing more can be done.
fn end(
    cx: &mut Cx<'_>,
    deployment: &mut Deployment,
    work: &Work,
    scope: &Scope,
    caller: &Caller,
) -> Result<(), Refusal> {
    let made: Vec<&str> =
        deployment.steps.iter().filter(|step| step.state == State::Succeeded).map(|step| step.id.as_str()).collect();
    let made: Value = made.into_iter().map(|id| json!({ "id": id })).collect();
    let mut errors: Vec<Value> = deployment.steps.iter().filter_map(|step| step.error.clone()).collect();
    if errors.is_empty() {
        let outputs = outputs(cx, work, scope, caller);
        match outputs {
            Ok(outputs) => deployment.document["properties"]["outputs"] = outputs,
            Err(refusal) if refusal.cause().is_some() => return Err(refusal),
            Err(refusal) => errors.push(refusal.arm_error()),
        }
    }
    deployment.document["properties"]["outputResources"] = made;
    let failed = !errors.is_empty();
    let error = failed.then(|| {
        json!({
            "code": "DeploymentFailed",
            "target": deployment.id,
            "message": "At least one resource deployment operation failed. Please list deployment operations for details. \
                        Please see https://aka.ms/arm-deployment-operations for usage details.",
            "details": errors,
        })
    });
    close(cx, deployment, error);
    Ok(())
}

fn outputs(cx: &mut Cx<'_>, work: &Work, scope: &Scope, caller: &Caller) -> Result<Value, Refusal> {
    let mut outputs = json!({});
    for (name, output) in work.outputs.as_object().into_iter().flatten() {
        let kind = output["type"].as_str().unwrap_or_default();
        let value =
            scope.document(&output["value"], &mut |target, api, whole| read(cx, work, caller, target, api, whole))?;
        outputs[name] = if kind.to_ascii_lowercase().starts_with("secure") {
            json!({ "type": kind })
        } else {
            json!({ "type": kind, "value": value })
        };
    }
    Ok(outputs)
}

fn close(cx: &Cx<'_>, deployment: &mut Deployment, error: Option<Value>) {
    let properties = &mut deployment.document["properties"];
    let began = properties["timestamp"].as_str().and_then(|t| chrono::DateTime::parse_from_rfc3339(t).ok());
    let took = began.map_or(0, |began| (cx.now - began.to_utc()).num_milliseconds());
    properties["duration"] = duration(took).into();
    properties["timestamp"] = crate::time::rfc3339(cx.now).into();
    properties["provisioningState"] = if error.is_some() { "Failed" } else { "Succeeded" }.into();
    if let Some(error) = error {
        properties["error"] = error;
    }
    deployment.work = None;
}

/// Milliseconds as an ISO 8601 duration.
pub(super) fn duration(millis: i64) -> String {
    let millis = millis.max(0);
    format!("PT{}.{:03}S", millis / 1_000, millis % 1_000)
}

/// The document of a step.
pub(super) fn shown(deployment: &Deployment, step: &store::Step) -> Value {
    let mut properties = json!({
        "provisioningOperation": "Create",
        "provisioningState": match step.state {
            State::Waiting | State::Running(_) => "Running",
            State::Succeeded => "Succeeded",
            State::Failed => "Failed",
        },
        "timestamp": crate::time::rfc3339(instant(step.ended)),
        "duration": duration(step.ended - step.started),
        "trackingId": step.operation,
        "statusCode": match step.status {
            201 => "Created",
            202 => "Accepted",
            400 => "BadRequest",
            403 => "Forbidden",
            404 => "NotFound",
            409 => "Conflict",
            _ => "OK",
        },
        "targetResource": { "id": step.id, "resourceType": step.kind, "resourceName": step.name },
    });
    if let Some(error) = &step.error {
        properties["statusMessage"] = json!({ "status": "Failed", "error": error });
    }
    json!({
        "id": format!("{}/operations/{}", deployment.id, step.operation),
        "operationId": step.operation,
        "properties": properties,
    })
}
