//! Deployments of templates into a resource group.
//!
//! - `expression`, `evaluate`: the template language
//! - `template`: which resources in which order
//! - `run`: each resource is PUT in the deployer's name, through the operation that a direct request would meet
//! - `store`: how deployments are kept
//!
//! Source: <https://learn.microsoft.com/rest/api/resources/deployments>.

mod evaluate;
mod expression;
mod run;
mod store;
mod template;
#[cfg(test)]
mod tests;

use chrono::Duration;
use http::Method;
use serde_json::{Value, json};

use self::evaluate::invalid;
use self::store::{Deployer, Deployment, State, Step, Work};
use self::template::Place;
pub(super) use self::{
    run::{STEP, broken, step},
    store::{SCHEMA, forget},
};
use super::{API, registration};
use crate::arm::{answers, body};
use crate::compute::quota;
use crate::cx::Cx;
use crate::dispatch;
use crate::http::Answer;
use crate::operation::{Operation, Params, Rows};
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::store::millis;

/// Type of a deployment.
const KIND: &str = "Microsoft.Resources/deployments";

/// Type of the resources that vCPU quotas are asked for.
const MACHINE: &str = "Microsoft.Compute/virtualMachines";

/// Largest deployment, in bytes: template and parameters.
const LARGEST: usize = 4 << 20;

macro_rules! deployments {
    ($rest:literal) => {
        concat!("/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Resources/deployments", $rest)
    };
}

const ROWS: Rows = Rows::control(API);

/// Operations on deployments.
pub(super) static OPERATIONS: &[Operation] = &[
    ROWS.row(
        "Deployments_CreateOrUpdate",
        Method::PUT,
        deployments!("/{name}"),
        "Microsoft.Resources/deployments/write",
        put,
    )
    .lasting(true),
    ROWS.row("Deployments_Get", Method::GET, deployments!("/{name}"), "Microsoft.Resources/deployments/read", get),
    ROWS.row(
        "Deployments_ListByResourceGroup",
        Method::GET,
        deployments!(""),
        "Microsoft.Resources/deployments/read",
        list,
    ),
    ROWS.row(
        "Deployments_Delete",
        Method::DELETE,
        deployments!("/{name}"),
        "Microsoft.Resources/deployments/delete",
        delete,
    ),
    ROWS.row(
        "Deployments_Validate",
        Method::POST,
        deployments!("/{name}/validate"),
        "Microsoft.Resources/deployments/validate/action",
        validate,
    ),
    ROWS.row(
        "Deployments_WhatIf",
        Method::POST,
        deployments!("/{name}/whatIf"),
        "Microsoft.Resources/deployments/whatIf/action",
        what_if,
    ),
    ROWS.row(
        "DeploymentOperations_List",
        Method::GET,
        deployments!("/{name}/operations"),
        "Microsoft.Resources/deployments/operations/read",
        operations,
    ),
    ROWS.row(
        "DeploymentOperations_Get",
        Method::GET,
        deployments!("/{name}/operations/{operation}"),
        "Microsoft.Resources/deployments/operations/read",
        operation,
    ),
    ROWS.row(
        "Deployments_Status",
        Method::GET,
        deployments!("/{name}/operationStatuses/{operation}"),
        "Microsoft.Resources/deployments/operationstatuses/read",
        status,
    ),
];

fn id(params: &Params) -> Result<ResourceId, Refusal> {
    let name = params.get("name");
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-()".contains(c));
    if !plain || name.len() > 64 || name.ends_with('.') {
        return Err(Refusal::new(
            400,
            "InvalidDeploymentName",
            format!(
                "The deployment name '{name}' is not valid. It has up to 64 letters, digits, '_', '.', '-', '(' and ')', and \
                 does not end with '.'."
            ),
        ));
    }
    Ok(ResourceId::resource(params.get("subscription"), params.get("group"), KIND, name))
}

fn group(params: &Params) -> String {
    format!("/subscriptions/{}/resourceGroups/{}", params.get("subscription"), params.get("group"))
}

fn existing(cx: &Cx<'_>, params: &Params) -> Result<Deployment, Refusal> {
    let id = id(params)?;
    store::get(cx, &id.to_string())?.ok_or_else(|| {
        Refusal::new(404, "DeploymentNotFound", format!("Deployment '{}' could not be found.", id.name()))
    })
}

/// Refuses a change of a deployment that has not ended.
fn require_ended(deployment: &Deployment) -> Result<(), Refusal> {
    if deployment.work.is_none() {
        return Ok(());
    }
    Err(Refusal::new(
        409,
        "DeploymentActive",
        format!(
            "Unable to edit or replace deployment '{}': previous deployment from '{}' is still active. Please see \
             https://aka.ms/arm-deploy for usage details.",
            deployment.document["name"].as_str().unwrap_or_default(),
            deployment.document["properties"]["timestamp"].as_str().unwrap_or_default()
        ),
    ))
}

