//! A key store, a vault or a managed HSM, as both planes see it, and how it goes and comes back.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

use super::requests::bad;
use super::{hsm, store};
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::rules::Rule;

/// What a key store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A vault: shared hardware, Azure's role assignments, software keys too.
    Vault,
    /// A managed HSM: hardware of its own, role assignments of its own, HSM keys alone.
    Hsm,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Vault, Self::Hsm];

    /// Domain of the data plane.
    pub const fn domain(self) -> &'static str {
        match self {
            Self::Vault => ".vault.azure.net",
            Self::Hsm => ".managedhsm.azure.net",
        }
    }

    /// Type on Azure Resource Manager.
    pub const fn resource_type(self) -> &'static str {
        match self {
            Self::Vault => "Microsoft.KeyVault/vaults",
            Self::Hsm => "Microsoft.KeyVault/managedHSMs",
        }
    }

    /// Type of a soft-deleted one, below the namespace.
    pub const fn deleted_type(self) -> &'static str {
        match self {
            Self::Vault => "deletedVaults",
            Self::Hsm => "deletedManagedHSMs",
        }
    }

    /// Word for one of them in a sentence.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Vault => "vault",
            Self::Hsm => "managed HSM",
        }
    }

    /// What a name of this kind is in the tables: vaults and managed HSMs have names of their own, and no vault's name
    /// has a dot.
    pub fn label(self, name: &str) -> String {
        match self {
            Self::Vault => name.to_owned(),
            Self::Hsm => format!("{name}{HSM_LABEL}"),
        }
    }

    /// Name and kind behind a label.
    pub fn of_label(label: &str) -> (Self, &str) {
        match label.strip_suffix(HSM_LABEL) {
            Some(name) => (Self::Hsm, name),
            None => (Self::Vault, label),
        }
    }

    /// URI of the data plane of a name, with the trailing slash that ARM answers.
    pub fn uri(self, name: &str) -> String {
        format!("https://{}{}/", name.to_ascii_lowercase(), self.domain())
    }

    /// How long a new one takes, on the cloud clock: a vault until its name is resolvable, a managed HSM until its
    /// partitions are made. Real pools take minutes.
    pub fn takes(self) -> Duration {
        match self {
            Self::Vault => Duration::milliseconds(500),
            Self::Hsm => Duration::seconds(2),
        }
    }

    /// `provisioningState` of a new one.
    fn waiting(self) -> &'static str {
        match self {
            Self::Vault => "RegisteringDns",
            Self::Hsm => "Provisioning",
        }
    }
}

/// End of a managed HSM's label.
const HSM_LABEL: &str = ".managedhsm";

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

/// A vault or a managed HSM, live or soft-deleted.
#[derive(Clone, Debug)]
pub(super) struct KeyStore {
    /// What it is.
    pub kind: Kind,
    /// Name as it was first written.
    pub name: String,
    /// Its name in the tables ([`Kind::label`]).
    pub label: String,
    /// ARM id.
    pub id: String,
    /// Subscription.
    pub subscription: String,
    /// Until when it is being made.
    pub ready: DateTime<Utc>,
    /// Set while it is soft-deleted.
    pub deletion: Option<Deletion>,
    /// ARM document.
    pub body: Value,
}

