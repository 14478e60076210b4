//! Lease Blob and Lease Container.

use http::Method;
use uuid::Uuid;

use super::state::{self, Action};
use super::{Place, find, forget, id, put};
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::storage::blob::{conditions, container, headers, read};
use crate::time::http_date;

/// What the header `x-ms-lease-action` may be.
const ACTIONS: [&str; 5] = ["acquire", "renew", "change", "release", "break"];

/// Any of the five actions on a blob.
pub(in crate::storage::blob) fn of_blob(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let (container, blob) = read::existing(cx, params)?;
    conditions::check_change(cx.request, &blob.etag, blob.modified)?;
    let answer = act(cx, Place::blob(&container, &blob.name))?;
    Ok(answer.header("etag", &blob.etag).header("last-modified", http_date(blob.modified)))
}

/// Any of the five actions on a container.
pub(in crate::storage::blob) fn of_container(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let container = container::existing(cx, params)?;
    conditions::check_change(cx.request, &container.etag, container.modified)?;
    let answer = act(cx, Place::container(&container))?;
    Ok(answer.header("etag", &container.etag).header("last-modified", http_date(container.modified)))
}

/// A request to lease that names none of the actions.
pub(in crate::storage::blob) fn refuse_unknown(cx: &Cx<'_>) -> Option<Refusal> {
    let request = cx.request;
    if request.method != Method::PUT || request.query("comp").is_none_or(|comp| !comp.eq_ignore_ascii_case("lease")) {
        return None;
    }
    match request.header("x-ms-lease-action") {
        None => Some(headers::missing("x-ms-lease-action")),
        Some(action) if ACTIONS.iter().all(|known| !known.eq_ignore_ascii_case(action)) => {
            Some(headers::invalid("x-ms-lease-action"))
        }
        Some(_) => None,
    }
}

fn act(cx: &Cx<'_>, place: Place<'_>) -> Result<Answer, Refusal> {
    let before = find(cx.tx, place)?;
    let named = cx.request.header("x-ms-lease-action").unwrap_or_default().to_ascii_lowercase();
    let shown = || id(cx.request, "x-ms-lease-id")?.ok_or_else(|| headers::missing("x-ms-lease-id"));
    let proposed = || id(cx.request, "x-ms-proposed-lease-id");
    let (action, status) = match named.as_str() {
        "acquire" => {
            let seconds = duration(cx)?;
            let id = proposed()?.unwrap_or_else(|| Uuid::new_v4().to_string());
            (Action::Acquire { id, seconds }, 201)
        }
        "renew" => (Action::Renew { id: shown()? }, 200),
        "change" => {
            let to = proposed()?.ok_or_else(|| headers::missing("x-ms-proposed-lease-id"))?;
            (Action::Change { id: shown()?, to }, 200)
        }
        "release" => (Action::Release { id: shown()? }, 200),
        _ => (Action::Break { period: period(cx)? }, 202),
    };
    let is_break = matches!(action, Action::Break { .. });
    let after = state::after(before, action, cx.now).map_err(|code| refused(code, place))?;
    let answer = Answer::empty(status);
    let Some(lease) = after else {
        forget(cx.tx, place)?;
        return Ok(answer);
    };
    put(cx.tx, place, &lease)?;
    Ok(if is_break {
        answer.header("x-ms-lease-time", lease.left(cx.now).to_string())
    } else {
        answer.header("x-ms-lease-id", &lease.id)
    })
}

/// `x-ms-lease-duration`: 15 to 60 seconds, or -1 for no end.
fn duration(cx: &Cx<'_>) -> Result<Option<i64>, Refusal> {
    const NAME: &str = "x-ms-lease-duration";
    let given = cx.request.header(NAME).ok_or_else(|| headers::missing(NAME))?;
    match given.parse::<i64>() {
        Ok(-1) => Ok(None),
        Ok(seconds @ 15..=60) => Ok(Some(seconds)),
        _ => Err(headers::invalid(NAME)),
    }
}

/// `x-ms-lease-break-period`: up to 60 seconds.
fn period(cx: &Cx<'_>) -> Result<Option<i64>, Refusal> {
    const NAME: &str = "x-ms-lease-break-period";
    let Some(given) = cx.request.header(NAME) else { return Ok(None) };
    match given.parse::<i64>() {
        Ok(seconds @ 0..=60) => Ok(Some(seconds)),
        _ => Err(headers::invalid(NAME)),
    }
}

/// Azure's sentence to each code.
fn refused(code: &'static str, place: Place<'_>) -> Refusal {
    let what = if place.is_blob() { "blob" } else { "container" };
    let message = match code {
        "LeaseAlreadyPresent" => "There is already a lease present.".to_owned(),
        "LeaseIsBreakingAndCannotBeAcquired" => {
            "The lease ID matched, but the lease is currently in breaking state and cannot be acquired until it is \
             broken."
                .to_owned()
        }
        "LeaseIsBreakingAndCannotBeChanged" => {
            "The lease ID matched, but the lease is currently in breaking state and cannot be changed.".to_owned()
        }
        "LeaseIsBrokenAndCannotBeRenewed" => {
            "The lease ID matched, but the lease has been broken explicitly and cannot be renewed.".to_owned()
        }
        "LeaseNotPresentWithLeaseOperation" => format!("There is currently no lease on the {what}."),
        _ => format!("The lease ID specified did not match the lease ID for the {what}."),
    };
    Refusal::new(409, code, message)
}
