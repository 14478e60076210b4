//! Which permission of a shared access signature an operation takes.

use super::mismatch;
use super::sas::Sas;
use crate::refusal::Refusal;

/// What a signature allows an operation to touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Whatever is there.
    All,
    /// Only what was not there before.
    New,
}

/// Operation, kind of resource (`s`ervice, `c`ontainer, `o`bject), permissions of which one is enough, and whether a
/// signature for one container or blob can allow it. `c` alone is good for what is new.
const NEEDS: &[(&str, char, &str, bool)] = &[
    ("Service_ListContainersSegment", 's', "l", false),
    ("Service_GetAccountInfo", 's', "rwdxylacuptfi", false),
    ("Container_Create", 'c', "cw", false),
    ("Container_GetProperties", 'c', "r", false),
    ("Container_GetMetadata", 'c', "r", false),
    ("Container_SetMetadata", 'c', "w", false),
    ("Container_Delete", 'c', "d", false),
    ("Container_AcquireLease", 'c', "w", false),
    ("Container_RenewLease", 'c', "w", false),
    ("Container_ChangeLease", 'c', "w", false),
    ("Container_ReleaseLease", 'c', "w", false),
    ("Container_BreakLease", 'c', "wd", false),
    ("Container_ListBlobs", 'c', "l", true),
    ("BlockBlob_Upload", 'o', "cw", true),
    ("BlockBlob_PutBlobFromUrl", 'o', "cw", true),
    ("BlockBlob_StageBlock", 'o', "w", true),
    ("BlockBlob_CommitBlockList", 'o', "w", true),
    ("BlockBlob_GetBlockList", 'o', "r", true),
    ("Blob_Download", 'o', "r", true),
    ("Blob_GetProperties", 'o', "r", true),
    ("Blob_GetMetadata", 'o', "r", true),
    ("Blob_SetMetadata", 'o', "w", true),
    ("Blob_SetHTTPHeaders", 'o', "w", true),
    ("Blob_Delete", 'o', "d", true),
    ("Blob_StartCopyFromURL", 'o', "cw", true),
    ("Blob_CopyFromURL", 'o', "cw", true),
    ("Blob_AbortCopyFromURL", 'o', "w", true),
    ("Blob_AcquireLease", 'o', "w", true),
    ("Blob_RenewLease", 'o', "w", true),
    ("Blob_ChangeLease", 'o', "w", true),
    ("Blob_ReleaseLease", 'o', "w", true),
    ("Blob_BreakLease", 'o', "wd", true),
];

/// Refuses an operation that a signature does not allow.
///
/// # Errors
/// `AuthorizationResourceTypeMismatch` and `AuthorizationPermissionMismatch`.
pub(super) fn check(sas: &Sas<'_>, operation: &str) -> Result<Extent, Refusal> {
    let not_permitted = || mismatch("AuthorizationPermissionMismatch", "permission");
    let found = NEEDS.iter().find(|(name, ..)| *name == operation);
    let &(_, kind, letters, for_one) = found.ok_or_else(not_permitted)?;
    match sas.resource_types() {
        Some(types) if !types.contains(kind) => {
            return Err(mismatch("AuthorizationResourceTypeMismatch", "resource type"));
        }
        None if !for_one => return Err(not_permitted()),
        _ => {}
    }
    let held: Vec<char> = letters.chars().filter(|letter| sas.permissions().contains(*letter)).collect();
    match held.as_slice() {
        [] => Err(not_permitted()),
        ['c'] if kind == 'o' => Ok(Extent::New),
        _ => Ok(Extent::All),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::blob::table::OPERATIONS;

    /// Whatever has no row here can't be allowed by any signature, which is right for one operation alone.
    #[test]
    fn every_operation_has_its_needs() {
        let without: Vec<&str> = OPERATIONS
            .iter()
            .map(|operation| operation.name)
            .filter(|name| NEEDS.iter().all(|(known, ..)| known != name))
            .collect();
        assert_eq!(without, [super::super::delegation::OPERATION]);
        for (name, ..) in NEEDS {
            assert!(OPERATIONS.iter().any(|operation| operation.name == *name), "{name}");
        }
    }
}
