//! Who is signed in, in which tenant, and which subscription is meant.

use azure_core::credentials::TokenCredential as _;
use azure_core::http::{Context, Method, Request, Url};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::Value;

use crate::arm::Arm;
use crate::azure::{ARM_SCOPE, Inner};
use crate::error::{AzureError, Effect, Kind};

/// Where a run works, and as whom: what is shown and confirmed before anything happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Tenant id.
    pub tenant: String,
    /// Subscription id, without `/subscriptions/`.
    pub subscription_id: String,
    /// The subscription's display name.
    pub subscription_name: String,
    /// Object id of the user or service principal: what role assignments name.
    pub principal_id: String,
    /// User principal name, or the application's name or id.
    pub principal_name: String,
    /// `User` or `ServicePrincipal`, as role assignments want it.
    pub principal_type: String,
}

/// Microsoft Graph, as far as it is needed: `/me`.
pub(crate) struct Graph;

impl Graph {
    pub const HOST: &str = "graph.microsoft.com";
    pub const SCOPE: &str = "https://graph.microsoft.com/.default";
    const ME: &str = "https://graph.microsoft.com/v1.0/me";
}

/// Puts an [`Account`] together.
pub(crate) async fn find(inner: &Inner, arm: &Arm) -> Result<Account, AzureError> {
    let token = inner.tokens.get_token(&[ARM_SCOPE], None).await;
    let token = token.map_err(|error| AzureError::from_core(&error, Effect::Read))?;
    let claims = claims(token.token.secret()).ok_or_else(|| {
        let message = "Entra's token cannot be read, so who is signed in is not known: sign out and in again";
        AzureError::new(Kind::SignIn, "UnreadableToken", message)
    })?;
    let tenant = text(&claims, "tid").unwrap_or_default();
    if let Some(wanted) = inner.tenant.as_ref().filter(|wanted| !wanted.eq_ignore_ascii_case(&tenant)) {
        check_tenant(&arm.list("/tenants", None).await?, wanted, &tenant)?;
    }
    let all = arm.list("/subscriptions", None).await?;
    let (subscription_id, subscription_name) = choose(&all, &tenant, inner.subscription.as_deref())?;
    let principal = match text(&claims, "idtyp").as_deref() {
        Some("app") => service_principal(&claims),
        _ => user(inner, &claims).await?,
    };
    Ok(Account {
        tenant,
        subscription_id,
        subscription_name,
        principal_id: principal.id,
        principal_name: principal.name,
        principal_type: principal.kind.to_owned(),
    })
}

struct Principal {
    id: String,
    name: String,
    kind: &'static str,
}

/// A service principal may usually not ask Graph about itself, but its token says enough.
fn service_principal(claims: &Value) -> Principal {
    let id = text(claims, "oid").unwrap_or_default();
    let name = text(claims, "app_displayname").or_else(|| text(claims, "appid")).unwrap_or_else(|| id.clone());
    Principal { id, name, kind: "ServicePrincipal" }
}

async fn user(inner: &Inner, claims: &Value) -> Result<Principal, AzureError> {
    let from_claims = || Principal {
        id: text(claims, "oid").unwrap_or_default(),
        name: ["upn", "preferred_username", "unique_name", "name"]
            .iter()
            .find_map(|name| text(claims, name))
            .unwrap_or_default(),
        kind: "User",
    };
    match me(inner).await {
        Ok(me) => Ok(Principal {
            id: text(&me, "id").unwrap_or_default(),
            name: text(&me, "userPrincipalName").or_else(|| text(&me, "displayName")).unwrap_or_default(),
            kind: "User",
        }),
        // Tenants may keep users (guests above all) away from Graph: the token knows the same person.
        Err(refused) if matches!(refused.kind, Kind::Forbidden | Kind::Unauthorized) => Ok(from_claims()),
        Err(error) => Err(error),
    }
}

async fn me(inner: &Inner) -> Result<Value, AzureError> {
    let unusable = |error: azure_core::Error| AzureError::from_core(&error, Effect::Read);
    let url: Url = Graph::ME.parse().map_err(|error| unusable(azure_core::Error::from(error)))?;
    let mut request = Request::new(url, Method::Get);
    request.insert_header("accept", "application/json");
    let answer = inner.graph.send(&Context::new(), &mut request, None).await.map_err(unusable)?;
    answer.body().json().map_err(unusable)
}

