//! What a subscription can have where: SKUs and quotas.

use serde_json::{Value, json};

use super::ACCOUNTS;
use super::account;
use super::settings::{Kind, Sku};
use crate::cx::Cx;
use crate::fault;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::resources::locations::{self, LOCATIONS};

/// Accounts per subscription and region, Azure's default.
const QUOTA: i64 = 250;

/// Name of that quota.
const QUOTA_NAME: &str = "StorageAccounts";

fn quota(cx: &Cx<'_>, location: &str) -> Result<i64, Refusal> {
    let zero = fault::zero_quotas(cx)?.iter().any(|lack| lack.covers(location, QUOTA_NAME));
    Ok(if zero { 0 } else { QUOTA })
}

/// Refuses another account where the quota is used up.
pub(super) fn check_quota(cx: &Cx<'_>, subscription: &str, location: &str) -> Result<(), Refusal> {
    let (count, quota) = (account::count(cx.tx, subscription, location)?, quota(cx, location)?);
    if count < quota {
        return Ok(());
    }
    Err(Refusal::new(
        409,
        "MaxStorageAccountsCountPerSubscriptionExceeded",
        format!(
            "Subscription {subscription} already contains {count} storage accounts in location {location} and the \
             maximum allowed is {quota}."
        ),
    ))
}

/// Refuses a SKU that the region does not have.
pub(super) fn check_sku(cx: &Cx<'_>, sku: Sku, location: &str) -> Result<(), Refusal> {
    if !fault::missing_skus(cx)?.iter().any(|lack| lack.covers(location, sku.name)) {
        return Ok(());
    }
    Err(Refusal::new(
        400,
        "AccountTypeNotSupportedInLocation",
        format!("The AccountType {} is not supported in the location {location}.", sku.name),
    ))
}

/// Usages_ListByLocation.
pub(super) fn usages(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let location = locations::require(&params.get("location").into(), ACCOUNTS)?.name;
    let count = account::count(cx.tx, params.get("subscription"), location)?;
    Ok(Answer::ok(&json!({ "value": [{
        "unit": "Count",
        "currentValue": count,
        "limit": quota(cx, location)?,
        "name": { "value": QUOTA_NAME, "localizedValue": "Storage Accounts" }
    }] })))
}

/// Skus_List: every SKU of every kind in every region.
pub(super) fn skus(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let lacks = fault::missing_skus(cx)?;
    let mut value = Vec::new();
    for kind in Kind::ALL {
        for sku in Sku::all().filter(|sku| sku.is_for(kind)) {
            for location in LOCATIONS {
                let missing = lacks.iter().any(|lack| lack.covers(location.name, sku.name));
                value.push(sku_document(kind, sku, location.name, missing));
            }
        }
    }
    Ok(Answer::ok(&json!({ "value": value })))
}

fn sku_document(kind: Kind, sku: Sku, location: &str, missing: bool) -> Value {
    let restrictions: Vec<Value> = missing
        .then(|| json!({ "type": "location", "values": [location], "reasonCode": "NotAvailableForSubscription" }))
        .into_iter()
        .collect();
    json!({
        "resourceType": "storageAccounts",
        "name": sku.name,
        "tier": sku.tier,
        "kind": kind.as_str(),
        "locations": [location],
        "capabilities": [
            { "name": "supportschangenotification", "value": "false" },
            { "name": "supportsfileencryption", "value": "true" }
        ],
        "restrictions": restrictions
    })
}