impl KeyStore {
    /// URI of the data plane, with the trailing slash that ARM answers.
    pub fn uri(&self) -> String {
        self.kind.uri(&self.name)
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
    pub fn hardware(&self) -> bool {
        match self.kind {
            Kind::Vault => {
                self.property("sku")["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case("premium"))
            }
            Kind::Hsm => true,
        }
    }

    /// Refuses HSM keys in a standard vault. The text is Azure's (azure-docs issue 63888); its code is not recorded
    /// publicly.
    pub fn check_takes_hsm_keys(&self) -> Result<(), Refusal> {
        if self.hardware() || !Rule::StandardVaultsHoldNoHsmKeys.holds() {
            return Ok(());
        }
        Err(bad("Hardware key operation not allowed on standard vault."))
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

    /// The finest scope of role assignments: a vault's key has an ARM id, a managed HSM's is below its own root.
    pub fn key_scope(&self, key: &str) -> String {
        match self.kind {
            Kind::Vault => format!("{}/keys/{key}", self.id),
            Kind::Hsm => format!("/keys/{key}"),
        }
    }

    /// Whether a principal may do something with one of its keys now: by Azure's role assignments in a vault, by local
    /// ones in a managed HSM.
    pub fn allows(&self, cx: &Cx<'_>, principal: &str, action: &str, key: &str) -> Result<bool, Refusal> {
        let scope = self.key_scope(key);
        match self.kind {
            Kind::Vault => Ok(cx.allows(principal, action, true, &scope)?.allowed),
            Kind::Hsm => hsm::rbac::allows(cx, self, principal, action, &scope),
        }
    }

    /// What ARM answers for it now.
    pub fn document(&self, cx: &Cx<'_>) -> Value {
        let mut body = self.body.clone();
        let waiting = cx.now < self.ready;
        body["properties"]["provisioningState"] = if waiting { self.kind.waiting() } else { "Succeeded" }.into();
        body
    }

    /// What ARM answers for it while it is soft-deleted.
    pub fn deleted_document(&self, deletion: &Deletion) -> Value {
        let id = match self.kind {
            Kind::Vault => "vaultId",
            Kind::Hsm => "mhsmId",
        };
        let mut properties = json!({
            id: self.id,
            "location": self.location(),
            "tags": self.body["tags"],
            "deletionDate": crate::time::rfc3339(deletion.at),
            "scheduledPurgeDate": crate::time::rfc3339(deletion.purge),
        });
        if self.purge_protected() {
            properties["purgeProtectionEnabled"] = true.into();
        }
        json!({
            "id": deleted_id(self.kind, &self.subscription, self.location(), &self.name),
            "name": self.name,
            "type": format!("Microsoft.KeyVault/{}", self.kind.deleted_type()),
            "properties": properties,
        })
    }

    /// Soft-deletes it. The resource row and the role assignments below it are the caller's to remove.
    pub fn soft_delete(&self, cx: &mut Cx<'_>) -> Result<(), Refusal> {
        store::mark_keystore_deleted(cx, self, &Deletion::now(cx, self.retention()))
    }

    /// Brings a soft-deleted one back with its keys, at the id that it had. Azure's role assignments do not come back.
    pub fn recover(&self, cx: &mut Cx<'_>) -> Result<KeyStore, Refusal> {
        let id = ResourceId::parse(&self.id)
            .ok_or_else(|| Refusal::internal(format!("the stored key store id {} does not parse", self.id)))?;
        let ready = ready_at(cx, self.kind)?;
        store::mark_keystore_live(cx, &self.label, ready)?;
        cx.put_resource(&id, self.body.clone())?;
        existing(cx, &self.label)
    }
}

/// When one that is created or recovered now will be ready.
pub(super) fn ready_at(cx: &Cx<'_>, kind: Kind) -> Result<DateTime<Utc>, Refusal> {
    let slowness = crate::fault::slowness(cx)?;
    Ok(cx.now + kind.takes() + Duration::milliseconds(slowness))
}

/// ARM id of a soft-deleted one.
fn deleted_id(kind: Kind, subscription: &str, location: &str, name: &str) -> String {
    let deleted = kind.deleted_type();
    format!("/subscriptions/{subscription}/providers/Microsoft.KeyVault/locations/{location}/{deleted}/{name}")
}

/// Reads one that must be there because this request wrote it.
pub(super) fn existing(cx: &Cx<'_>, label: &str) -> Result<KeyStore, Refusal> {
    store::keystore(cx, label)?
        .ok_or_else(|| Refusal::internal(format!("the key store {label} is gone within its request")))
}

/// The live one behind a data-plane host, if there is one.
pub(super) fn at_host(cx: &Cx<'_>, host: &str) -> Result<Option<KeyStore>, Refusal> {
    let Some((kind, name)) = Kind::ALL.into_iter().find_map(|kind| Some((kind, host.strip_suffix(kind.domain())?)))
    else {
        return Ok(None);
    };
    if name.contains('.') {
        return Ok(None);
    }
    Ok(store::keystore(cx, &kind.label(name))?.filter(|keystore| keystore.deletion.is_none()))
}

/// The one that a data-plane request addresses. In Azure the name of one that is not there does not resolve; here it
/// answers 404.
pub(super) fn of_request(cx: &Cx<'_>) -> Result<KeyStore, Refusal> {
    let host = &cx.request.host;
    at_host(cx, host)?.ok_or_else(|| {
        let (code, noun) = match host.ends_with(Kind::Hsm.domain()) {
            true => ("ManagedHsmNotFound", Kind::Hsm.noun()),
            false => ("VaultNotFound", Kind::Vault.noun()),
        };
        Refusal::new(404, code, format!("There is no {noun} at https://{host}: create or recover it first."))
    })
}
