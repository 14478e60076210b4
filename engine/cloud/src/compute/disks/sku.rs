//! Kinds of storage: names, sizes, performance.
//!
//! Source: <https://learn.microsoft.com/azure/virtual-machines/disks-scalability-targets>.

use serde_json::{Value, json};

use crate::arm::kind::{Change, Draft};
use crate::compute::body::{invalid, invalid_because};
use crate::cx::Cx;
use crate::fault;
use crate::refusal::Refusal;

/// A kind of storage.
#[derive(Debug)]
pub(super) struct Sku {
    /// Name in Azure's spelling.
    pub name: &'static str,
    tier: &'static str,
    /// Largest size in GiB.
    pub largest: u64,
    /// Whether the customer chooses the performance.
    pub provisioned: bool,
}

const fn sku(name: &'static str, tier: &'static str) -> Sku {
    Sku { name, tier, largest: 32_767, provisioned: false }
}

/// Kinds of disks; the first is what a disk is when nothing is said.
pub(super) static DISKS: &[Sku] = &[
    sku("Standard_LRS", "Standard"),
    sku("Premium_LRS", "Premium"),
    sku("StandardSSD_LRS", "Standard"),
    sku("Premium_ZRS", "Premium"),
    sku("StandardSSD_ZRS", "Standard"),
    Sku { name: "PremiumV2_LRS", tier: "Premium", largest: 65_536, provisioned: true },
    Sku { name: "UltraSSD_LRS", tier: "Ultra", largest: 65_536, provisioned: true },
];

/// Kinds of snapshots.
pub(super) static SNAPSHOTS: &[Sku] =
    &[sku("Standard_LRS", "Standard"), sku("Premium_LRS", "Premium"), sku("Standard_ZRS", "Standard")];

