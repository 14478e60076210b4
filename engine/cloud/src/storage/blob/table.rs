//! The table of Blob Storage's operations.

use http::Method;

use super::{VERSIONS, auth, change, container, copy, lease, list, read, upload};
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

const LEASE: (&str, &str) = ("comp", "lease");

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

const fn container_lease(name: &'static str, when: When) -> Operation {
    operation(name, Method::PUT, CONTAINER, when, CONTAINER_WRITE, lease::operations::of_container)
}

const fn blob_lease(name: &'static str, when: When) -> Operation {
    operation(name, Method::PUT, BLOB, when, BLOB_WRITE, lease::operations::of_blob)
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
    operation(
        "Service_GetUserDelegationKey",
        Method::POST,
        "/",
        &[("restype", "service"), ("comp", "userdelegationkey")],
        Access::Control("Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action"),
        auth::get_user_delegation_key,
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
    container_lease("Container_AcquireLease", &[OF_CONTAINER, LEASE, ("x-ms-lease-action", "acquire")]),
    container_lease("Container_RenewLease", &[OF_CONTAINER, LEASE, ("x-ms-lease-action", "renew")]),
    container_lease("Container_ChangeLease", &[OF_CONTAINER, LEASE, ("x-ms-lease-action", "change")]),
    container_lease("Container_ReleaseLease", &[OF_CONTAINER, LEASE, ("x-ms-lease-action", "release")]),
    container_lease("Container_BreakLease", &[OF_CONTAINER, LEASE, ("x-ms-lease-action", "break")]),
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
    operation(
        "BlockBlob_PutBlobFromUrl",
        Method::PUT,
        BLOB,
        &[("x-ms-copy-source", "*"), ("x-ms-blob-type", "*")],
        BLOB_WRITE,
        copy::put_from_url,
    ),
    operation("Blob_StartCopyFromURL", Method::PUT, BLOB, &[("x-ms-copy-source", "*")], BLOB_WRITE, copy::start),
    operation(
        "Blob_CopyFromURL",
        Method::PUT,
        BLOB,
        &[("x-ms-copy-source", "*"), ("x-ms-requires-sync", "true")],
        BLOB_WRITE,
        copy::at_once,
    ),
    operation(
        "Blob_AbortCopyFromURL",
        Method::PUT,
        BLOB,
        &[("comp", "copy"), ("copyid", "*"), ("x-ms-copy-action", "abort")],
        BLOB_WRITE,
        copy::abort,
    ),
    blob_lease("Blob_AcquireLease", &[LEASE, ("x-ms-lease-action", "acquire")]),
    blob_lease("Blob_RenewLease", &[LEASE, ("x-ms-lease-action", "renew")]),
    blob_lease("Blob_ChangeLease", &[LEASE, ("x-ms-lease-action", "change")]),
    blob_lease("Blob_ReleaseLease", &[LEASE, ("x-ms-lease-action", "release")]),
    blob_lease("Blob_BreakLease", &[LEASE, ("x-ms-lease-action", "break")]),
    operation("Blob_Delete", Method::DELETE, BLOB, &[], BLOB_DELETE, change::delete),
];
