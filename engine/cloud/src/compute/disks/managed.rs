//! What disks and snapshots are alike in, as resource types: most properties, and all that happens to the volume behind
//! them.

use serde_json::Value;

use super::{access, life};
use crate::arm::kind::{Draft, Facts, Kind};
use crate::compute::body::{self, Rule};
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::store::resources::Resource;

const NETWORK: Rule = Rule::Some(&["AllowAll", "DenyAll"], &["AllowPrivate"], "disk access resources (private links)");
const AUTHENTICATION: Rule =
    Rule::Some(&["None"], &["AzureActiveDirectory"], "exports of disks with Microsoft Entra authentication");

/// Properties of both.
const PROPERTIES: &[(&str, Rule)] = &[
    ("completionPercent", Rule::ReadOnly),
    ("creationData", Rule::Elsewhere),
    ("dataAccessAuthMode", AUTHENTICATION),
    ("diskAccessId", Rule::Lacking("disk access resources (private links)")),
    ("diskSizeBytes", Rule::ReadOnly),
    ("diskSizeGB", Rule::Elsewhere),
    ("diskState", Rule::ReadOnly),
    ("encryption", Rule::Elsewhere),
    ("encryptionSettingsCollection", Rule::Lacking("Azure Disk Encryption")),
    ("hyperVGeneration", Rule::Words(&["V1", "V2"])),
    ("networkAccessPolicy", NETWORK),
    ("osType", Rule::Words(&["Windows", "Linux"])),
    ("provisioningState", Rule::ReadOnly),
    ("publicNetworkAccess", Rule::Words(&["Enabled", "Disabled"])),
    ("purchasePlan", Rule::Free),
    ("securityProfile", Rule::Elsewhere),
    ("supportedCapabilities", Rule::Free),
    ("supportsHibernation", Rule::Bool),
    ("timeCreated", Rule::ReadOnly),
    ("uniqueId", Rule::ReadOnly),
];

/// A type whose resources have a volume.
pub(super) trait Managed: Sync {
    /// What is always so.
    const FACTS: Facts;
    /// What refusals of a name call it.
    const WORD: &'static str;
    /// Properties besides those that both types have.
    const PROPERTIES: &'static [(&'static str, Rule)];

    /// [`Kind::apply`], after the properties that need no more than their rule.
    fn apply(&self, cx: &mut Cx<'_>, draft: &mut Draft<'_>) -> Result<(), Refusal>;

    /// [`Kind::may_delete`].
    fn may_delete(&self, cx: &Cx<'_>, resource: &Resource) -> Result<(), Refusal>;
}

impl<T: Managed> Kind for T {
    fn facts(&self) -> &Facts {
        &T::FACTS
    }

    fn check_name(&self, name: &str) -> Result<(), Refusal> {
        body::check_name(name, T::WORD)
    }

    fn apply(&self, cx: &mut Cx<'_>, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        body::keep_old(draft);
        body::apply(draft, &[PROPERTIES, T::PROPERTIES])?;
        Managed::apply(self, cx, draft)
    }

    fn stored(&self, cx: &mut Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
        life::stored(cx, resource)
    }

    fn finish(&self, cx: &mut Cx<'_>, verb: &str, given: &Value, it: &mut Resource) -> Result<Option<Value>, Refusal> {
        access::finish(cx, verb, given, it)
    }

    fn result(&self, cx: &Cx<'_>, verb: &str, resource: &str, stored: Value) -> Result<Value, Refusal> {
        access::result(cx, verb, resource, stored)
    }

    fn may_delete(&self, cx: &Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
        Managed::may_delete(self, cx, resource)
    }

    fn destroy(&self, cx: &mut Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
        life::destroy(cx, resource)
    }

    fn shown(&self, cx: &Cx<'_>, resource: &Resource) -> Result<Value, Refusal> {
        life::shown(cx, resource)
    }
}