/// Reads a token's claims without verifying it: the token is ours, and only Azure decides by it.
fn claims(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn check_tenant(tenants: &[Value], wanted: &str, signed_in: &str) -> Result<(), AzureError> {
    let is_wanted = |tenant: &Value| {
        let names = ["tenantId", "defaultDomain", "displayName"];
        let domains = tenant.get("domains").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        names
            .iter()
            .filter_map(|name| tenant.get(name).and_then(Value::as_str))
            .chain(domains)
            .any(|name| name.eq_ignore_ascii_case(wanted))
    };
    let same = |tenant: &Value| tenant.get("tenantId").and_then(Value::as_str) == Some(signed_in);
    if tenants.iter().any(|tenant| is_wanted(tenant) && same(tenant)) {
        return Ok(());
    }
    let message = format!(
        "the sign-in is for tenant {signed_in}, but tenant {wanted} was named: sign in there \
         (`az login --tenant {wanted}`) or name the other one"
    );
    Err(AzureError::new(Kind::SignIn, "OtherTenant", message))
}

/// Picks the subscription: the one that was named, else the only one that can be used.
fn choose(all: &[Value], tenant: &str, wanted: Option<&str>) -> Result<(String, String), AzureError> {
    let read = |value: &Value| {
        let id = text(value, "subscriptionId")?;
        let name = text(value, "displayName").unwrap_or_else(|| id.clone());
        let usable = matches!(text(value, "state").as_deref(), None | Some("Enabled" | "Warned" | "PastDue"));
        let here = text(value, "tenantId").is_none_or(|home| home == tenant);
        (usable && here).then_some((id, name))
    };
    let usable: Vec<(String, String)> = all.iter().filter_map(read).collect();
    let matching: Vec<&(String, String)> = match wanted {
        None => usable.iter().collect(),
        Some(wanted) => {
            let by_id = usable.iter().filter(|(id, _)| id.eq_ignore_ascii_case(wanted)).collect::<Vec<_>>();
            let by_name = || usable.iter().filter(|(_, name)| name.eq_ignore_ascii_case(wanted)).collect();
            if by_id.is_empty() { by_name() } else { by_id }
        }
    };
    let listed = |some: &[&(String, String)]| {
        some.iter().map(|(id, name)| format!("\n  {id}  {name}")).collect::<Vec<_>>().concat()
    };
    match (matching.as_slice(), wanted) {
        ([one], _) => Ok((*one).clone()),
        ([], None) => Err(AzureError::new(
            Kind::SignIn,
            "NoSubscription",
            format!(
                "the account sees no usable subscription in tenant {tenant}: ask for a role in one, then try again"
            ),
        )),
        ([], Some(wanted)) => Err(AzureError::new(
            Kind::SignIn,
            "SubscriptionNotFound",
            format!(
                "no usable subscription is called {wanted}; these are there:{}",
                listed(&usable.iter().collect::<Vec<_>>())
            ),
        )),
        (several, _) => Err(AzureError::new(
            Kind::SignIn,
            "SubscriptionNotNamed",
            format!(
                "the account sees {} subscriptions that could be meant; name one by its id:{}",
                several.len(),
                listed(several)
            ),
        )),
    }
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_subscription_is_named_or_the_only_one() {
        let all = [
            json!({"subscriptionId": "a", "displayName": "Dev", "state": "Enabled", "tenantId": "t"}),
            json!({"subscriptionId": "b", "displayName": "Prod", "state": "Enabled", "tenantId": "t"}),
            json!({"subscriptionId": "c", "displayName": "Old", "state": "Disabled", "tenantId": "t"}),
            json!({"subscriptionId": "d", "displayName": "dev", "state": "Enabled", "tenantId": "other"}),
        ];
        type Row<'a> = (&'a [Value], Option<&'a str>, Result<&'a str, &'a str>);
        let rows: &[Row<'_>] = &[
            (&all[..1], None, Ok("a")),
            (&all, None, Err("SubscriptionNotNamed")),
            (&all, Some("B"), Ok("b")),
            (&all, Some("prod"), Ok("b")),
            (&all, Some("dev"), Ok("a")),
            (&all, Some("old"), Err("SubscriptionNotFound")),
            (&all, Some("d"), Err("SubscriptionNotFound")),
            (&all[2..], None, Err("NoSubscription")),
            (&[], None, Err("NoSubscription")),
        ];
        for (all, wanted, expected) in rows {
            let chosen = choose(all, "t", *wanted);
            match expected {
                Ok(id) => assert_eq!(chosen.unwrap().0, *id, "{wanted:?}"),
                Err(code) => {
                    let error = chosen.unwrap_err();
                    assert_eq!((error.kind, error.code.as_str()), (Kind::SignIn, *code), "{wanted:?}");
                }
            }
        }
        insta::assert_snapshot!(choose(&all, "t", None).unwrap_err().message, @r"
        the account sees 2 subscriptions that could be meant; name one by its id:
          a  Dev
          b  Prod
        ");
    }

    #[test]
    fn the_tenant_is_checked_by_id_or_domain() {
        let tenants = [json!({"tenantId": "t-1", "defaultDomain": "contoso.example", "domains": ["c.example"]})];
        for (wanted, fine) in
            [("t-1", true), ("T-1", true), ("contoso.example", true), ("c.example", true), ("t-2", false)]
        {
            assert_eq!(check_tenant(&tenants, wanted, "t-1").is_ok(), fine, "{wanted}");
        }
        assert_eq!(check_tenant(&tenants, "contoso.example", "t-2").unwrap_err().code, "OtherTenant");
    }
}
