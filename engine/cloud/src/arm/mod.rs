//! Azure Resource Manager: the service at `management.azure.com` that all providers' operations run under.

pub(crate) mod answers;
pub(crate) mod body;
pub(crate) mod identity;
pub(crate) mod kind;
pub(crate) mod linked;
pub(crate) mod resource;
pub(crate) mod rows;
pub(crate) mod version;

use crate::cx::Cx;
use crate::http::{Answer, Request};
use crate::identity::tenants;
use crate::identity::token::TokenError;
use crate::operation::{Operation, Params};
use crate::refusal::Refusal;
use crate::registry;
use crate::resource_id::ResourceId;
use crate::service::Service;
use crate::store::log;

/// Token audiences of Azure Resource Manager.
pub(crate) const AUDIENCES: &[&str] = &["https://management.azure.com", "https://management.core.windows.net"];

/// Azure Resource Manager.
pub(crate) struct Arm;

/// The resource id that a request's path names: its complete type/name pairs, without a trailing collection or verb.
pub(crate) fn target(request: &Request) -> ResourceId {
    let segments = &request.segments;
    let is = |position: usize, literal: &str| segments.get(position).is_some_and(|s| s.eq_ignore_ascii_case(literal));
    let mut end = 0;
    if is(0, "subscriptions") && segments.len() >= 2 {
        end = 2;
        if is(2, "resourceGroups") && segments.len() >= 4 {
            end = 4;
        }
    }
    let mut position = end;
    while is(position, "providers") {
        let mut next = position + 2;
        while segments.len() >= next + 2 && !is(next, "providers") {
            next += 2;
            end = next;
        }
        if end != next {
            break;
        }
        position = next;
    }
    ResourceId::parse(&format!("/{}", segments[..end].join("/"))).unwrap_or_else(|| {
        // A segment is `.` or `..`: nobody has a role there.
        ResourceId::resource("invalid", "invalid", "invalid", "invalid")
    })
}

