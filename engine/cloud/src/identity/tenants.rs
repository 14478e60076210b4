//! The cloud's tenants, and what belongs to which: domains, subscriptions, principals.
//!
//! The first tenant's ids are settings; every further one is a row here.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::seed;
use crate::store::settings;

/// Tables of the tenants besides the first, and of the people and applications in them.
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS tenants (
    id                TEXT PRIMARY KEY COLLATE NOCASE,
    domain            TEXT NOT NULL UNIQUE COLLATE NOCASE,
    name              TEXT NOT NULL,
    subscription      TEXT NOT NULL UNIQUE COLLATE NOCASE,
    subscription_name TEXT NOT NULL,
    user              TEXT NOT NULL,
    client            TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS tenant_principals (
    oid    TEXT PRIMARY KEY COLLATE NOCASE,
    tenant TEXT NOT NULL COLLATE NOCASE
) STRICT;
";

/// A tenant with its one subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tenant {
    /// Tenant id.
    pub id: String,
    /// Its domain.
    pub domain: String,
    /// Display name.
    pub name: String,
    /// Subscription id.
    pub subscription: String,
    /// Subscription name.
    pub subscription_name: String,
    /// Object id of the user who owns the subscription.
    pub user: String,
    /// Object id of the service principal for command-line tools.
    pub client: String,
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Tenant> {
    Ok(Tenant {
        id: row.get("id")?,
        domain: row.get("domain")?,
        name: row.get("name")?,
        subscription: row.get("subscription")?,
        subscription_name: row.get("subscription_name")?,
        user: row.get("user")?,
        client: row.get("client")?,
    })
}

/// The first tenant.
pub(crate) fn first(tx: &Connection) -> Result<Tenant, Refusal> {
    let text = |name: &str| -> Result<String, Refusal> {
        settings::get(tx, name)?.ok_or_else(|| Refusal::internal(format!("the cloud has no setting `{name}`")))
    };
    Ok(Tenant {
        id: text(seed::TENANT)?,
        domain: text(seed::DOMAIN)?,
        name: seed::TENANT_NAME.to_owned(),
        subscription: text(seed::SUBSCRIPTION)?,
        subscription_name: text(seed::SUBSCRIPTION_NAME)?,
        user: text(seed::USER)?,
        client: text(seed::CLIENT)?,
    })
}

/// All tenants, the first one first.
pub(crate) fn all(tx: &Connection) -> Result<Vec<Tenant>, Refusal> {
    let mut tenants = vec![first(tx)?];
    let mut statement = tx.prepare_cached("SELECT * FROM tenants ORDER BY rowid")?;
    for tenant in statement.query_map([], from_row)? {
        tenants.push(tenant?);
    }
    Ok(tenants)
}

fn one(tx: &Connection, is: impl Fn(&Tenant) -> bool) -> Result<Option<Tenant>, Refusal> {
    Ok(all(tx)?.into_iter().find(|tenant| is(tenant)))
}

/// Finds a tenant by its id or its domain.
pub(crate) fn find(tx: &Connection, given: &str) -> Result<Option<Tenant>, Refusal> {
    one(tx, |t| t.id.eq_ignore_ascii_case(given) || t.domain.eq_ignore_ascii_case(given))
}

/// Finds the tenant that a subscription trusts.
pub(crate) fn of_subscription(tx: &Connection, subscription: &str) -> Result<Option<Tenant>, Refusal> {
    one(tx, |t| t.subscription.eq_ignore_ascii_case(subscription))
}

/// Finds the tenant of the subscription that a scope lies in.
pub(crate) fn of_scope(tx: &Connection, scope: &str) -> Result<Option<Tenant>, Refusal> {
    match ResourceId::parse(scope).as_ref().and_then(ResourceId::subscription) {
        Some(subscription) => of_subscription(tx, subscription),
        None => Ok(None),
    }
}

/// Id of the tenant that a principal belongs to: a managed identity to that of its resource.
pub(crate) fn of_principal(tx: &Connection, oid: &str) -> Result<String, Refusal> {
    let stated: Option<String> = tx
        .prepare_cached("SELECT tenant FROM tenant_principals WHERE oid = ?1")?
        .query_row([oid], |row| row.get(0))
        .optional()?;
    if let Some(tenant) = stated {
        return Ok(tenant);
    }
    let resource: Option<String> = tx
        .prepare_cached("SELECT resource FROM principals WHERE oid = ?1")?
        .query_row([oid], |row| row.get(0))
        .optional()?
        .flatten();
    let owner = match resource {
        Some(resource) => of_scope(tx, &resource)?,
        None => None,
    };
    Ok(match owner {
        Some(tenant) => tenant.id,
        None => first(tx)?.id,
    })
}

/// Adds a tenant and says that its two principals are its own.
pub(crate) fn add(tx: &Connection, tenant: &Tenant) -> Result<(), Refusal> {
    tx.execute(
        "INSERT INTO tenants (id, domain, name, subscription, subscription_name, user, client)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            tenant.id,
            tenant.domain,
            tenant.name,
            tenant.subscription,
            tenant.subscription_name,
            tenant.user,
            tenant.client,
        ],
    )?;
    [&tenant.user, &tenant.client].into_iter().try_for_each(|oid| adopt(tx, oid, &tenant.id))
}

/// Says that a principal belongs to a tenant.
pub(crate) fn adopt(tx: &Connection, oid: &str, tenant: &str) -> Result<(), Refusal> {
    tx.execute("INSERT INTO tenant_principals (oid, tenant) VALUES (?1, ?2)", params![oid, tenant])?;
    Ok(())
}