/// Judges a deployment as a whole: its template, and whether the caller may make each of its resources.
fn plan(cx: &mut Cx<'_>, params: &Params) -> Result<(Work, Value), Refusal> {
    if cx.request.body.len() > LARGEST {
        return Err(Refusal::new(
            413,
            "RequestContentTooLarge",
            format!("The request content size exceeds the maximum size of {} MB.", LARGEST >> 20),
        ));
    }
    let given = body::object(cx)?;
    let asked = &given["properties"];
    for (gap, path) in [
        ("templateLink", "/templateLink"),
        ("parametersLink", "/parametersLink"),
        ("onErrorDeployment", "/onErrorDeployment"),
    ] {
        if asked.pointer(path).is_some_and(|link| !link.is_null()) {
            return Err(invalid(format!("'{gap}' is not supported")).gap(format!("deployments: {gap}")));
        }
    }
    match asked["mode"].as_str() {
        Some(mode) if mode.eq_ignore_ascii_case("Incremental") => {}
        Some(mode) if mode.eq_ignore_ascii_case("Complete") => {
            return Err(invalid("the mode 'Complete' is not supported").gap("deployments: complete mode"));
        }
        _ => {
            return Err(Refusal::new(
                400,
                "InvalidRequestContent",
                "The request content was invalid and could not be deserialized: 'Required property 'mode' not found or \
                 not valid in JSON. Path 'properties'.'.",
            ));
        }
    }
    let template = &asked["template"];
    template::check(template)?;
    let (values, shown) = template::parameters(template, &asked["parameters"])?;
    let variables = template["variables"].as_object().cloned().unwrap_or_default();
    let place = Place { subscription: params.get("subscription").to_owned(), group: params.get("group").to_owned() };
    let scope = run::scope(cx, &place, values.clone(), variables.clone())?;
    let resources = template::resources(template, &scope, &place)?;
    let caller = cx.caller.clone();
    for planned in &resources {
        let namespace = planned.kind.split('/').next().unwrap_or_default();
        registration::for_deployment(cx, &place.subscription, namespace)?;
        let request = run::request(Method::PUT, &planned.id, &planned.api, Some(&planned.body));
        dispatch::preflight(cx, &request, &caller).map_err(|refusal| unfit(refusal, planned))?;
        if let Some(message) = beyond_quota(cx, planned, &scope, &place)? {
            return Err(invalid_because(cx, params.get("name"), "QuotaExceeded", &message));
        }
    }
    let deployer = Deployer::of(&caller);
    Ok((Work { deployer, parameters: values, variables, resources, outputs: template["outputs"].clone() }, shown))
}

/// What a deployment answers when one of its resources can't be made by its caller at all.
fn unfit(refusal: Refusal, planned: &template::Planned) -> Refusal {
    if refusal.code != "AuthorizationFailed" {
        return refusal;
    }
    Refusal::new(
        403,
        "InvalidTemplateDeployment",
        format!(
            "Deployment failed with multiple errors: 'Authorization failed for template resource '{}' of type '{}'. {}'",
            planned.name, planned.kind, refusal.message
        ),
    )
}

/// Why no quota allows a resource, when it is a machine whose size and region are known beforehand. Each is judged by
/// itself: several that exceed a quota together fail when they are made.
fn beyond_quota(
    cx: &Cx<'_>,
    planned: &template::Planned,
    scope: &evaluate::Scope,
    place: &Place,
) -> Result<Option<String>, Refusal> {
    if !planned.kind.eq_ignore_ascii_case(MACHINE) {
        return Ok(None);
    }
    let known = |value: &Value| scope.plain(value).unwrap_or_default();
    let (location, size) =
        (known(&planned.body["location"]), known(&planned.body["properties"]["hardwareProfile"]["vmSize"]));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    quota::exceeded(cx, &place.subscription, &text(&location), &planned.id, &text(&size))
}

/// What a deployment answers when the provider of one of its resources finds it invalid beforehand.
fn invalid_because(cx: &Cx<'_>, name: &str, code: &str, message: &str) -> Refusal {
    Refusal::new(
        400,
        "InvalidTemplateDeployment",
        format!(
            "The template deployment '{name}' is not valid according to the validation procedure. The tracking id is \
             '{}'. See inner errors for details.",
            cx.correlation_id
        ),
    )
    .details(vec![json!({ "code": code, "message": message })])
}

/// The document of a deployment.
fn document(cx: &Cx<'_>, id: &ResourceId, work: &Work, parameters: Value, tags: &Value) -> Value {
    let mut document = json!({
        "id": id.to_string(),
        "name": id.name(),
        "type": KIND,
        "properties": {
            "templateHash": hash(work),
            "parameters": parameters,
            "mode": "Incremental",
            "provisioningState": "Accepted",
            "timestamp": crate::time::rfc3339(cx.now),
            "duration": run::duration(0),
            "correlationId": cx.correlation_id,
            "providers": template::providers(&work.resources),
            "dependencies": template::dependencies(&work.resources),
        },
    });
    if tags.is_object() {
        document["tags"] = tags.clone();
    }
    document
}