impl Service for Arm {
    fn name(&self) -> &'static str {
        "arm"
    }

    fn answers(&self, host: &str) -> bool {
        host == "management.azure.com"
    }

    fn tables(&self) -> Vec<&'static [Operation]> {
        registry::PROVIDERS.iter().flat_map(|p| p.operations()).collect()
    }

    /// `Resources_CheckExistence` and `Resources_CheckExistenceById`: HEAD of a resource, not of a list.
    fn heads(&self, request: &Request) -> bool {
        let target = target(request);
        request.method == http::Method::HEAD
            && target.namespace().is_some()
            && target.segments().len() == request.segments.len()
    }

    fn audiences(&self) -> &'static [&'static str] {
        AUDIENCES
    }

    /// The tenant that the subscription in the path trusts. What is about no subscription, or about one that does not
    /// exist, takes a token of any tenant.
    fn tenant(&self, cx: &Cx<'_>) -> Result<Option<String>, Refusal> {
        Ok(match target(cx.request).subscription() {
            Some(subscription) => tenants::of_subscription(cx.tx, subscription)?.map(|tenant| tenant.id),
            None => None,
        })
    }

    fn unauthorized(&self, cx: &Cx<'_>, error: &TokenError) -> Refusal {
        let (code, message) = match error {
            TokenError::Missing => {
                ("AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.".to_owned())
            }
            TokenError::Expired(_) => ("ExpiredAuthenticationToken", error.to_string()),
            TokenError::Audience { given } => (
                "InvalidAuthenticationTokenAudience",
                format!(
                    "The access token has been obtained for wrong audience or resource '{given}'. It should exactly \
                     match with one of the allowed audiences 'https://management.core.windows.net/',\
                     'https://management.core.windows.net','https://management.azure.com/',\
                     'https://management.azure.com'."
                ),
            ),
            TokenError::Issuer { given } => (
                "InvalidAuthenticationTokenTenant",
                format!(
                    "The access token is from the wrong issuer '{given}'. It must match the tenant 'https://sts.windows\
                     .net/{0}/' associated with this subscription. Please use the authority (URL) \
                     'https://login.windows.net/{0}' to get the token. Note, if the subscription is transferred to \
                     another tenant there is no impact to the services, but information about new tenant could take \
                     time to propagate (up to an hour). If you just transferred your subscription and see this error \
                     message, please try back later.",
                    cx.tenant
                ),
            ),
            _ => ("InvalidAuthenticationToken", error.to_string()),
        };
        Refusal::new(401, code, message).header(
            "www-authenticate",
            format!(
                "Bearer authorization_uri=\"https://login.microsoftonline.com/{}\", error=\"invalid_token\", \
                 error_description=\"{}\"",
                cx.tenant,
                error.to_string().replace('"', "'")
            ),
        )
    }

    fn before(&self, cx: &mut Cx<'_>, _: &'static Operation, _: &Params) -> Result<(), Refusal> {
        // An encoded slash would make one segment here and two in the id, and so another scope; a control character in
        // a name would reach the terminals of all who list it.
        let odd = |s: &String| s.contains('/') || s == "." || s == ".." || s.contains(char::is_control);
        if cx.request.segments.iter().any(odd) {
            return Err(Refusal::new(
                400,
                "InvalidRequestUri",
                format!("The request URI '{}' is not valid.", cx.request.path),
            ));
        }
        let target = target(cx.request);
        let Some(subscription) = target.subscription() else { return Ok(()) };
        if tenants::of_subscription(cx.tx, subscription)?.is_some() {
            return Ok(());
        }
        if uuid::Uuid::try_parse(subscription).is_err() {
            return Err(Refusal::new(
                400,
                "InvalidSubscriptionId",
                format!("The provided subscription identifier '{subscription}' is malformed or invalid."),
            ));
        }
        Err(Refusal::new(404, "SubscriptionNotFound", format!("The subscription '{subscription}' could not be found.")))
    }

    fn scope(&self, cx: &Cx<'_>, _: &'static Operation, _: &Params) -> Result<String, Refusal> {
        Ok(target(cx.request).to_string())
    }

    fn ready(&self, cx: &mut Cx<'_>, operation: &'static Operation, _: &Params) -> Result<(), Refusal> {
        let target = target(cx.request);
        let (Some(namespace), Some(subscription)) = (target.namespace().map(str::to_owned), target.subscription())
        else {
            return Ok(());
        };
        if operation.method == http::Method::PUT || operation.method == http::Method::POST {
            crate::resources::registration::require(cx, subscription, &namespace)?;
        }
        match target.group() {
            Some(group) => crate::resources::groups::require(cx, subscription, group).map(|_| ()),
            None => Ok(()),
        }
    }

    fn forbidden(&self, cx: &Cx<'_>, action: &str, scope: &str) -> Refusal {
        Refusal::new(
            403,
            "AuthorizationFailed",
            format!(
                "The client '{}' with object id '{}' does not have authorization to perform action '{action}' over \
                 scope '{scope}' or the scope is invalid. If access was recently granted, please refresh your \
                 credentials.",
                cx.caller.name(),
                cx.caller.oid
            ),
        )
    }

    fn wrong_version(&self, cx: &Cx<'_>, operation: &'static Operation, _: &Params, given: Option<&str>) -> Refusal {
        version::wrong(cx, operation, given)
    }

    fn throttled(&self, _: &Cx<'_>) -> Refusal {
        Refusal::new(
            429,
            "SubscriptionRequestsThrottled",
            "Number of requests for subscription and operation group exceeded the limit. Please try again later.",
        )
    }

    fn unknown(&self, cx: &Cx<'_>) -> Refusal {
        version::unknown(cx)
    }

    fn render(&self, _: &Cx<'_>, refusal: &Refusal) -> Answer {
        refusal.render_arm()
    }

    fn finish(&self, cx: &Cx<'_>, answer: &mut Answer) {
        if answer.status == http::StatusCode::OK && self.heads(cx.request) {
            answer.status = http::StatusCode::NO_CONTENT;
        }
        answer.set("cache-control", "no-cache");
        answer
            .set("x-ms-routing-request-id", format!("SEALBOOK:{}:{}", cx.now.format("%Y%m%dT%H%M%SZ"), cx.request_id));
        // Token buckets per caller, as documented for Azure Resource Manager: capacity and refill per second.
        let (name, methods, capacity, refill): (_, &[&str], _, _) = match cx.request.method.as_str() {
            "GET" | "HEAD" => ("reads", &["GET", "HEAD"], 250, 25),
            "DELETE" => ("deletes", &["DELETE"], 200, 10),
            _ => ("writes", &["PUT", "PATCH", "POST"], 200, 10),
        };
        if let Ok(recent) = log::recent(cx, self.name(), methods, capacity / refill) {
            let left = (capacity - 1 - recent).max(0);
            answer.set(&format!("x-ms-ratelimit-remaining-subscription-{name}"), left.to_string());
        }
    }
}
