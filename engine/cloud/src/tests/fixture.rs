//! A provider that misbehaves on request, to test what the dispatcher makes of it.

use chrono::Duration;
use http::Method;
use serde_json::{Value, json};

use super::gadgets;
use crate::arm::kind::Kind;
use crate::arm::{answers, resource};
use crate::cx::Cx;
use crate::http::Answer;
use crate::lro::{self, Lro, NewLro};
use crate::operation::{Access, Operation, Params, Run};
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::service::{Provider, ResourceType};
use crate::store::resources::Resource;

pub(crate) static PROVIDER: Fixture = Fixture;

pub(crate) struct Fixture;

const API: &[&str] = &["2026-01-01"];
const THING: &str = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Test.Fixture/things/{name}";

const fn on_thing(name: &'static str, method: Method, path: &'static str, run: Run) -> Operation {
    Operation {
        name,
        method,
        path,
        when: &[],
        api: API,
        access: Access::Control("Test.Fixture/things/write"),
        lro: false,
        run,
    }
}

static OPERATIONS: &[Operation] = &[
    on_thing("Things_Put", Method::PUT, THING, put),
    on_thing("Things_Get", Method::GET, THING, get),
    on_thing(
        "Things_Refuse",
        Method::POST,
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Test.Fixture/things/{name}/refuse",
        refuse,
    ),
    on_thing(
        "Things_Panic",
        Method::POST,
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Test.Fixture/things/{name}/panic",
        panics,
    ),
    on_thing(
        "Things_Start",
        Method::POST,
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Test.Fixture/things/{name}/start",
        start,
    ),
    on_thing(
        "Things_Status",
        Method::GET,
        "/subscriptions/{subscription}/providers/Test.Fixture/locations/{location}/statuses/{id}",
        |cx, params| lro::poll_status(cx, params.get("id")),
    ),
    on_thing(
        "Things_Result",
        Method::GET,
        "/subscriptions/{subscription}/providers/Test.Fixture/locations/{location}/results/{id}",
        |cx, params| lro::poll_location(cx, params.get("id")),
    ),
];

fn id(params: &Params) -> ResourceId {
    ResourceId::resource(params.get("subscription"), params.get("group"), "Test.Fixture/things", params.get("name"))
}

fn put(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    Ok(Answer::ok(&cx.put_resource(&id(params), json!({ "location": "westus" }))?.body))
}

fn get(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    Ok(Answer::ok(&cx.existing(&id(params))?.body))
}

fn refuse(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    put(cx, params)?;
    Err(Refusal::new(409, "Refused", "It was written before it was refused."))
}

fn panics(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    put(cx, params)?;
    panic!("as asked");
}

fn start(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let id = id(params).to_string();
    let kind = match params.get("name") {
        "panics" => "panics",
        "refuses" => "refuses",
        _ => "succeeds",
    };
    let lro = cx.start(NewLro {
        provider: "Test.Fixture",
        kind,
        resource: &id,
        payload: json!({ "asked": kind }),
        takes: Duration::seconds(5),
    })?;
    let base = format!("/subscriptions/{}/providers/Test.Fixture/locations/westus", params.get("subscription"));
    let version = answers::api_version(cx);
    let answer = Answer::empty(202)
        .header("azure-asyncoperation", answers::async_operation(&format!("{base}/statuses/{}", lro.id), version))
        .header("location", answers::location(&format!("{base}/results/{}", lro.id), version, false));
    Ok(answers::started(cx, &lro, answer))
}

impl Provider for Fixture {
    fn namespace(&self) -> &'static str {
        "Test.Fixture"
    }

    fn operations(&self) -> Vec<&'static [Operation]> {
        [vec![OPERATIONS], gadgets::tables()].concat()
    }

    fn kinds(&self) -> &'static [&'static dyn Kind] {
        gadgets::KINDS
    }

    fn types(&self) -> &'static [ResourceType] {
        &[ResourceType { name: "things", api: API, regional: true }]
    }

    fn delete(&self, cx: &mut Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
        if resource.name == "stuck" {
            return Err(Refusal::new(409, "ThingInUse", "The thing is in use."));
        }
        resource::destroy(cx, resource)
    }

    fn complete(&self, cx: &mut Cx<'_>, lro: &Lro) -> Result<Option<Value>, Refusal> {
        if !lro.resource.contains("/things/") {
            return resource::complete(cx, lro);
        }
        let id = ResourceId::parse(&lro.resource).ok_or_else(|| Refusal::internal("no id"))?;
        let body = cx.put_resource(&id, json!({ "location": "westus", "made": crate::time::rfc3339(cx.now) }))?.body;
        match lro.payload["asked"].as_str() {
            Some("panics") => panic!("as asked"),
            Some("refuses") => Err(Refusal::new(409, "ThingRefused", "The thing did not want to.")),
            _ => Ok(Some(body)),
        }
    }
}
