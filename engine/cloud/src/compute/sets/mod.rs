//! Disk encryption sets: a customer's key for the data keys of many disks and snapshots.
//!
//! - `key`: which keys a set may name
//! - `members`: putting data keys under a set, and what clients learn when its key is out of reach
//! - `rotation`: moving to newer versions and wrapping data keys anew, in the background
//!
//! Source: <https://learn.microsoft.com/rest/api/compute/disk-encryption-sets>, restrictions in
//! <https://learn.microsoft.com/azure/virtual-machines/disk-encryption>.

mod key;
mod members;
mod rotation;

use http::Method;
use serde_json::{Value, json};

pub(super) use members::{customer_key, locker, protect, refusal};
pub(super) use rotation::{SCHEMA, tick};

use crate::arm::kind::{Change, Draft, Facts, Kind, Style};
use crate::arm::rows::tracked_type;
use crate::arm::{identity, linked};
use crate::compute::body::{self, Rule};
use crate::compute::{disks, volumes};
use crate::cx::Cx;
use crate::encryption::{self, Locked};
use crate::http::Answer;
use crate::operation::{Access, Operation, Params};
use crate::refusal::Refusal;
use crate::store::resources::Resource;

/// Namespace and type.
pub(super) const SETS: &str = "Microsoft.Compute/diskEncryptionSets";

/// What makes a set one for confidential virtual machines.
pub(super) const CONFIDENTIAL: &str = "ConfidentialVmEncryptedWithCustomerKey";
/// Double encryption.
pub(super) const DOUBLE: &str = "EncryptionAtRestWithPlatformAndCustomerKeys";
/// What a set is when nothing is said.
pub(super) const CUSTOMER: &str = "EncryptionAtRestWithCustomerKey";

/// Those of disks; the last four are older than the first sets.
const API: &[&str] = disks::API.split_at(disks::API.len() - 4).0;

const PROPERTIES: &[(&str, Rule)] = &[
    ("activeKey", Rule::Elsewhere),
    ("autoKeyRotationError", Rule::ReadOnly),
    ("encryptionType", Rule::Elsewhere),
    ("federatedClientId", Rule::Lacking("disk encryption sets with a key of another tenant")),
    ("lastKeyRotationTimestamp", Rule::ReadOnly),
    ("previousKeys", Rule::ReadOnly),
    ("provisioningState", Rule::ReadOnly),
    ("rotationToLatestKeyVersionEnabled", Rule::Bool),
];

static ROWS: &[Operation] =
    &tracked_type!("DiskEncryptionSets", "Microsoft.Compute", "diskEncryptionSets", API, long: true);

static ACTIONS: &[Operation] = &[Operation {
    name: "DiskEncryptionSets_ListAssociatedResources",
    method: Method::GET,
    path: "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/diskEncryptionSets/{name}/associatedResources",
    when: &[],
    api: API,
    access: Access::Control("Microsoft.Compute/diskEncryptionSets/read"),
    lro: false,
    run: associated,
}];

/// The operation tables.
pub(super) fn tables() -> [&'static [Operation]; 2] {
    [ROWS, ACTIONS]
}

/// Disk encryption sets.
pub(super) struct Sets;

const FACTS: Facts = Facts { identities: true, polls: body::POLLS, ..Facts::new(SETS, API, Style::Accepted) };

impl Kind for Sets {
    fn facts(&self) -> &Facts {
        &FACTS
    }

    fn check_name(&self, name: &str) -> Result<(), Refusal> {
        body::check_name(name, "diskEncryptionSet")
    }

