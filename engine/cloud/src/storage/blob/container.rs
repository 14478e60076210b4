//! Containers: create, read, change, delete.

use serde_json::{Map, Value};

use super::lease::{self, Place};
use super::rows::{self, Container};
use super::{account, conditions, headers};
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::storage::name;
use crate::time::http_date;

/// The container that a request names.
pub(super) fn existing(cx: &Cx<'_>, params: &Params) -> Result<Container, Refusal> {
    rows::container(cx.tx, &account(cx)?, params.get("container"))?
        .ok_or_else(|| Refusal::new(404, "ContainerNotFound", "The specified container does not exist."))
}

/// Metadata of a container: not encrypted with the account's key, as in Azure, so that containers can be listed
/// while the key is away.
fn metadata(cx: &Cx<'_>) -> Result<Value, Refusal> {
    let metadata = headers::metadata(&cx.request.headers)?;
    Ok(Value::Object(metadata.into_iter().map(|(name, value)| (name, value.into())).collect::<Map<_, _>>()))
}

/// Metadata as pairs of text.
pub(super) fn pairs(metadata: &Value) -> impl Iterator<Item = (&str, &str)> {
    metadata.as_object().into_iter().flatten().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
}

fn tagged(status: u16, container: &Container) -> Answer {
    Answer::empty(status).header("etag", &container.etag).header("last-modified", http_date(container.modified))
}

/// Create Container.
pub(super) fn create(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let account = account(cx)?;
    let container = params.get("container");
    name::check_container(container)?;
    if cx.request.headers.contains_key("x-ms-blob-public-access") {
        let allowed = cx
            .resource(&account.resource)?
            .is_some_and(|resource| resource.body["properties"]["allowBlobPublicAccess"] == true);
        let refusal =
            Refusal::new(409, "PublicAccessNotPermitted", "Public access is not permitted on this storage account.");
        return Err(if allowed { refusal.gap("anonymous access to blobs") } else { refusal });
    }
    if rows::container(cx.tx, &account, container)?.is_some() {
        return Err(Refusal::new(409, "ContainerAlreadyExists", "The specified container already exists."));
    }
    let metadata = metadata(cx)?;
    let container = rows::add_container(cx, &account, container, &metadata)?;
    Ok(tagged(201, &container))
}

/// Get Container Properties, and Get Container Metadata.
pub(super) fn properties(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let container = existing(cx, params)?;
    lease::check_read(cx, Place::container(&container))?;
    let mut answer = tagged(200, &container)
        .header("x-ms-has-immutability-policy", "false")
        .header("x-ms-has-legal-hold", "false")
        .header("x-ms-immutable-storage-with-versioning-enabled", "false")
        .header("x-ms-default-encryption-scope", "$account-encryption-key")
        .header("x-ms-deny-encryption-scope-override", "false");
    lease::describe(cx, Place::container(&container), &mut answer)?;
    headers::set_metadata(&mut answer, pairs(&container.metadata));
    Ok(answer)
}

/// Set Container Metadata.
pub(super) fn set_metadata(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let mut container = existing(cx, params)?;
    conditions::check_change(cx.request, &container.etag, container.modified)?;
    lease::check_read(cx, Place::container(&container))?;
    container.metadata = metadata(cx)?;
    container.etag = rows::etag(cx);
    container.modified = cx.now;
    rows::change_container(cx.tx, &container)?;
    Ok(tagged(200, &container))
}

/// Delete Container, with everything in it. Its name is free at once.
pub(super) fn delete(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let container = existing(cx, params)?;
    conditions::check_change(cx.request, &container.etag, container.modified)?;
    lease::check_write(cx, Place::container(&container))?;
    rows::delete_container(cx.tx, container.id)?;
    Ok(Answer::empty(202))
}

/// Get Account Information.
pub(super) fn account_info(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let account = account(cx)?;
    let resource = cx.resource(&account.resource)?.map(|resource| resource.body).unwrap_or_default();
    Ok(Answer::empty(200)
        .header("x-ms-sku-name", resource["sku"]["name"].as_str().unwrap_or_default())
        .header("x-ms-account-kind", resource["kind"].as_str().unwrap_or_default())
        .header("x-ms-is-hns-enabled", "false"))
}
