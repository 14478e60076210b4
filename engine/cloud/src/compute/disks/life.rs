//! What disks and snapshots do alike: being made, stored, shown and deleted.

use serde_json::{Value, json};

use super::{GIB, protection};
use crate::arm::kind::{Change, Draft};
use crate::compute::body::invalid_because;
use crate::compute::sets;
use crate::compute::volumes::image::PlatformImage;
use crate::compute::volumes::{self, Content, Grant, Right, Volume};
use crate::cx::Cx;
use crate::encryption::{self, Locked};
use crate::refusal::Refusal;
use crate::store::resources::Resource;

use super::source::Origin;

/// What a property is when nothing is said.
const DEFAULTS: &[(&str, &str)] = &[("networkAccessPolicy", "AllowAll"), ("publicNetworkAccess", "Enabled")];

/// Writes what something new has from the start.
pub(super) fn begin(cx: &Cx<'_>, draft: &mut Draft<'_>, origin: &Origin) {
    let now = crate::time::rfc3339(cx.now);
    let state = if matches!(origin, Origin::Upload(_)) { "ReadyToUpload" } else { "Unattached" };
    let (os, generation) = match origin {
        Origin::Image(os, generation, _) => (json!(os), json!(generation)),
        Origin::Copy(source) => {
            let properties = &source.body["properties"];
            (properties["osType"].clone(), properties["hyperVGeneration"].clone())
        }
        Origin::Empty | Origin::Upload(_) => (Value::Null, Value::Null),
    };
    let properties = draft.properties();
    for (name, value) in [("osType", os), ("hyperVGeneration", generation)] {
        if properties[name].is_null() && !value.is_null() {
            properties[name] = value;
        }
    }
    for (name, value) in DEFAULTS {
        if properties[name].is_null() {
            properties[name] = (*value).into();
        }
    }
    properties["timeCreated"] = now.into();
    properties["uniqueId"] = uuid::Uuid::new_v4().to_string().into();
    properties["diskState"] = state.into();
}

/// Judges the size and writes it into the document; returns it in GiB.
pub(super) fn size(draft: &mut Draft<'_>, origin: Option<&Origin>, largest: u64) -> Result<u64, Refusal> {
    let given = &draft.asked()["diskSizeGB"];
    if !given.is_null() && !given.is_u64() {
        return Err(invalid_because("diskSizeGB", "a number of GiB is needed."));
    }
    let given = given.as_u64();
    let old = draft.body["properties"]["diskSizeGB"].as_u64();
    let (least, exact) = match origin {
        Some(Origin::Copy(source)) => (source.body["properties"]["diskSizeGB"].as_u64(), None),
        Some(Origin::Image(_, _, size)) => (Some(*size), None),
        Some(Origin::Upload(bytes)) => (Some(bytes.div_ceil(GIB)), Some(*bytes)),
        Some(Origin::Empty) => (None, None),
        None => (old, None),
    };
    let size = given
        .or(least)
        .ok_or_else(|| Refusal::new(400, "InvalidParameter", "Required parameter 'diskSizeGB' is missing (null)."))?;
    if size == 0 || size > largest {
        return Err(invalid_because("diskSizeGB", &format!("sizes from 1 to {largest} GiB are possible.")));
    }
    if least.is_some_and(|least| size < least) {
        return Err(if origin.is_some() {
            invalid_because("diskSizeGB", "a disk can't be smaller than what it is made from.")
        } else {
            Refusal::new(
                409,
                "OperationNotAllowed",
                format!("The size of disk '{}' can only be increased.", draft.id.name()),
            )
        });
    }
    if exact.is_some() && Some(size) != least {
        return Err(invalid_because("diskSizeGB", "the size of an uploaded disk follows from uploadSizeBytes."));
    }
    if draft.change == Change::Create || old != Some(size) {
        draft.properties()["diskSizeGB"] = size.into();
        draft.properties()["diskSizeBytes"] = exact.unwrap_or(size * GIB).into();
    }
    Ok(size)
}

/// The volume of a disk or snapshot.
pub(super) fn volume(cx: &Cx<'_>, resource: &Resource) -> Result<Volume, Refusal> {
    volumes::by_resource(cx.tx, &resource.id)?
        .ok_or_else(|| Refusal::internal(format!("{} has no volume", resource.id)))
}