    fn apply(&self, cx: &mut Cx<'_>, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        body::keep_old(draft);
        body::apply(draft, &[PROPERTIES])?;
        let kind = encryption_type(draft)?;
        if kind == CONFIDENTIAL && draft.body["properties"]["rotationToLatestKeyVersionEnabled"] == true {
            return Err(body::invalid_because(
                "rotationToLatestKeyVersionEnabled",
                "keys of disk encryption sets for confidential virtual machines are rotated by hand.",
            ));
        }
        require_identity(draft)?;
        let before = draft.body["properties"]["activeKey"].clone();
        let asked = draft.asked()["activeKey"].clone();
        if asked.is_null() && draft.change != Change::Create {
            return Ok(());
        }
        let active = key::check(cx, draft, &asked)?;
        if before["keyUrl"] == active["keyUrl"] {
            draft.properties()["activeKey"] = active;
            return Ok(());
        }
        draft.properties()["activeKey"] = active;
        draft.properties()["lastKeyRotationTimestamp"] = crate::time::rfc3339(cx.now).into();
        if draft.change == Change::Create {
            draft.properties()["previousKeys"] = json!([]);
            // Nobody can have given a role to an identity that does not exist yet.
            if identity::system(&draft.body["identity"]).is_some() {
                return Ok(());
            }
        }
        rotation::check_offline(cx, &draft.id.to_string(), kind)?;
        try_key(cx, draft)?;
        rotation::remember(cx, &draft.id.to_string(), &mut draft.body["properties"], &before)
    }

    fn stored(&self, cx: &mut Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
        if let Some(principal) = principal(resource) {
            encryption::hand_over(cx.tx, &resource.id, &principal)?;
        }
        rotation::schedule(cx, resource)
    }

    fn may_delete(&self, cx: &Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
        let users = linked::users(cx, &resource.id)?;
        match users.first() {
            None => Ok(()),
            Some(user) => Err(Refusal::new(
                409,
                "OperationNotAllowed",
                format!(
                    "Disk encryption set '{}' cannot be deleted because it is in use by {} resource(s), such as '{}'.",
                    resource.name,
                    users.len(),
                    user.id
                ),
            )),
        }
    }

    fn destroy(&self, cx: &mut Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
        rotation::forget(cx, &resource.id)
    }
}

/// Reads `encryptionType`, which stays what it was at first.
fn encryption_type(draft: &mut Draft<'_>) -> Result<&'static str, Refusal> {
    let given = draft.asked()["encryptionType"].clone();
    let old = draft.body["properties"]["encryptionType"].clone();
    let word = given.as_str().or(old.as_str()).unwrap_or(CUSTOMER);
    let kind = [CUSTOMER, DOUBLE, CONFIDENTIAL]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(word))
        .ok_or_else(|| body::invalid("encryptionType"))?;
    if !old.is_null() && old != kind {
        return Err(body::fixed("encryptionType"));
    }
    draft.properties()["encryptionType"] = kind.into();
    Ok(kind)
}

fn require_identity(draft: &Draft<'_>) -> Result<(), Refusal> {
    // `None` takes the identity of an existing set away, as for a move to another tenant.
    let given = &draft.given["identity"]["type"];
    let shown = &draft.body["identity"];
    if draft.change == Change::Create && (shown.is_null() || given == "None") {
        return Err(Refusal::new(
            400,
            "InvalidParameter",
            "A disk encryption set needs a managed identity: set 'identity.type' to SystemAssigned or UserAssigned.",
        ));
    }
    Ok(())
}

/// Refuses a key that the set's identity can't use.
fn try_key(cx: &mut Cx<'_>, draft: &Draft<'_>) -> Result<(), Refusal> {
    let by = customer_key(&draft.id.to_string(), &draft.body);
    let url = draft.body["properties"]["activeKey"]["keyUrl"].as_str().unwrap_or_default();
    let tried = match by {
        Some(by) => encryption::probe(cx, &by).map(|_| ()),
        None => Err(Locked::IdentityGone),
    };
    tried.map_err(|locked| refusal(locked, draft.id.name(), url))
}

/// Object id of the identity that asks the vault for a set.
fn principal(resource: &Resource) -> Option<String> {
    members::principal(&resource.body["identity"])
}

/// `DiskEncryptionSets_ListAssociatedResources`: the disks and snapshots whose data keys the set's key wraps.
fn associated(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let id = crate::arm::target(cx.request).spelled(SETS);
    let set = cx.existing(&id)?;
    let mut value: Vec<Value> = Vec::new();
    for key in encryption::members(cx.tx, &set.id)? {
        if let Some(volume) = volumes::by_owner(cx.tx, &key.owner)? {
            value.push(volume.resource.into());
        }
    }
    Ok(Answer::ok(&json!({ "value": value })))
}
