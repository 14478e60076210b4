//! The table of Blob Storage's operations.

use http::Method;

use super::{VERSIONS, change, container, list, read, upload};
use crate::operation::{Access, Operation, Run};

const CONTAINER: &str = "/{container}";
const BLOB: &str = "/{container}/{*blob}";

const CONTAINER_READ: Access = Access::Control("Microsoft.Storage/storageAccounts/blobServices/containers/read");
const CONTAINER_WRITE: Access = Access::Control("Microsoft.Storage/storageAccounts/blobServices/containers/write");
const CONTAINER_DELETE: Access = Access::Control("Microsoft.Storage/storageAccounts/blobServices/containers/delete");
const BLOB_READ: Access = Access::Data("Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read");
const BLOB_WRITE: Access = Access::Data("Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write");
const BLOB_DELETE: Access = Access::Data("Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete");

const OF_CONTAINER: (&str, &str) = ("restype", "container");

type When = &'static [(&'static str, &'static str)];

const fn operation(
    name: &'static str,
    method: Method,
    path: &'static str,
    when: When,
    access: Access,
    run: Run,
) -> Operation {
    Operation { name, method, path, when, api: VERSIONS, access, lro: false, run }
}

/// The operations. Those on containers are control actions in Azure's roles, those on blobs data actions.
pub(super) static OPERATIONS: &[Operation] = &[
    operation("Service_ListContainersSegment", Method::GET, "/", &[("comp", "list")], CONTAINER_READ, list::containers),
    operation(
        "Service_GetAccountInfo",
        Method::GET,
        "/",
        &[("restype", "account"), ("comp", "properties")],
        CONTAINER_READ,
        container::account_info,
    ),
    operation("Container_Create", Method::PUT, CONTAINER, &[OF_CONTAINER], CONTAINER_WRITE, container::create),
    operation(
        "Container_GetProperties",
        Method::GET,
        CONTAINER,
        &[OF_CONTAINER],
        CONTAINER_READ,
        container::properties,
    ),
    operation(
        "Container_GetProperties",
        Method::HEAD,
        CONTAINER,
        &[OF_CONTAINER],
        CONTAINER_READ,
        container::properties,
    ),
    operation(
        "Container_GetMetadata",
        Method::GET,
        CONTAINER,
        &[OF_CONTAINER, ("comp", "metadata")],
        CONTAINER_READ,
        container::properties,
    ),
    operation(
        "Container_GetMetadata",
        Method::HEAD,
        CONTAINER,
        &[OF_CONTAINER, ("comp", "metadata")],
        CONTAINER_READ,
        container::properties,
    ),
    operation(
        "Container_SetMetadata",
        Method::PUT,
        CONTAINER,
        &[OF_CONTAINER, ("comp", "metadata")],
        CONTAINER_WRITE,
        container::set_metadata,
    ),
    operation("Container_Delete", Method::DELETE, CONTAINER, &[OF_CONTAINER], CONTAINER_DELETE, container::delete),
    operation("Container_ListBlobs", Method::GET, CONTAINER, &[OF_CONTAINER, ("comp", "list")], BLOB_READ, list::blobs),
    operation("BlockBlob_Upload", Method::PUT, BLOB, &[], BLOB_WRITE, upload::put_blob),
    operation("BlockBlob_StageBlock", Method::PUT, BLOB, &[("comp", "block")], BLOB_WRITE, upload::stage_block),
    operation(
        "BlockBlob_CommitBlockList",
        Method::PUT,
        BLOB,
        &[("comp", "blocklist")],
        BLOB_WRITE,
        upload::commit_block_list,
    ),
    operation("BlockBlob_GetBlockList", Method::GET, BLOB, &[("comp", "blocklist")], BLOB_READ, read::block_list),
    operation("Blob_Download", Method::GET, BLOB, &[], BLOB_READ, read::download),
    operation("Blob_GetProperties", Method::HEAD, BLOB, &[], BLOB_READ, read::properties),
    operation("Blob_GetMetadata", Method::GET, BLOB, &[("comp", "metadata")], BLOB_READ, read::metadata),
    operation("Blob_GetMetadata", Method::HEAD, BLOB, &[("comp", "metadata")], BLOB_READ, read::metadata),
    operation("Blob_SetMetadata", Method::PUT, BLOB, &[("comp", "metadata")], BLOB_WRITE, change::set_metadata),
    operation("Blob_SetHTTPHeaders", Method::PUT, BLOB, &[("comp", "properties")], BLOB_WRITE, change::set_properties),
    operation("Blob_Delete", Method::DELETE, BLOB, &[], BLOB_DELETE, change::delete),
];
