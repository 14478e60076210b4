//! What a region offers of a size, for the other providers whose resources run on machines.

use super::sizes::SIZES;
use crate::cx::Cx;
use crate::fault;
use crate::refusal::Refusal;

/// A size in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// vCPUs.
    pub cpus: u32,
    /// Quota family.
    pub family: &'static str,
    /// Whether the subscription can have it there.
    pub available: bool,
}

/// Finds a size by name, without case; `None` when the region does not have it.
pub(crate) fn find(cx: &Cx<'_>, location: &str, size: &str) -> Result<Option<Offer>, Refusal> {
    let known = SIZES.iter().find(|known| known.name.eq_ignore_ascii_case(size) && known.offered_in(location));
    let Some(size) = known else { return Ok(None) };
    let missing = fault::missing_skus(cx)?.iter().any(|lack| lack.covers(location, size.name));
    Ok(Some(Offer { cpus: size.cpus, family: size.family, available: !missing }))
}

/// Names of the sizes that a region offers.
pub(crate) fn names(location: &str) -> Vec<&'static str> {
    SIZES.iter().filter(|size| size.offered_in(location)).map(|size| size.name).collect()
}
