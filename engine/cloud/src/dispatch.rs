//! One request: one transaction, from the host name to the request log.

use chrono::{DateTime, Duration, Utc};
use http::Method;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use sealbook_crypto::SealKey;
use uuid::Uuid;

use crate::arm::Arm;
use crate::cx::{Caller, Cx};
use crate::fault::{self, Fault, FaultKind};
use crate::http::{Answer, Request};
use crate::identity::token::TokenError;
use crate::operation::{self, Access, Found, Operation, Params};
use crate::refusal::Refusal;
use crate::room::{Machine, MachineRoom};
use crate::service::Service;
use crate::store::{log, settings};
use crate::{audit, compute, insights, lro, registry, seed};

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Answered.
    Answered(Answer),
    /// The connection was lost before anything ran.
    LostBefore,
    /// The connection was lost after the commit.
    LostAfter,
}

/// The instants of the two clocks: wall, cloud.
pub(crate) fn clocks(tx: &Connection, wall: DateTime<Utc>) -> Result<DateTime<Utc>, Refusal> {
    let offset: i64 = settings::get(tx, settings::CLOCK_OFFSET)?.unwrap_or_default();
    wall.checked_add_signed(Duration::milliseconds(offset))
        .ok_or_else(|| Refusal::internal("the cloud clock stands beyond the calendar"))
}

/// Runs a request. An error means that nothing was committed.
pub(crate) fn run(connection: &mut Connection, setting: Setting<'_>, request: &Request) -> Result<Outcome, Refusal> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let outcome = within(&tx, setting, request)?;
    tx.commit()?;
    Ok(outcome)
}

/// What is the same for every request of an instant.
#[derive(Clone, Copy)]
pub(crate) struct Setting<'a> {
    /// Seals what is stored.
    pub sealing: &'a SealKey,
    /// The wall clock.
    pub wall: DateTime<Utc>,
    /// Where scripts for virtual machines are carried out.
    pub room: Option<&'a dyn MachineRoom>,
}

fn context<'a>(tx: &'a Transaction<'a>, setting: Setting<'a>, request: &'a Request) -> Result<Cx<'a>, Refusal> {
    let Setting { sealing, wall, room } = setting;
    let request_id = Uuid::new_v4();
    let correlation_id = request
        .header("x-ms-correlation-request-id")
        .and_then(|given| Uuid::try_parse(given).ok())
        .unwrap_or(request_id);
    Ok(Cx {
        tx,
        now: clocks(tx, wall)?,
        wall,
        request,
        caller: Caller::default(),
        request_id,
        correlation_id: correlation_id.to_string(),
        tenant: settings::get(tx, seed::TENANT)?.unwrap_or_default(),
        room,
        sealing,
        entries: Vec::new(),
    })
}

/// Everything that is known about a request when it is over.
struct Done {
    answer: Answer,
    service: &'static str,
    operation: Option<&'static Operation>,
    code: Option<String>,
}

fn within(tx: &Transaction<'_>, setting: Setting<'_>, request: &Request) -> Result<Outcome, Refusal> {
    let mut cx = context(tx, setting, request)?;
    let fate = fault::fate(tx, request)?;
    let service = registry::service(&request.host);
    let done = match (&fate, service) {
        (Some(Fault { kind: FaultKind::DropBefore, .. }), _) => Done {
            answer: Answer::empty(500),
            service: service.map_or("", Service::name),
            operation: service.and_then(|s| match found(s, request) {
                Found::One(operation, _) => Some(operation),
                _ => None,
            }),
            code: None,
        },
        (_, None) => unknown_host(request),
        (_, Some(service)) => serve(&mut cx, service, fate.as_ref())?,
    };
    let entries = std::mem::take(&mut cx.entries);
    for (entry, identity) in entries {
        let row = audit::write(tx, &entry, cx.now, &identity, &cx.correlation_id)?;
        insights::diagnostics::send(tx, &entry, row, cx.now)?;
    }
    let lost_before = matches!(&fate, Some(f) if f.kind == FaultKind::DropBefore);
    let lost_after = matches!(&fate, Some(f) if f.kind == FaultKind::DropAfter);
    log::write(
        tx,
        &log::Line {
            request_id: cx.request_id.to_string(),
            time: setting.wall,
            request,
            service: done.service,
            operation: done.operation.map_or("", |o| o.name),
            status: if lost_before { 0 } else { done.answer.status.as_u16() },
            code: done.code.as_deref(),
            caller: Some(cx.caller.oid.as_str()).filter(|oid| !oid.is_empty()),
            correlation: &cx.correlation_id,
            fault: fate.as_ref().map(Fault::name),
        },
    )?;
    Ok(if lost_before {
        Outcome::LostBefore
    } else if lost_after {
        Outcome::LostAfter
    } else {
        Outcome::Answered(done.answer)
    })
}

