//! What a subscription can have where: SKUs, quotas, names.

use serde_json::{Value, json};

use super::settings::{self, Kind, SKU};
use super::{ACCOUNTS, invalid, row};
use crate::arm::resource;
use crate::cx::Cx;
use crate::fault;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::resources::locations::{self, LOCATIONS};
use crate::store::resources::Filter;

/// Accounts of a kind that a subscription has in a region.
fn count(cx: &Cx<'_>, kind: Kind, subscription: &str, location: &str) -> Result<i64, Refusal> {
    let all = cx.resources(Filter { subscription: Some(subscription), kind: Some(ACCOUNTS), ..Filter::default() })?;
    let here = all.iter().filter(|account| {
        account.body["kind"] == kind.as_str()
            && account.location.as_deref().is_some_and(|here| here.eq_ignore_ascii_case(location))
    });
    Ok(i64::try_from(here.count()).unwrap_or(i64::MAX))
}

fn quota(cx: &Cx<'_>, kind: Kind, location: &str) -> Result<i64, Refusal> {
    let zero = fault::zero_quotas(cx)?.iter().any(|lack| lack.covers(location, &kind.quota_name()));
    Ok(if zero { 0 } else { kind.quota() })
}

fn lacks_sku(cx: &Cx<'_>, location: &str) -> Result<bool, Refusal> {
    Ok(fault::missing_skus(cx)?.iter().any(|lack| lack.covers(location, SKU)))
}

/// Refuses another account where the quota is used up or the SKU is not offered.
pub(super) fn check_room(cx: &Cx<'_>, kind: Kind, subscription: &str, location: &str) -> Result<(), Refusal> {
    if lacks_sku(cx, location)? {
        return Err(Refusal::new(
            400,
            "InvalidSkuId",
            format!("The account SKU '{SKU}' is either invalid or unavailable in given region."),
        ));
    }
    let (count, quota) = (count(cx, kind, subscription, location)?, quota(cx, kind, location)?);
    if count < quota {
        return Ok(());
    }
    Err(Refusal::new(
        400,
        "InsufficientQuota",
        format!(
            "Insufficient quota. Cannot create an account of kind {}: the subscription has {count} in {location}, and \
             its quota {} is {quota}.",
            kind.as_str(),
            kind.quota_name()
        ),
    ))
}

/// `ResourceSkus_List`.
pub(super) fn skus(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let mut value = Vec::new();
    for kind in Kind::ALL {
        for location in LOCATIONS {
            let restrictions = if lacks_sku(cx, location.name)? {
                json!([{
                    "type": "Location",
                    "values": [location.name],
                    "reasonCode": "NotAvailableForSubscription",
                }])
            } else {
                json!([])
            };
            value.push(json!({
                "resourceType": "accounts",
                "name": SKU,
                "tier": "Standard",
                "kind": kind.as_str(),
                "locations": [location.name.to_ascii_uppercase()],
                "restrictions": restrictions,
            }));
        }
    }
    Ok(Answer::ok(&json!({ "value": value })))
}

/// `Accounts_ListSkus`.
pub(super) fn account_skus(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    resource::subject(cx)?;
    let sku = json!({ "resourceType": ACCOUNTS, "sku": { "name": SKU, "tier": "Standard" } });
    Ok(Answer::ok(&json!({ "value": [sku] })))
}

/// `Accounts_ListUsages`: an account without deployments uses nothing.
pub(super) fn account_usages(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    resource::subject(cx)?;
    Ok(Answer::ok(&json!({ "value": [] })))
}

/// `Usages_List`.
pub(super) fn usages(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let location = locations::require(&params.get("location").into(), ACCOUNTS)?.name;
    let mut value = Vec::new();
    for kind in Kind::ALL {
        let name = kind.quota_name();
        value.push(json!({
            "name": { "value": name, "localizedValue": name },
            "currentValue": count(cx, kind, params.get("subscription"), location)?,
            "limit": quota(cx, kind, location)?,
            "unit": "Count",
        }));
    }
    Ok(Answer::ok(&json!({ "value": value })))
}

fn check_type(body: &Value) -> Result<(), Refusal> {
    let given = body["type"].as_str().unwrap_or_default();
    if given.eq_ignore_ascii_case(ACCOUNTS) {
        return Ok(());
    }
    Err(invalid(format!("'{given}' is no resource type of this namespace: {ACCOUNTS}.")))
}

/// `CheckSkuAvailability`.
pub(super) fn check_sku_availability(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let location = locations::require(&params.get("location").into(), ACCOUNTS)?.name;
    let body = cx.request.json()?;
    check_type(&body)?;
    let kind = body["kind"].as_str().unwrap_or_default();
    let known = Kind::parse(&body["kind"]).is_ok();
    let lacking = lacks_sku(cx, location)?;
    let mut value = Vec::new();
    for sku in body["skus"].as_array().into_iter().flatten() {
        let available = known && !lacking && sku == SKU;
        let mut entry = json!({ "kind": kind, "type": ACCOUNTS, "skuName": sku, "skuAvailable": available });
        if !available {
            entry["reason"] = "NotAvailable".into();
            entry["message"] = format!("The SKU is not available for accounts of kind {kind} in {location}.").into();
        }
        value.push(entry);
    }
    Ok(Answer::ok(&json!({ "value": value })))
}

/// `CheckDomainAvailability`.
pub(super) fn check_domain_availability(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let body = cx.request.json()?;
    check_type(&body)?;
    let name = body["subdomainName"].as_str().unwrap_or_default();
    let reason = if !settings::is_subdomain(name) {
        Some(format!("Sub domain name '{name}' is not valid"))
    } else if row::with_subdomain(cx, name)?.is_some() {
        Some(format!("Sub domain name '{name}' is already used. Please pick a different name."))
    } else {
        None
    };
    let mut answer = json!({ "isSubdomainAvailable": reason.is_none(), "subdomainName": name, "type": ACCOUNTS });
    if let Some(reason) = reason {
        answer["reason"] = reason.into();
    }
    if body["kind"].is_string() {
        answer["kind"] = body["kind"].clone();
    }
    Ok(Answer::ok(&answer))
}
