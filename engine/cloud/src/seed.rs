//! The tenant that a fresh cloud is given: made at random once.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use rusqlite::Connection;
use sealbook_crypto::{SealKey, SecretString};
use uuid::Uuid;

use crate::authorization::assignments::{self, Assignment};
use crate::authorization::roles;
use crate::cx::PrincipalKind;
use crate::identity::keys;
use crate::identity::principals::{self, Principal};
use crate::identity::tenants::{self, Tenant};
use crate::refusal::Refusal;
use crate::store::settings;

/// Setting: tenant id.
pub(crate) const TENANT: &str = "tenant";
/// Setting: the tenant's domain.
pub(crate) const DOMAIN: &str = "domain";
/// Setting: subscription id.
pub(crate) const SUBSCRIPTION: &str = "subscription";
/// Setting: subscription name.
pub(crate) const SUBSCRIPTION_NAME: &str = "subscription-name";
/// Display name of the tenant.
pub(crate) const TENANT_NAME: &str = "Sealbook (embedded)";
/// Setting: object id of the learner.
pub(crate) const USER: &str = "seed-user";
/// Setting: object id of the service principal for command-line tools.
pub(crate) const CLIENT: &str = "seed-client";

/// How long a new role assignment takes to work, unless a fault says otherwise, in milliseconds.
const RBAC_DELAY: i64 = 500;
/// How long a new principal takes to be seen by role assignments that do not state its type, in milliseconds.
const DIRECTORY_DELAY: i64 = 1_000;

/// Who can sign in to a cloud, and where.
#[derive(Clone, Debug)]
pub struct Seed {
    /// Tenant id.
    pub tenant: String,
    /// Subscription id.
    pub subscription: String,
    /// Subscription name.
    pub subscription_name: String,
    /// User principal name of the learner, who owns the subscription.
    pub user: String,
    /// The learner's password.
    pub password: SecretString,
    /// Object id of the learner.
    pub user_oid: String,
    /// Application id of the service principal for command-line tools, an owner too.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
    /// Its object id.
    pub client_oid: String,
}

fn secret() -> SecretString {
    SecretString::new(URL_SAFE_NO_PAD.encode(sealbook_crypto::random::<24>()))
}

fn guid() -> String {
    Uuid::new_v4().to_string()
}

/// Ids that the subscription of a tenant and what is in it hang on.
struct Place<'a> {
    domain: &'a str,
    subscription: &'a str,
}

/// Makes the two principals of a tenant, who own its subscription.
fn people(
    tx: &Connection,
    sealing: &SealKey,
    now: DateTime<Utc>,
    place: &Place<'_>,
) -> Result<(Principal, Principal), Refusal> {
    let learner = Principal {
        oid: guid(),
        app_id: None,
        kind: PrincipalKind::User,
        managed: false,
        name: "Learner".to_owned(),
        upn: Some(format!("learner@{}", place.domain)),
        resource: None,
        created: now,
    };
    let tools = Principal {
        oid: guid(),
        app_id: Some(guid()),
        kind: PrincipalKind::ServicePrincipal,
        managed: false,
        name: "sealbook-tools".to_owned(),
        upn: None,
        resource: None,
        created: now,
    };
    let scope = format!("/subscriptions/{}", place.subscription);
    for principal in [&learner, &tools] {
        let aad = principals::secret_aad(&principal.oid);
        let sealed = sealing.seal(aad.as_bytes(), secret().expose().as_bytes());
        principals::add(tx, principal, Some(&sealed))?;
        assignments::add(
            tx,
            &Assignment {
                name: guid(),
                scope: scope.clone(),
                role_definition: format!("{scope}/providers/Microsoft.Authorization/roleDefinitions/{}", roles::OWNER),
                principal: principal.oid.clone(),
                principal_type: principal.kind.as_str().to_owned(),
                description: None,
                created_by: None,
                created: now,
                effective: now,
            },
        )?;
    }
    Ok((learner, tools))
}

fn domain() -> String {
    format!("sealbook{}.onmicrosoft.com", hex::encode(sealbook_crypto::random::<3>()))
}

/// Fills an empty cloud.
pub(crate) fn plant(tx: &Connection, sealing: &SealKey, now: DateTime<Utc>) -> Result<(), Refusal> {
    let (subscription, domain) = (guid(), domain());
    settings::set(tx, TENANT, &guid())?;
    settings::set(tx, DOMAIN, &domain)?;
    settings::set(tx, SUBSCRIPTION, &subscription)?;
    settings::set(tx, SUBSCRIPTION_NAME, &"Sealbook Embedded")?;
    settings::set(tx, settings::CLOCK_OFFSET, &0)?;
    settings::set(tx, settings::RBAC_DELAY, &RBAC_DELAY)?;
    settings::set(tx, settings::DIRECTORY_DELAY, &DIRECTORY_DELAY)?;
    keys::create(tx, sealing)?;
    let place = Place { domain: &domain, subscription: &subscription };
    let (learner, tools) = people(tx, sealing, now, &place)?;
    settings::set(tx, USER, &learner.oid)?;
    settings::set(tx, CLIENT, &tools.oid)
}

/// Makes one more tenant, with a user, a service principal and a subscription of its own.
pub(crate) fn add_tenant(tx: &Connection, sealing: &SealKey, now: DateTime<Utc>, name: &str) -> Result<Seed, Refusal> {
    let (subscription, domain) = (guid(), domain());
    let place = Place { domain: &domain, subscription: &subscription };
    let (learner, tools) = people(tx, sealing, now, &place)?;
    let tenant = Tenant {
        id: guid(),
        domain,
        name: name.to_owned(),
        subscription,
        subscription_name: name.to_owned(),
        user: learner.oid,
        client: tools.oid,
    };
    tenants::add(tx, &tenant)?;
    read_tenant(tx, sealing, tenant)
}

/// Reads who can sign in to the first tenant.
pub(crate) fn read(tx: &Connection, sealing: &SealKey) -> Result<Seed, Refusal> {
    read_tenant(tx, sealing, tenants::first(tx)?)
}

/// Reads who can sign in to each tenant, the first one first.
pub(crate) fn read_all(tx: &Connection, sealing: &SealKey) -> Result<Vec<Seed>, Refusal> {
    tenants::all(tx)?.into_iter().map(|tenant| read_tenant(tx, sealing, tenant)).collect()
}

fn read_tenant(tx: &Connection, sealing: &SealKey, tenant: Tenant) -> Result<Seed, Refusal> {
    let principal = |oid: &str| -> Result<(Principal, SecretString), Refusal> {
        let principal =
            principals::get(tx, oid)?.ok_or_else(|| Refusal::internal(format!("the cloud has no principal {oid}")))?;
        let sealed: Vec<u8> = tx.query_row("SELECT secret FROM principals WHERE oid = ?1", [oid], |row| row.get(0))?;
        let opened = sealing
            .open(principals::secret_aad(oid).as_bytes(), &sealed)
            .map_err(|_| Refusal::internal("a principal's secret does not open with the cloud's key"))?;
        let secret = std::str::from_utf8(opened.expose()).map_err(Refusal::internal)?;
        Ok((principal, SecretString::from(secret)))
    };
    let (user, password) = principal(&tenant.user)?;
    let (client, client_secret) = principal(&tenant.client)?;
    Ok(Seed {
        tenant: tenant.id,
        subscription: tenant.subscription,
        subscription_name: tenant.subscription_name,
        user: user.upn.unwrap_or_default(),
        password,
        user_oid: user.oid,
        client_id: client.app_id.unwrap_or_default(),
        client_secret,
        client_oid: client.oid,
    })
}