/// Reads `sku` of a body into the document and returns it.
pub(super) fn apply(cx: &Cx<'_>, draft: &mut Draft<'_>, skus: &'static [Sku]) -> Result<&'static Sku, Refusal> {
    let given = draft.given["sku"]["name"].as_str();
    let old = draft.body["sku"]["name"].as_str().map(str::to_owned);
    let first = skus.first().map_or("", |sku| sku.name);
    let wanted = given.or(old.as_deref()).unwrap_or(first);
    let sku = skus.iter().find(|sku| sku.name.eq_ignore_ascii_case(wanted)).ok_or_else(|| {
        let known: Vec<&str> = skus.iter().map(|sku| sku.name).collect();
        invalid_because("sku.name", &format!("the SKUs are {}.", known.join(", ")))
    })?;
    if draft.change != Change::Create && old.as_deref() != Some(sku.name) {
        if draft.body["properties"]["diskState"] == "Attached" {
            return Err(Refusal::new(
                409,
                "OperationNotAllowed",
                format!("The SKU of disk '{}' can't change while a running virtual machine uses it.", draft.id.name()),
            ));
        }
        if sku.provisioned || skus.iter().any(|other| old.as_deref() == Some(other.name) && other.provisioned) {
            return Err(invalid_because("sku.name", "Premium SSD v2 and Ultra disks are made as such and stay so."));
        }
    }
    if fault::missing_skus(cx)?.iter().any(|lack| lack.covers(draft.location(), sku.name)) {
        return Err(Refusal::new(
            409,
            "SkuNotAvailable",
            format!("The requested SKU '{}' is currently not available in location '{}'.", sku.name, draft.location()),
        ));
    }
    draft.body["sku"] = json!({ "name": sku.name, "tier": sku.tier });
    Ok(sku)
}

/// Steps of a kind of disks: largest size in GiB, operations and megabytes per second.
type Steps = &'static [(u64, u64, u64)];

const PREMIUM: Steps = &[
    (16, 120, 25),
    (32, 120, 25),
    (64, 240, 50),
    (128, 500, 100),
    (256, 1_100, 125),
    (512, 2_300, 150),
    (1_024, 5_000, 200),
    (2_048, 7_500, 250),
    (4_096, 7_500, 250),
    (8_192, 16_000, 500),
    (16_384, 18_000, 750),
    (u64::MAX, 20_000, 900),
];
const STANDARD_SSD: Steps = &[(4_096, 500, 100), (8_192, 2_000, 400), (16_384, 4_000, 600), (u64::MAX, 6_000, 750)];
const STANDARD: Steps = &[(4_096, 500, 60), (8_192, 1_300, 300), (u64::MAX, 2_000, 500)];
/// Names of the premium tiers by largest size in GiB.
const TIERS: &[(u64, &str)] = &[
    (4, "P1"),
    (8, "P2"),
    (16, "P3"),
    (32, "P4"),
    (64, "P6"),
    (128, "P10"),
    (256, "P15"),
    (512, "P20"),
    (1_024, "P30"),
    (2_048, "P40"),
    (4_096, "P50"),
    (8_192, "P60"),
    (16_384, "P70"),
    (u64::MAX, "P80"),
];

/// Writes the performance that a disk of a kind and size has, or that its customer chose.
pub(super) fn perform(draft: &mut Draft<'_>, sku: &Sku, size: u64) -> Result<(), Refusal> {
    let chosen = ["diskIOPSReadWrite", "diskMBpsReadWrite"].map(|name| (name, draft.asked()[name].clone()));
    let stored = ["diskIOPSReadWrite", "diskMBpsReadWrite"].map(|name| draft.body["properties"][name].clone());
    let steps = match sku.name {
        "Premium_LRS" | "Premium_ZRS" => PREMIUM,
        "StandardSSD_LRS" | "StandardSSD_ZRS" => STANDARD_SSD,
        _ => STANDARD,
    };
    let (_, operations, megabytes) = *steps.iter().find(|step| size <= step.0).unwrap_or(&(0, 500, 60));
    let defaults = if sku.provisioned { [3_000, 125] } else { [operations, megabytes] };
    for (((name, given), stored), default) in chosen.into_iter().zip(stored).zip(defaults) {
        let value = match (sku.provisioned, given.as_u64()) {
            (true, Some(given)) => performance(name, given, size)?.into(),
            (true, None) if stored.is_u64() => stored,
            // A client may send back what it read.
            (false, Some(given)) if given != default && Some(given) != stored.as_u64() => {
                return Err(invalid_because(name, "only Premium SSD v2 and Ultra disks have a chosen performance."));
            }
            _ if !given.is_null() && !given.is_u64() => return Err(invalid(name)),
            _ => Value::from(default),
        };
        draft.properties()[name] = value;
    }
    tier(draft, sku, size)
}

/// Writes the performance tier of a premium disk: that of its size, or a higher one that its customer chose.
fn tier(draft: &mut Draft<'_>, sku: &Sku, size: u64) -> Result<(), Refusal> {
    if !sku.name.starts_with("Premium_") {
        if let Some(properties) = draft.properties().as_object_mut() {
            properties.shift_remove("tier");
        }
        return Ok(());
    }
    let rank =
        |name: &Value| TIERS.iter().position(|tier| name.as_str().is_some_and(|n| tier.1.eq_ignore_ascii_case(n)));
    let least = TIERS.iter().position(|tier| size <= tier.0).unwrap_or_default();
    let (given, stored) = (&draft.asked()["tier"], &draft.body["properties"]["tier"]);
    // A client may send back what it read.
    let chosen = if given.is_null() || given == stored {
        rank(stored).map_or(least, |stored| stored.max(least))
    } else {
        rank(given).filter(|chosen| *chosen >= least).ok_or_else(|| invalid("tier"))?
    };
    draft.properties()["tier"] = TIERS.get(chosen).map_or("P80", |tier| tier.1).into();
    Ok(())
}

/// Checks a chosen performance: 500 operations per second and GiB, at least 3,000, at most 160,000; a quarter of a
/// megabyte per second for each operation, up to 2,000.
fn performance(name: &str, given: u64, size: u64) -> Result<u64, Refusal> {
    let range = match name {
        "diskIOPSReadWrite" => 100..=(500 * size).clamp(3_000, 160_000),
        _ => 1..=2_000,
    };
    if range.contains(&given) { Ok(given) } else { Err(invalid(name)) }
}