fn found(service: &dyn Service, request: &Request) -> Found {
    let (tables, discriminators) = (service.tables(), service.discriminators());
    let found = operation::find(&tables, discriminators, request);
    match &found {
        Found::OtherMethods(methods) if methods.contains(&Method::GET) && service.heads(request) => {
            let asked = Request { method: Method::GET, ..request.clone() };
            operation::find(&tables, discriminators, &asked)
        }
        _ => found,
    }
}

fn unknown_host(request: &Request) -> Done {
    let host = &request.host;
    tracing::warn!(host, "a host that the embedded Azure does not know was asked; nothing is forwarded");
    let refusal = Refusal::new(
        421,
        "HostNotEmulated",
        format!("The embedded Azure does not answer for '{host}', and forwards nothing."),
    )
    .gap(format!("the host {host}"));
    Done { answer: refusal.render_arm(), service: "", operation: None, code: Some(refusal.code) }
}

/// Lets happen what is due by the clocks.
fn tick(cx: &mut Cx<'_>) -> Result<(), Refusal> {
    lro::advance(cx)?;
    registry::PROVIDERS.iter().try_for_each(|provider| provider.tick(cx))
}

/// Lets happen what is due, for a look at the cloud that comes without a request.
pub(crate) fn catch_up(tx: &Transaction<'_>, setting: Setting<'_>) -> Result<(), Refusal> {
    unasked(tx, setting, |_| Ok(()))
}

