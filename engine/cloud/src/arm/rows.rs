//! Operation tables of types that do everything in the common way ([`super::resource`]).

use http::Method;

use super::resource;
use crate::lro;
use crate::operation::{Operation, Rows};

/// Paths of a type: of one resource, of those of a group or parent, of those of a subscription.
type Paths = [&'static str; 3];
/// Actions that read, write and delete.
type Actions = [&'static str; 3];

/// The rows of a type with a region; see `tracked_type!`.
pub(crate) const fn tracked(
    names: [&'static str; 6],
    [one, group, subscription]: Paths,
    [read, write, delete]: Actions,
    api: &'static [&'static str],
    long: bool,
) -> [Operation; 6] {
    let rows = Rows::control(api);
    [
        rows.row(names[0], Method::PUT, one, write, resource::put).lasting(long),
        rows.row(names[1], Method::PATCH, one, write, resource::patch).lasting(long),
        rows.row(names[2], Method::GET, one, read, resource::get),
        rows.row(names[3], Method::DELETE, one, delete, resource::delete).lasting(long),
        rows.row(names[4], Method::GET, group, read, resource::list),
        rows.row(names[5], Method::GET, subscription, read, resource::list),
    ]
}

/// The rows of a part of another resource; see `part_type!`.
pub(crate) const fn part(
    names: [&'static str; 4],
    [one, all]: [&'static str; 2],
    [read, write, delete]: Actions,
    api: &'static [&'static str],
    long: bool,
) -> [Operation; 4] {
    let rows = Rows::control(api);
    [
        rows.row(names[0], Method::PUT, one, write, resource::put).lasting(long),
        rows.row(names[1], Method::GET, one, read, resource::get),
        rows.row(names[2], Method::DELETE, one, delete, resource::delete).lasting(long),
        rows.row(names[3], Method::GET, all, read, resource::list),
    ]
}

/// The rows that poll the long-running operations of a namespace; see `polling!`.
pub(crate) const fn polls(
    names: [&'static str; 2],
    path: &'static str,
    action: &'static str,
    api: &'static [&'static str],
) -> [Operation; 2] {
    const MONITOR: &[(&str, &str)] = &[("monitor", "true")];
    let [status, result] = names;
    let rows = Rows::control(api);
    [
        rows.row(status, Method::GET, path, action, |cx, p| lro::poll_status(cx, p.get("operation"))),
        rows.row(result, Method::GET, path, action, |cx, p| lro::poll_location(cx, p.get("operation"))).only(MONITOR),
    ]
}

/// A path below a resource group: `in_group!("Microsoft.Compute/disks/{name}")`.
macro_rules! in_group {
    ($rest:literal) => {
        concat!("/subscriptions/{subscription}/resourceGroups/{group}/providers/", $rest)
    };
}

/// A path below a subscription: `in_subscription!("Microsoft.Compute/disks")`.
macro_rules! in_subscription {
    ($rest:literal) => {
        concat!("/subscriptions/{subscription}/providers/", $rest)
    };
}

/// The operation table of a type with a region that does everything in the common way: `tracked_type!("Disks",
/// "Microsoft.Compute", "disks", API, long: true)`. The first word is the operation group of the official contract.
macro_rules! tracked_type {
    ($ids:literal, $namespace:literal, $type:literal, $api:expr, long: $long:expr) => {
        $crate::arm::rows::tracked(
            [
                concat!($ids, "_CreateOrUpdate"),
                concat!($ids, "_Update"),
                concat!($ids, "_Get"),
                concat!($ids, "_Delete"),
                concat!($ids, "_ListByResourceGroup"),
                concat!($ids, "_List"),
            ],
            [
                concat!(
                    "/subscriptions/{subscription}/resourceGroups/{group}/providers/",
                    $namespace,
                    "/",
                    $type,
                    "/{name}"
                ),
                concat!("/subscriptions/{subscription}/resourceGroups/{group}/providers/", $namespace, "/", $type),
                concat!("/subscriptions/{subscription}/providers/", $namespace, "/", $type),
            ],
            [
                concat!($namespace, "/", $type, "/read"),
                concat!($namespace, "/", $type, "/write"),
                concat!($namespace, "/", $type, "/delete"),
            ],
            $api,
            $long,
        )
    };
}

/// The operation table of a type below another one: `part_type!("Subnets", "Microsoft.Network", "virtualNetworks/subnets",
/// "virtualNetworks/{parent}/subnets", API, long: true)`.
macro_rules! part_type {
    ($ids:literal, $namespace:literal, $type:literal, $path:literal, $api:expr, long: $long:expr) => {
        $crate::arm::rows::part(
            [concat!($ids, "_CreateOrUpdate"), concat!($ids, "_Get"), concat!($ids, "_Delete"), concat!($ids, "_List")],
            [
                concat!(
                    "/subscriptions/{subscription}/resourceGroups/{group}/providers/",
                    $namespace,
                    "/",
                    $path,
                    "/{name}"
                ),
                concat!("/subscriptions/{subscription}/resourceGroups/{group}/providers/", $namespace, "/", $path),
            ],
            [
                concat!($namespace, "/", $type, "/read"),
                concat!($namespace, "/", $type, "/write"),
                concat!($namespace, "/", $type, "/delete"),
            ],
            $api,
            $long,
        )
    };
}

/// The polling URLs of a namespace: `polling!("Microsoft.Compute", "operations", API)`. The folder is what
/// [`super::kind::Facts::polls`] says.
macro_rules! polling {
    ($namespace:literal, $folder:literal, $api:expr) => {
        $crate::arm::rows::polls(
            [concat!($folder, "_Status"), concat!($folder, "_Result")],
            concat!(
                "/subscriptions/{subscription}/providers/",
                $namespace,
                "/locations/{location}/",
                $folder,
                "/{operation}"
            ),
            concat!($namespace, "/locations/", $folder, "/read"),
            $api,
        )
    };
}

pub(crate) use {in_group, in_subscription, part_type, polling, tracked_type};
