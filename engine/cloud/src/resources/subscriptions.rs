//! Tenants, subscriptions and their locations.

use serde_json::{Value, json};

use super::locations::LOCATIONS;
use crate::authorization::assignments;
use crate::cx::Cx;
use crate::http::Answer;
use crate::identity::tenants::{self, Tenant};
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::resource_id::within;

fn document(cx: &Cx<'_>, tenant: &Tenant) -> Result<Value, Refusal> {
    let id = format!("/subscriptions/{}", tenant.subscription);
    let mut document = json!({
        "id": id,
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": tenant.subscription,
        "tenantId": tenant.id,
        "displayName": tenant.subscription_name,
        "state": "Enabled",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
    });
    let tags = super::tags::of_subscription(cx, &tenant.subscription)?;
    if !tags.is_empty() {
        document["tags"] = Value::Object(tags);
    }
    Ok(document)
}

/// `Tenants_List`: the one that the caller is from; nobody here is a guest elsewhere.
pub(super) fn tenants(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let own = tenants::find(cx.tx, &cx.tenant)?;
    let value: Vec<Value> = own
        .iter()
        .map(|tenant| {
            json!({
                "id": format!("/tenants/{}", tenant.id),
                "tenantId": tenant.id,
                "countryCode": "US",
                "displayName": tenant.name,
                "domains": [tenant.domain],
                "tenantCategory": "Home",
                "defaultDomain": tenant.domain,
                "tenantType": "AAD",
            })
        })
        .collect();
    Ok(Answer::ok(&json!({ "value": value })))
}

/// `Subscriptions_List`: only what the caller has a role in, at the subscription or anywhere inside, and only
/// subscriptions that trust the token's tenant.
pub(super) fn list(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let roles = assignments::of_principal(cx.tx, &cx.caller.oid)?;
    let mut value = Vec::new();
    for tenant in tenants::all(cx.tx)?.iter().filter(|t| t.id.eq_ignore_ascii_case(&cx.tenant)) {
        let id = format!("/subscriptions/{}", tenant.subscription);
        if roles.iter().any(|a| a.effective <= cx.now && (within(&a.scope, &id) || within(&id, &a.scope))) {
            value.push(document(cx, tenant)?);
        }
    }
    Ok(Answer::ok(&json!({
        "count": { "type": "Total", "value": value.len() },
        "value": value,
    })))
}

/// `Subscriptions_Get`.
pub(super) fn get(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let subscription = params.get("subscription");
    let tenant = tenants::of_subscription(cx.tx, subscription)?.ok_or_else(|| {
        Refusal::new(404, "SubscriptionNotFound", format!("The subscription '{subscription}' could not be found."))
    })?;
    Ok(Answer::ok(&document(cx, &tenant)?))
}

/// `Subscriptions_ListLocations`.
pub(super) fn locations(_: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let value: Vec<Value> = LOCATIONS.iter().map(|l| l.document(params.get("subscription"))).collect();
    Ok(Answer::ok(&json!({ "value": value })))
}