/// Works on the cloud without a request, after what is due has happened.
pub(crate) fn unasked<T>(
    tx: &Transaction<'_>,
    setting: Setting<'_>,
    work: impl FnOnce(&mut Cx<'_>) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let request =
        http::Request::get("https://management.azure.com/").body(bytes::Bytes::new()).map_err(Refusal::internal)?;
    let request = Request::parse(request).map_err(Refusal::internal)?;
    let mut cx = context(tx, setting, &request)?;
    tick(&mut cx)?;
    work(&mut cx)
}

/// Answers a virtual machine that is not there any more, or not in the boot that the door was opened for. Such a machine
/// sends nothing: whoever speaks for it must end.
fn off(cx: &Cx<'_>, service: &'static dyn Service) -> Done {
    let mut answer = Answer::empty(410).header(Machine::STATE, "off");
    finish(cx, service, &mut answer);
    Done { answer, service: service.name(), operation: None, code: Some("MachineOff".to_owned()) }
}

/// Serves a request inside a savepoint of its own: a refused operation leaves no trace but its log lines.
fn serve(cx: &mut Cx<'_>, service: &'static dyn Service, fate: Option<&Fault>) -> Result<Done, Refusal> {
    tick(cx)?;
    if let Some(machine) = &cx.request.machine
        && !compute::is_on(cx.tx, machine)?
    {
        return Ok(off(cx, service));
    }
    let found = found(service, cx.request);
    let matched = match &found {
        Found::One(operation, params) => Some((*operation, params.clone())),
        _ => None,
    };
    cx.tx.execute_batch("SAVEPOINT operation")?;
    let result = match fate.map(|f| &f.kind) {
        Some(FaultKind::Throttle { retry_after }) => {
            Err(service.throttled(cx).header("retry-after", retry_after.to_string()))
        }
        Some(FaultKind::ServerError) => Err(Refusal::new(
            500,
            "InternalServerError",
            "The server encountered an internal error. Please retry the request.",
        )),
        _ => attempt(cx, service, found),
    };
    let (mut answer, code) = match result {
        Ok(answer) => (answer, None),
        Err(refusal) => {
            if !refusal.rest.keeps {
                cx.tx.execute_batch("ROLLBACK TO operation")?;
            }
            report(cx, &refusal);
            (service.render(cx, &refusal), Some(refusal.code))
        }
    };
    cx.tx.execute_batch("RELEASE operation")?;
    if let Some((operation, params)) = &matched
        && let Some(entry) = service.audit(cx, operation, params, &answer)
    {
        cx.audit(entry);
    }
    if let Some((operation, _)) = &matched
        && service.name() == Arm.name()
    {
        insights::activity::record(cx, operation, &answer, code.as_deref())?;
    }
    finish(cx, service, &mut answer);
    Ok(Done { answer, service: service.name(), operation: matched.map(|(operation, _)| operation), code })
}

fn attempt(cx: &mut Cx<'_>, service: &'static dyn Service, found: Found) -> Result<Answer, Refusal> {
    let (operation, params) = match found {
        Found::One(operation, params) => (operation, params),
        Found::OtherMethods(methods) => {
            authenticate(cx, service)?;
            return Err(other_methods(cx, service, &methods));
        }
        Found::Nothing => {
            authenticate(cx, service)?;
            let gap = asked_for(cx, service);
            let refusal = service.unknown(cx);
            return Err(if refusal.gap.is_none() { refusal.gap(gap) } else { refusal });
        }
    };
    if operation.access != Access::Open {
        authenticate(cx, service)?;
    }
    check_version(cx, service, operation, &params)?;
    service.before(cx, operation, &params)?;
    let required = match operation.access {
        Access::Open | Access::Authenticated => None,
        Access::Control(action) => Some((action, false)),
        Access::Data(action) => Some((action, true)),
    };
    if let Some((action, data)) = required {
        service.permit(cx, operation, &params, action, data)?;
    }
    service.ready(cx, operation, &params)?;
    (operation.run)(cx, &params)
}

/// The context of a request that the embedded Azure makes in a caller's name, and the operation that it meets.
fn inner<'a>(
    cx: &Cx<'a>,
    request: &'a Request,
    caller: &Caller,
) -> Result<(Cx<'a>, &'static Operation, Params), Refusal> {
    let mut inner = Cx {
        request,
        caller: caller.clone(),
        request_id: Uuid::new_v4(),
        correlation_id: cx.correlation_id.clone(),
        tenant: caller.tenant.clone(),
        entries: Vec::new(),
        ..*cx
    };
    let (operation, params) = match operation::find(&Arm.tables(), Arm.discriminators(), request) {
        Found::One(operation, params) => (operation, params),
        Found::OtherMethods(_) | Found::Nothing => return Err(Arm.unknown(&inner)),
    };
    check_version(&inner, &Arm, operation, &params)?;
    Arm.before(&mut inner, operation, &params)?;
    if let Access::Control(action) = operation.access {
        Arm.permit(&inner, operation, &params, action, false)?;
    }
    Arm.ready(&mut inner, operation, &params)?;
    Ok((inner, operation, params))
}

/// Refuses what a request to Azure Resource Manager in a caller's name would be refused before its operation runs.
pub(crate) fn preflight(cx: &Cx<'_>, request: &Request, caller: &Caller) -> Result<(), Refusal> {
    inner(cx, request, caller).map(|_| ())
}

