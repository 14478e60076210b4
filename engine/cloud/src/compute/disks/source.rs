//! What disks and snapshots are made from: `creationData`.

use serde_json::{Value, json};

use super::{DISKS, GIB, SNAPSHOTS};
use crate::arm::kind::{Change, Draft};
use crate::arm::linked;
use crate::compute::body::{fixed, invalid, invalid_because};
use crate::compute::volumes::image::PlatformImage;
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::store::resources::Resource;

/// Bytes of a virtual hard disk's footer, which an upload brings along.
const FOOTER: u64 = 512;
/// Smallest upload without its footer.
const SMALLEST: u64 = 20 << 20;

/// What something new is made from.
#[derive(Debug)]
pub(super) enum Origin {
    /// Nothing.
    Empty,
    /// A platform image: operating system, generation, size in GiB.
    Image(&'static str, &'static str, u64),
    /// A disk or snapshot.
    Copy(Box<Resource>),
    /// What its customer will upload: bytes without the footer.
    Upload(u64),
}

/// Judges `creationData` and writes it into the document. None for what exists: its origin can't change.
pub(super) fn apply(cx: &Cx<'_>, draft: &mut Draft<'_>, kind: &str) -> Result<Option<Origin>, Refusal> {
    let given = draft.asked()["creationData"].clone();
    if draft.change != Change::Create {
        return check_same(&draft.body["properties"]["creationData"], &given).map(|()| None);
    }
    let option = given["createOption"].as_str().unwrap_or_default().to_ascii_lowercase();
    let (data, origin) = match option.as_str() {
        "empty" if kind == DISKS => (json!({ "createOption": "Empty" }), Origin::Empty),
        "fromimage" if kind == DISKS => image(&given)?,
        "copy" => copy(cx, draft, &given)?,
        "upload" if kind == DISKS => upload(&given)?,
        "attach"
        | "import"
        | "restore"
        | "upload"
        | "copystart"
        | "importsecure"
        | "uploadpreparedsecure"
        | "copyfromsansnapshot" => {
            return Err(invalid("creationData.createOption")
                .gap(format!("creating with {} from {kind}", given["createOption"].as_str().unwrap_or_default())));
        }
        _ => return Err(invalid("creationData.createOption")),
    };
    draft.properties()["creationData"] = data;
    Ok(Some(origin))
}

/// Refuses what differs from the origin that something has.
fn check_same(old: &Value, given: &Value) -> Result<(), Refusal> {
    for (name, value) in given.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        if !value.to_string().eq_ignore_ascii_case(&old[name].to_string()) {
            return Err(fixed(&format!("creationData.{name}")));
        }
    }
    Ok(())
}

fn image(given: &Value) -> Result<(Value, Origin), Refusal> {
    if !given["galleryImageReference"].is_null() {
        return Err(invalid("creationData.galleryImageReference").gap("images of a gallery"));
    }
    let reference = &given["imageReference"];
    if reference["lun"].is_u64() {
        return Err(invalid("creationData.imageReference.lun").gap("images with data disks"));
    }
    let id = reference["id"].as_str().unwrap_or_default();
    let image = PlatformImage::parse(id).ok_or_else(|| {
        invalid_because("creationData.imageReference.id", "the id of a version of a platform image is needed.")
    })?;
    let traits = image.traits().ok_or_else(|| {
        Refusal::new(
            404,
            "PlatformImageNotFound",
            format!(
                "The platform image '{}:{}:{}:{}' is not available. Verify that all fields in the storage profile are \
                 correct.",
                image.publisher, image.offer, image.sku, image.version
            ),
        )
        .gap(format!("the platform image {}:{}:{}", image.publisher, image.offer, image.sku))
    })?;
    let data = json!({ "createOption": "FromImage", "imageReference": { "id": id } });
    Ok((data, Origin::Image(traits.os, traits.generation, traits.disk.into())))
}

fn copy(cx: &Cx<'_>, draft: &Draft<'_>, given: &Value) -> Result<(Value, Origin), Refusal> {
    let id = given["sourceResourceId"].as_str().unwrap_or_default();
    let kind = ResourceId::parse(id).map(|id| id.kind()).unwrap_or_default();
    let action = if kind.eq_ignore_ascii_case(SNAPSHOTS) {
        "Microsoft.Compute/snapshots/beginGetAccess/action"
    } else if kind.eq_ignore_ascii_case(DISKS) {
        "Microsoft.Compute/disks/beginGetAccess/action"
    } else {
        return Err(invalid("creationData.sourceResourceId"));
    };
    let source = linked::require(cx, &draft.id, id, action)?;
    if source.location.as_deref() != Some(draft.location()) {
        return Err(invalid_because("creationData.sourceResourceId", "the source must be in the same region.")
            .gap("copies between regions"));
    }
    let properties = &source.body["properties"];
    if properties["diskState"] == "ReadyToUpload" || properties["provisioningState"] == "Deleting" {
        return Err(Refusal::new(
            409,
            "OperationNotAllowed",
            format!("'{}' can't be copied in its state.", source.name),
        ));
    }
    let data = json!({
        "createOption": "Copy",
        "sourceResourceId": source.id,
        "sourceUniqueId": properties["uniqueId"],
    });
    Ok((data, Origin::Copy(Box::new(source))))
}

fn upload(given: &Value) -> Result<(Value, Origin), Refusal> {
    let bytes = given["uploadSizeBytes"].as_u64().unwrap_or_default();
    let content = bytes.saturating_sub(FOOTER);
    if content < SMALLEST || !content.is_multiple_of(1 << 20) || content.div_ceil(GIB) > 32_767 {
        return Err(invalid_because(
            "creationData.uploadSizeBytes",
            "a whole number of MiB from 20 on is needed, and 512 bytes for the footer of the virtual hard disk.",
        ));
    }
    Ok((json!({ "createOption": "Upload", "uploadSizeBytes": bytes }), Origin::Upload(content)))
}
