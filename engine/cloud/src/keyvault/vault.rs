//! A vault as both planes see it, and how it goes and comes back.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

use super::store;
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;

/// Domain of the data plane.
pub(super) const DOMAIN: &str = ".vault.azure.net";

/// How long a new vault's name takes to be resolvable (`RegisteringDns`), on the cloud clock.
const REGISTERING: Duration = Duration::milliseconds(500);

/// When something was soft-deleted, and when it will be purged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deletion {
    /// Instant of the deletion.
    pub at: DateTime<Utc>,
    /// Instant from which it is gone for good.
    pub purge: DateTime<Utc>,
}

impl Deletion {
    /// A deletion now, with a retention in days.
    pub fn now(cx: &Cx<'_>, days: i64) -> Self {
        Self { at: cx.now, purge: cx.now + Duration::days(days) }
    }
}

/// A vault, live or soft-deleted.
#[derive(Clone, Debug)]
pub(super) struct Vault {
    /// Name as it was first written.
    pub name: String,
    /// ARM id.
    pub id: String,
    /// Subscription.
    pub subscription: String,
    /// Until when its name is being registered.
    pub ready: DateTime<Utc>,
    /// Set while it is soft-deleted.
    pub deletion: Option<Deletion>,
    /// ARM document.
    pub body: Value,
}

impl Vault {
    /// URI of the data plane, with the trailing slash that ARM answers.
    pub fn uri(&self) -> String {
        uri(&self.name)
    }

    /// Region.
    pub fn location(&self) -> &str {
        self.body["location"].as_str().unwrap_or_default()
    }

    /// One of its properties.
    pub fn property(&self, name: &str) -> &Value {
        &self.body["properties"][name]
    }

    /// Whether it takes HSM keys.
    pub fn premium(&self) -> bool {
        self.property("sku")["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case("premium"))
    }

    /// Tenant whose tokens it takes.
    pub fn tenant(&self) -> &str {
        self.property("tenantId").as_str().unwrap_or_default()
    }

    /// Days for which it and its keys stay recoverable.
    pub fn retention(&self) -> i64 {
        self.property("softDeleteRetentionInDays").as_i64().unwrap_or(90)
    }

    /// Whether nobody can purge before the retention ends.
    pub fn purge_protected(&self) -> bool {
        self.property("enablePurgeProtection").as_bool().unwrap_or(false)
    }

    /// The `recoveryLevel` of its keys (data-plane specification, `DeletionRecoveryLevel`).
    pub fn recovery_level(&self) -> &'static str {
        match (self.retention() < 90, self.purge_protected()) {
            (false, false) => "Recoverable+Purgeable",
            (false, true) => "Recoverable",
            (true, false) => "CustomizedRecoverable+Purgeable",
            (true, true) => "CustomizedRecoverable",
        }
    }

    /// ARM id of one of its keys, the finest scope of role assignments.
    pub fn key_scope(&self, key: &str) -> String {
        format!("{}/keys/{key}", self.id)
    }

    /// What ARM answers for it now.
    pub fn document(&self, cx: &Cx<'_>) -> Value {
        shown(&self.body, self.ready, cx.now)
    }

    /// What ARM answers for it while it is soft-deleted.
    pub fn deleted_document(&self, deletion: &Deletion) -> Value {
        let mut properties = json!({
            "vaultId": self.id,
            "location": self.location(),
            "tags": self.body["tags"],
            "deletionDate": crate::time::rfc3339(deletion.at),
            "scheduledPurgeDate": crate::time::rfc3339(deletion.purge),
        });
        if self.purge_protected() {
            properties["purgeProtectionEnabled"] = true.into();
        }
        json!({
            "id": deleted_id(&self.subscription, self.location(), &self.name),
            "name": self.name,
            "type": "Microsoft.KeyVault/deletedVaults",
            "properties": properties,
        })
    }

    /// Soft-deletes it. The resource row and the role assignments below it are the caller's to remove.
    pub fn soft_delete(&self, cx: &mut Cx<'_>) -> Result<(), Refusal> {
        store::mark_vault_deleted(cx, self, &Deletion::now(cx, self.retention()))
    }

    /// Brings a soft-deleted vault back with its keys, at the id that it had. Role assignments do not come back.
    pub fn recover(&self, cx: &mut Cx<'_>) -> Result<Vault, Refusal> {
        let id = ResourceId::parse(&self.id)
            .ok_or_else(|| Refusal::internal(format!("the stored vault id {} does not parse", self.id)))?;
        let ready = ready_at(cx)?;
        store::mark_vault_live(cx, &self.name, ready)?;
        cx.put_resource(&id, self.body.clone())?;
        existing(cx, &self.name)
    }
}

/// When the name of a vault that is created or recovered now will be registered.
pub(super) fn ready_at(cx: &Cx<'_>) -> Result<DateTime<Utc>, Refusal> {
    let slowness = crate::fault::slowness(cx)?;
    Ok(cx.now + REGISTERING + Duration::milliseconds(slowness))
}

/// URI of the data plane of a vault name.
pub(super) fn uri(name: &str) -> String {
    format!("https://{}{DOMAIN}/", name.to_ascii_lowercase())
}

/// A vault's document, with the provisioning state of this instant.
pub(super) fn shown(body: &Value, ready: DateTime<Utc>, now: DateTime<Utc>) -> Value {
    let mut body = body.clone();
    body["properties"]["provisioningState"] = if now < ready { "RegisteringDns" } else { "Succeeded" }.into();
    body
}

/// ARM id of a soft-deleted vault.
pub(super) fn deleted_id(subscription: &str, location: &str, name: &str) -> String {
    format!("/subscriptions/{subscription}/providers/Microsoft.KeyVault/locations/{location}/deletedVaults/{name}")
}

/// Reads a vault that must be there because this request wrote it.
pub(super) fn existing(cx: &Cx<'_>, name: &str) -> Result<Vault, Refusal> {
    store::vault(cx, name)?.ok_or_else(|| Refusal::internal(format!("the vault {name} is gone within its request")))
}

/// The live vault behind a data-plane host, if there is one.
pub(super) fn at_host(cx: &Cx<'_>, host: &str) -> Result<Option<Vault>, Refusal> {
    let Some(name) = host.strip_suffix(DOMAIN).filter(|name| !name.contains('.')) else { return Ok(None) };
    Ok(store::vault(cx, name)?.filter(|vault| vault.deletion.is_none()))
}