/// A number that two deployments share when they make the same: FNV-1a (RFC 9923) of what is to be made.
fn hash(work: &Work) -> String {
    let bodies = work.resources.iter().flat_map(|one| [one.id.clone(), one.api.clone(), one.body.to_string()]);
    let hash = bodies
        .flat_map(String::into_bytes)
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    hash.to_string()
}

/// `Deployments_CreateOrUpdate`.
fn put(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let id = id(params)?;
    super::groups::require_writable(cx, params.get("subscription"), params.get("group"))?;
    let old = store::get(cx, &id.to_string())?;
    if let Some(old) = &old {
        require_ended(old)?;
    }
    let tags = body::object(cx)?["tags"].clone();
    body::check_tags(&tags)?;
    let (work, parameters) = plan(cx, params)?;
    let now = millis(cx.now);
    let steps = work.resources.iter().map(|planned| Step {
        operation: uuid::Uuid::new_v4().simple().to_string()[..16].to_uppercase(),
        id: planned.id.clone(),
        kind: planned.kind.clone(),
        name: planned.name.clone(),
        state: State::Waiting,
        started: now,
        ended: now,
        status: 200,
        error: None,
    });
    let deployment = Deployment {
        document: document(cx, &id, &work, parameters, &tags),
        steps: steps.collect(),
        operation: uuid::Uuid::new_v4().to_string(),
        group: group(params),
        id: id.to_string(),
        work: Some(work),
    };
    store::put(cx, &deployment)?;
    let lro = run::start(cx, &deployment.id, Duration::zero())?;
    let status = if old.is_some() { 200 } else { 201 };
    let path = format!("{}/operationStatuses/{}", deployment.id, deployment.operation);
    let answer = answers::started(cx, &lro, Answer::json(status, &deployment.document));
    Ok(answers::asynchronous(answer, &path, answers::api_version(cx)))
}

/// `Deployments_Get`.
fn get(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    Ok(Answer::ok(&existing(cx, params)?.document))
}

/// `Deployments_ListByResourceGroup`.
fn list(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let value: Vec<Value> = store::list(cx, &group(params))?.into_iter().map(|one| one.document).collect();
    Ok(Answer::ok(&json!({ "value": value })))
}

/// `Deployments_Delete`: what the deployment made stays.
fn delete(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let id = id(params)?;
    if let Some(deployment) = store::get(cx, &id.to_string())? {
        require_ended(&deployment)?;
        store::delete(cx, &deployment.id)?;
    }
    Ok(Answer::empty(204))
}

/// `Deployments_Validate`.
fn validate(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let id = id(params)?;
    let (work, parameters) = plan(cx, params)?;
    let mut document = document(cx, &id, &work, parameters, &Value::Null);
    let properties = &mut document["properties"];
    properties["provisioningState"] = "Succeeded".into();
    properties["validatedResources"] = work.resources.iter().map(|planned| json!({ "id": planned.id })).collect();
    Ok(Answer::ok(&document))
}

/// `Deployments_WhatIf`.
fn what_if(_: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    Err(Refusal::new(400, "WhatIfNotSupported", "The what-if operation is not supported.").gap("deployments: what-if"))
}

/// `DeploymentOperations_List`.
fn operations(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let deployment = existing(cx, params)?;
    let begun = deployment.steps.iter().filter(|step| step.state != State::Waiting);
    let value: Vec<Value> = begun.map(|step| run::shown(&deployment, step)).collect();
    Ok(Answer::ok(&json!({ "value": value })))
}

/// `DeploymentOperations_Get`.
fn operation(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let deployment = existing(cx, params)?;
    let wanted = params.get("operation");
    let step = deployment.steps.iter().find(|step| step.operation.eq_ignore_ascii_case(wanted));
    match step {
        Some(step) => Ok(Answer::ok(&run::shown(&deployment, step))),
        None => Err(Refusal::new(
            404,
            "DeploymentOperationNotFound",
            format!("Deployment operation '{wanted}' could not be found."),
        )),
    }
}

/// Polls a deployment.
fn status(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let deployment = existing(cx, params)?;
    if !deployment.operation.eq_ignore_ascii_case(params.get("operation")) {
        return Err(Refusal::new(404, "NotFound", "The deployment operation status could not be found."));
    }
    let properties = &deployment.document["properties"];
    let mut body = json!({ "status": properties["provisioningState"] });
    if !properties["error"].is_null() {
        body["error"] = properties["error"].clone();
    }
    let answer = Answer::ok(&body);
    Ok(if deployment.work.is_some() { answer.header("retry-after", "1") } else { answer })
}
