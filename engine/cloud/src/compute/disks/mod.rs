//! Managed disks and snapshots.
//!
//! - `disk`, `snapshot`: the two types; `managed`: what they are alike in
//! - `source`: what they are made from
//! - `protection`: platform keys, disk encryption sets, security profiles
//! - `sku`, `quota`: kinds of storage, sizes, performance, how many there may be
//! - `life`: what both types do when they are stored, shown and deleted
//! - `access`: shared access signatures for their content
//! - [`hooks`]: what virtual machines do with disks
//!
//! Virtual machines call [`hooks::create_os_disk`], [`hooks::attach`], [`hooks::set_power`] and [`hooks::detach`]; they
//! ask [`hooks::require_key_available`] before they start, and deallocate what [`hooks::cut_off`] yields in their tick.
//!
//! Source: <https://learn.microsoft.com/rest/api/compute/disks>,
//! <https://learn.microsoft.com/rest/api/compute/snapshots>.

mod access;
mod disk;
pub(crate) mod hooks;
mod life;
mod managed;
mod protection;
mod quota;
mod sku;
mod snapshot;
mod source;

use http::Method;

pub(super) use disk::Disks;
pub(super) use quota::usages;
pub(super) use snapshot::Snapshots;

use crate::arm::rows::{in_group, polling, tracked_type};
use crate::operation::{Operation, Rows};

/// Namespace and type of disks.
pub(super) const DISKS: &str = "Microsoft.Compute/disks";
/// Namespace and type of snapshots.
pub(super) const SNAPSHOTS: &str = "Microsoft.Compute/snapshots";

/// Bytes of a GiB.
const GIB: u64 = 1 << 30;

pub(super) const API: &[&str] = &[
    "2026-03-02",
    "2025-01-02",
    "2024-03-02",
    "2023-10-02",
    "2023-04-02",
    "2023-01-02",
    "2022-07-02",
    "2022-03-02",
    "2021-12-01",
    "2021-08-01",
    "2021-04-01",
    "2020-12-01",
    "2020-09-30",
    "2020-06-30",
    "2020-05-01",
    "2019-11-01",
    "2019-07-01",
    "2019-03-01",
    "2018-09-30",
    "2018-06-01",
    "2018-04-01",
];

static DISK_ROWS: &[Operation] = &tracked_type!("Disks", "Microsoft.Compute", "disks", API, long: true);
static SNAPSHOT_ROWS: &[Operation] = &tracked_type!("Snapshots", "Microsoft.Compute", "snapshots", API, long: true);
static POLLS: &[Operation] = &polling!("Microsoft.Compute", "DiskOperations", API);

const ROWS: Rows = Rows::control(API);

static ACTIONS: &[Operation] = &[
    ROWS.row(
        "Disks_GrantAccess",
        Method::POST,
        in_group!("Microsoft.Compute/disks/{name}/beginGetAccess"),
        "Microsoft.Compute/disks/beginGetAccess/action",
        access::begin,
    )
    .lasting(true),
    ROWS.row(
        "Disks_RevokeAccess",
        Method::POST,
        in_group!("Microsoft.Compute/disks/{name}/endGetAccess"),
        "Microsoft.Compute/disks/endGetAccess/action",
        access::end,
    )
    .lasting(true),
    ROWS.row(
        "Snapshots_GrantAccess",
        Method::POST,
        in_group!("Microsoft.Compute/snapshots/{name}/beginGetAccess"),
        "Microsoft.Compute/snapshots/beginGetAccess/action",
        access::begin,
    )
    .lasting(true),
    ROWS.row(
        "Snapshots_RevokeAccess",
        Method::POST,
        in_group!("Microsoft.Compute/snapshots/{name}/endGetAccess"),
        "Microsoft.Compute/snapshots/endGetAccess/action",
        access::end,
    )
    .lasting(true),
];

/// The operation tables.
pub(super) fn tables() -> [&'static [Operation]; 4] {
    [DISK_ROWS, SNAPSHOT_ROWS, ACTIONS, POLLS]
}