/// Opens the content of a disk or snapshot, or refuses as Azure's control plane does when the key is out of reach.
pub(super) fn open(cx: &mut Cx<'_>, volume: &Volume) -> Result<Content, Refusal> {
    let key = encryption::get(cx.tx, &volume.owner())?;
    let (set, url) = sets::locker(&key);
    Content::open(cx, volume).map_err(|locked| sets::refusal(locked, &set, &url))
}

/// Makes the volume of a stored disk or snapshot, or brings it to what the document says.
pub(super) fn stored(cx: &mut Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
    let length = resource.body["properties"]["diskSizeBytes"].as_u64().unwrap_or_default();
    let Some(volume) = volumes::by_resource(cx.tx, &resource.id)? else {
        return make(cx, resource, length);
    };
    protect(cx, &volume, resource)?;
    if length > volume.length {
        open(cx, &volume)?.grow(cx, length)?;
    }
    Ok(())
}

fn make(cx: &mut Cx<'_>, resource: &Resource, length: u64) -> Result<(), Refusal> {
    let properties = &resource.body["properties"];
    let uid = properties["uniqueId"].as_str().unwrap_or_default();
    let volume = volumes::create(cx, uid, &resource.id, length)?;
    protect(cx, &volume, resource)?;
    let content = open(cx, &volume)?;
    let data = &properties["creationData"];
    match data["createOption"].as_str().unwrap_or_default() {
        "Upload" => return Ok(()),
        "Copy" => {
            let source = data["sourceResourceId"].as_str().unwrap_or_default();
            let source = volumes::by_resource(cx.tx, source)?
                .ok_or_else(|| Refusal::internal(format!("{source} has no volume")))?;
            return open(cx, &source)?.copy_to(cx, &content);
        }
        "FromImage" => {
            let id = data["imageReference"]["id"].as_str().unwrap_or_default();
            if let Some(image) = PlatformImage::parse(id) {
                content.write(cx, 0, &image.boot_sector())?;
            }
        }
        _ => {}
    }
    content.finish(cx)
}

/// Puts the data key of a volume under the protector that the document names.
fn protect(cx: &mut Cx<'_>, volume: &Volume, resource: &Resource) -> Result<(), Refusal> {
    let mut key = encryption::get(cx.tx, &volume.owner())?;
    let now = key.customer().and_then(|by| by.set.clone());
    match (protection::set_of(&resource.body), now) {
        (None, None) => Ok(()),
        (Some(wanted), Some(now)) if wanted.eq_ignore_ascii_case(&now) => Ok(()),
        (Some(wanted), _) => {
            let set = cx
                .resource(wanted)?
                .ok_or_else(|| Refusal::internal(format!("the disk encryption set {wanted} is gone")))?;
            sets::protect(cx, &mut key, &set)
        }
        (None, Some(_)) => {
            let (set, url) = sets::locker(&key);
            encryption::release(cx, &mut key).map_err(|locked: Locked| sets::refusal(locked, &set, &url))
        }
    }
}

/// Refuses a deletion while somebody may read or write the content.
pub(super) fn check_no_access(cx: &Cx<'_>, resource: &Resource, what: &str) -> Result<(), Refusal> {
    let volume = volumes::by_resource(cx.tx, &resource.id)?;
    let Some(volume) = volume else { return Ok(()) };
    if Grant::of(cx, &volume)?.is_none() {
        return Ok(());
    }
    Err(Refusal::new(
        409,
        "OperationNotAllowed",
        format!(
            "There is an active shared access signature outstanding for disk {}. Call EndGetAccess before {what} the \
             disk.",
            resource.name
        ),
    ))
}

/// Removes the volume.
pub(super) fn destroy(cx: &Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
    match volumes::by_resource(cx.tx, &resource.id)? {
        Some(volume) => volumes::delete(cx, &volume),
        None => Ok(()),
    }
}

/// The document as it is answered: while somebody has a signature, that is the state.
pub(super) fn shown(cx: &Cx<'_>, resource: &Resource) -> Result<Value, Refusal> {
    let mut body = resource.body.clone();
    if let Some(body) = body.as_object_mut() {
        body.shift_remove("systemData");
    }
    let volume = volumes::by_resource(cx.tx, &resource.id)?;
    let grant = volume.as_ref().map(|volume| Grant::of(cx, volume)).transpose()?.flatten();
    match grant.map(|grant| grant.right) {
        Some(Right::Read) => body["properties"]["diskState"] = "ActiveSAS".into(),
        Some(Right::Write) => body["properties"]["diskState"] = "ActiveUpload".into(),
        None => {}
    }
    Ok(body)
}
