//! Registration of resource providers with a subscription.

use rusqlite::{OptionalExtension, params};
use serde_json::{Value, json};

use super::locations::LOCATIONS;
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::registry;
use crate::service::Provider;
use crate::store::resources::Filter;
use crate::store::{instant, millis};

/// Table of the registrations that differ from a fresh subscription's.
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS subscription_registrations (
    subscription TEXT NOT NULL COLLATE NOCASE,
    namespace    TEXT NOT NULL COLLATE NOCASE,
    registered   INTEGER NOT NULL,
    due          INTEGER NOT NULL,
    PRIMARY KEY (subscription, namespace)
) STRICT;
DROP TABLE IF EXISTS registrations;
";

/// How long a registration takes, in milliseconds of cloud time.
const TAKES: i64 = 300;

/// A provider that every subscription has and that can't be unregistered.
fn registration_free(provider: &dyn Provider) -> bool {
    matches!(provider.namespace(), "Microsoft.Resources" | "Microsoft.Authorization")
}

fn state(cx: &Cx<'_>, subscription: &str, provider: &dyn Provider) -> Result<&'static str, Refusal> {
    let row: Option<(bool, i64)> = cx
        .tx
        .prepare_cached(
            "SELECT registered, due FROM subscription_registrations WHERE subscription = ?1 AND namespace = ?2",
        )?
        .query_row([subscription, provider.namespace()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(match row {
        None if provider.registered_at_first() => "Registered",
        None => "NotRegistered",
        Some((true, due)) if instant(due) <= cx.now => "Registered",
        Some((true, _)) => "Registering",
        Some((false, _)) => "Unregistered",
    })
}

/// Refuses the use of a namespace that the subscription has not registered.
pub(crate) fn require(cx: &Cx<'_>, subscription: &str, namespace: &str) -> Result<(), Refusal> {
    let Some(provider) = registry::provider(namespace) else { return Ok(()) };
    if state(cx, subscription, provider)? == "Registered" {
        return Ok(());
    }
    let namespace = provider.namespace();
    let message = format!(
        "The subscription is not registered to use namespace '{namespace}'. See https://aka.ms/rps-not-found for how \
         to register subscriptions."
    );
    let detail = json!({
        "code": "MissingSubscriptionRegistration",
        "target": namespace,
        "message": message,
    });
    Err(Refusal::new(409, "MissingSubscriptionRegistration", message).details(vec![detail]))
}

/// Registers the namespace of a resource that the caller deploys, as Azure Resource Manager does for templates, when the
/// caller may register it. The deployment goes on once it is registered, so that takes no time here.
///
/// Source: <https://learn.microsoft.com/azure/azure-resource-manager/management/resource-providers-and-types>.
pub(super) fn for_deployment(cx: &Cx<'_>, subscription: &str, namespace: &str) -> Result<(), Refusal> {
    let Some(provider) = registry::provider(namespace) else { return Ok(()) };
    let action = format!("{}/register/action", provider.namespace());
    if state(cx, subscription, provider)? != "Registered"
        && cx.authorize(&action, false, &format!("/subscriptions/{subscription}"))?.allowed
    {
        write_at(cx, subscription, provider, true, millis(cx.now))?;
    }
    Ok(())
}

/// The document of a provider at a subscription, or at the tenant, where nothing is registered.
fn document(cx: &Cx<'_>, subscription: Option<&str>, provider: &dyn Provider) -> Result<Value, Refusal> {
    let namespace = provider.namespace();
    let types: Vec<Value> = registry::types(provider)
        .iter()
        .map(|t| {
            let locations: Vec<&str> =
                if t.regional { LOCATIONS.iter().map(|l| l.display).collect() } else { Vec::new() };
            json!({
                "resourceType": t.name,
                "locations": locations,
                "apiVersions": t.api,
                "defaultApiVersion": t.api.first(),
                "capabilities": if t.regional { "SupportsTags, SupportsLocation" } else { "None" },
            })
        })
        .collect();
    let Some(subscription) = subscription else {
        return Ok(json!({ "namespace": namespace, "resourceTypes": types }));
    };
    Ok(json!({
        "id": format!("/subscriptions/{subscription}/providers/{namespace}"),
        "namespace": namespace,
        "resourceTypes": types,
        "registrationState": state(cx, subscription, provider)?,
        "registrationPolicy": if registration_free(provider) { "RegistrationFree" } else { "RegistrationRequired" },
    }))
}

fn named(params: &Params) -> Result<&'static dyn Provider, Refusal> {
    let namespace = params.get("namespace");
    registry::provider(namespace).filter(|p| !registry::types(*p).is_empty()).ok_or_else(|| {
        Refusal::new(404, "InvalidResourceNamespace", format!("The resource namespace '{namespace}' is invalid."))
            .gap(format!("the resource provider {namespace}"))
    })
}

/// `Providers_List` and `Providers_ListAtTenantScope`.
pub(super) fn list(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let subscription = params.find("subscription");
    let providers = registry::PROVIDERS.iter().filter(|p| !registry::types(**p).is_empty());
    let value: Vec<Value> = providers.map(|p| document(cx, subscription, *p)).collect::<Result<_, _>>()?;
    Ok(Answer::ok(&json!({ "value": value })))
}

/// `Providers_Get` and `Providers_GetAtTenantScope`.
pub(super) fn get(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    Ok(Answer::ok(&document(cx, params.find("subscription"), named(params)?)?))
}

/// `ProviderResourceTypes_List`.
pub(super) fn types(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let document = document(cx, params.find("subscription"), named(params)?)?;
    Ok(Answer::ok(&json!({ "value": document["resourceTypes"] })))
}

/// `Providers_Register`: answers at once; the state is `Registering` for a moment.
pub(super) fn register(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let (subscription, provider) = (params.get("subscription"), named(params)?);
    if matches!(state(cx, subscription, provider)?, "NotRegistered" | "Unregistered") {
        write(cx, subscription, provider, true)?;
    }
    Ok(Answer::ok(&document(cx, Some(subscription), provider)?))
}

/// `Providers_Unregister`: refused while resources of the provider exist.
pub(super) fn unregister(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let (subscription, provider) = (params.get("subscription"), named(params)?);
    let namespace = provider.namespace();
    let prefix = format!("{namespace}/");
    let used = cx.resources(Filter { subscription: Some(subscription), ..Filter::default() })?;
    let used = used.iter().any(|r| r.kind.get(..prefix.len()).is_some_and(|k| k.eq_ignore_ascii_case(&prefix)));
    if used || registration_free(provider) {
        return Err(Refusal::new(
            409,
            "CannotUnregisterRegisteredNamespace",
            format!("Cannot unregister namespace '{namespace}' because resources of it exist in the subscription."),
        ));
    }
    write(cx, subscription, provider, false)?;
    Ok(Answer::ok(&document(cx, Some(subscription), provider)?))
}

fn write(cx: &Cx<'_>, subscription: &str, provider: &dyn Provider, registered: bool) -> Result<(), Refusal> {
    let due = millis(cx.now) + if registered { TAKES } else { 0 };
    write_at(cx, subscription, provider, registered, due)
}

fn write_at(
    cx: &Cx<'_>,
    subscription: &str,
    provider: &dyn Provider,
    registered: bool,
    due: i64,
) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached(
            "INSERT OR REPLACE INTO subscription_registrations (subscription, namespace, registered, due)
             VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![subscription, provider.namespace(), registered, due])?;
    Ok(())
}