/// Runs a request to Azure Resource Manager in a caller's name, inside the current transaction: the same checks, the same
/// operation and the same activity log as for a request of the caller's own.
pub(crate) fn on_behalf(cx: &mut Cx<'_>, request: &Request, caller: &Caller) -> Result<Answer, Refusal> {
    let (mut inner, operation, params) = inner(cx, request, caller)?;
    inner.tx.execute_batch("SAVEPOINT on_behalf")?;
    let result = (operation.run)(&mut inner, &params);
    if let Err(refusal) = &result
        && !refusal.rest.keeps
    {
        inner.tx.execute_batch("ROLLBACK TO on_behalf")?;
    }
    inner.tx.execute_batch("RELEASE on_behalf")?;
    match &result {
        Ok(answer) => insights::activity::record(&inner, operation, answer, None)?,
        Err(refusal) => {
            report(&inner, refusal);
            insights::activity::record(&inner, operation, &Arm.render(&inner, refusal), Some(&refusal.code))?;
        }
    }
    let entries = inner.entries;
    cx.entries.extend(entries);
    result
}

/// Finds out who calls; a token of another tenant than the one that the request is about is refused.
fn authenticate(cx: &mut Cx<'_>, service: &'static dyn Service) -> Result<(), Refusal> {
    let needed = service.tenant(cx)?;
    if let Some(tenant) = &needed {
        cx.tenant.clone_from(tenant);
    }
    let caller = service.authenticate(cx)?;
    // A credential that is no token (a key of the resource itself) belongs to no tenant.
    if !caller.tenant.is_empty() {
        if needed.is_some_and(|tenant| !tenant.eq_ignore_ascii_case(&caller.tenant)) {
            return Err(service.unauthorized(cx, &TokenError::Issuer { given: caller.issuer }));
        }
        cx.tenant.clone_from(&caller.tenant);
    }
    cx.caller = caller;
    Ok(())
}

fn check_version(
    cx: &Cx<'_>,
    service: &dyn Service,
    operation: &'static Operation,
    params: &Params,
) -> Result<(), Refusal> {
    if operation.api.is_empty() {
        return Ok(());
    }
    let given = service.version(cx.request);
    if given.as_deref().is_some_and(|g| operation.api.iter().any(|v| v.eq_ignore_ascii_case(g))) {
        return Ok(());
    }
    Err(service.wrong_version(cx, operation, params, given.as_deref()))
}

/// What was asked for, with those members of the query that decide which operation it is.
fn asked_for(cx: &Cx<'_>, service: &dyn Service) -> String {
    let request = cx.request;
    let deciding = |name: &&str| request.query(name).map(|value| format!("{name}={value}"));
    let query: Vec<String> = service.discriminators().iter().filter_map(deciding).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{} {}{}{mark}{}", request.method, request.host, request.path, query.join("&"))
}

fn other_methods(cx: &Cx<'_>, service: &dyn Service, methods: &[http::Method]) -> Refusal {
    let request = cx.request;
    let allow: Vec<&str> = methods.iter().map(http::Method::as_str).collect();
    Refusal::new(
        405,
        "MethodNotAllowed",
        format!("The request method '{}' is not allowed on '{}'.", request.method, request.path),
    )
    .header("allow", allow.join(", "))
    .gap(asked_for(cx, service))
}

fn report(cx: &Cx<'_>, refusal: &Refusal) {
    let (method, host, path) = (cx.request.method.as_str(), &cx.request.host, &cx.request.path);
    if let Some(cause) = refusal.cause() {
        tracing::error!(method, host, path, cause, "the embedded Azure failed");
    }
    if let Some(gap) = &refusal.gap {
        tracing::warn!(method, host, path, gap, "the embedded Azure lacks what was asked");
    }
}

/// Adds what every answer carries.
fn finish(cx: &Cx<'_>, service: &dyn Service, answer: &mut Answer) {
    answer.set("x-ms-request-id", cx.request_id.to_string());
    answer.set("x-ms-correlation-request-id", &cx.correlation_id);
    answer.set("date", crate::time::http_date(cx.wall));
    if cx.request.header("x-ms-return-client-request-id") == Some("true")
        && let Some(id) = cx.request.header("x-ms-client-request-id")
    {
        answer.set("x-ms-client-request-id", id);
    }
    service.finish(cx, answer);
    if cx.request.method == http::Method::HEAD {
        answer.body = bytes::Bytes::new();
    }
}
