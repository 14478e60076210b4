//! Tenants, subscriptions and their locations.

use serde_json::{Value, json};

use super::locations::LOCATIONS;
use crate::authorization::assignments;
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::resource_id::within;
use crate::seed;

/// The subscription's id.
pub(crate) fn subscription(cx: &Cx<'_>) -> Result<String, Refusal> {
    Ok(cx.setting(seed::SUBSCRIPTION)?.unwrap_or_default())
}

fn document(cx: &Cx<'_>) -> Result<Value, Refusal> {
    let id = subscription(cx)?;
    Ok(json!({
        "id": format!("/subscriptions/{id}"),
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": id,
        "tenantId": cx.tenant,
        "displayName": cx.setting::<String>(seed::SUBSCRIPTION_NAME)?,
        "state": "Enabled",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
    }))
}

/// `Tenants_List`.
pub(super) fn tenants(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let domain: Option<String> = cx.setting(seed::DOMAIN)?;
    Ok(Answer::ok(&json!({ "value": [{
        "id": format!("/tenants/{}", cx.tenant),
        "tenantId": cx.tenant,
        "countryCode": "US",
        "displayName": seed::TENANT_NAME,
        "domains": [domain],
        "tenantCategory": "Home",
        "defaultDomain": domain,
        "tenantType": "AAD",
    }] })))
}

/// `Subscriptions_List`: only what the caller has a role in, at the subscription or anywhere inside.
pub(super) fn list(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let document = document(cx)?;
    let id = document["id"].as_str().unwrap_or_default();
    let visible = assignments::of_principal(cx.tx, &cx.caller.oid)?
        .iter()
        .any(|a| a.effective <= cx.now && (within(&a.scope, id) || within(id, &a.scope)));
    let value = if visible { vec![document] } else { Vec::new() };
    Ok(Answer::ok(&json!({
        "count": { "type": "Total", "value": value.len() },
        "value": value,
    })))
}

/// `Subscriptions_Get`.
pub(super) fn get(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    Ok(Answer::ok(&document(cx)?))
}

/// `Subscriptions_ListLocations`.
pub(super) fn locations(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let subscription = subscription(cx)?;
    let value: Vec<Value> = LOCATIONS.iter().map(|l| l.document(&subscription)).collect();
    Ok(Answer::ok(&json!({ "value": value })))
}
