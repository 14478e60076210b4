//! The provider that Microsoft runs in each region for everybody.
//!
//! Source: <https://learn.microsoft.com/azure/attestation/basic-concepts#regional-shared-provider>.

use serde_json::{Value, json};

use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::resources::locations::{self, LOCATIONS, Location};

/// Regions with a shared provider, and the short names in its host name.
const SHORT: &[(&str, &str)] = &[
    ("eastus", "eus"),
    ("eastus2", "eus2"),
    ("centralus", "cus"),
    ("northcentralus", "ncus"),
    ("southcentralus", "scus"),
    ("westcentralus", "wcus"),
    ("westus", "wus"),
    ("westus2", "wus2"),
    ("westus3", "wus3"),
    ("canadacentral", "cac"),
    ("canadaeast", "cae"),
    ("brazilsouth", "sbr"),
    ("northeurope", "neu"),
    ("westeurope", "weu"),
    ("francecentral", "frc"),
    ("germanywestcentral", "dewc"),
    ("italynorth", "itn"),
    ("norwayeast", "noe"),
    ("polandcentral", "plc"),
    ("spaincentral", "esc"),
    ("swedencentral", "sec"),
    ("switzerlandnorth", "swn"),
    ("uksouth", "uks"),
    ("ukwest", "ukw"),
    ("israelcentral", "ilc"),
    ("uaenorth", "uaen"),
    ("southafricanorth", "san"),
    ("centralindia", "cin"),
    ("southindia", "sin"),
    ("eastasia", "easia"),
    ("southeastasia", "sasia"),
    ("japaneast", "jpe"),
    ("japanwest", "jpw"),
    ("koreacentral", "krc"),
    ("australiaeast", "eau"),
    ("australiasoutheast", "sau"),
];

/// The short name of a region in host names of attestation providers; `None` where the service is not offered.
pub(super) fn short(location: &str) -> Option<&'static str> {
    SHORT.iter().find(|(name, _)| name.eq_ignore_ascii_case(location)).map(|(_, short)| *short)
}

/// Address of the shared provider of a region, by its short name.
fn uri(short: &str) -> String {
    format!("https://shared{short}.{short}.attest.azure.net")
}

/// Addresses of all shared providers.
pub(super) fn uris() -> impl Iterator<Item = String> {
    SHORT.iter().map(|(_, short)| uri(short))
}

fn document(location: &Location, short: &str) -> Value {
    let name = format!("shared{short}");
    json!({
        "id": format!("/providers/Microsoft.Attestation/attestationProviders/{name}"),
        "name": name,
        "type": "Microsoft.Attestation/attestationProviders",
        "location": location.display,
        "properties": {
            "trustModel": "AAD",
            "status": "Ready",
            "attestUri": uri(short),
        },
    })
}

/// `AttestationProviders_ListDefault`.
pub(super) fn list(_: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let value: Vec<Value> =
        LOCATIONS.iter().filter_map(|location| Some(document(location, short(location.name)?))).collect();
    Ok(Answer::ok(&json!({ "value": value })))
}

/// `AttestationProviders_GetDefaultByLocation`: the region by its name or its display name.
pub(super) fn get(_: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let given = params.get("location");
    let found = locations::find(given).and_then(|location| Some((location, short(location.name)?)));
    let (location, short) = found.ok_or_else(|| unavailable("locations/defaultProvider", given))?;
    Ok(Answer::ok(&document(location, short)))
}

/// Refuses a region without the service.
pub(super) fn unavailable(kind: &str, location: &str) -> Refusal {
    let known: Vec<&str> = SHORT.iter().map(|(name, _)| *name).collect();
    Refusal::new(
        400,
        "LocationNotAvailableForResourceType",
        format!(
            "The provided location '{location}' is not available for resource type 'Microsoft.Attestation/{kind}'. List \
             of available regions for the resource type is '{}'.",
            known.join(",")
        ),
    )
}
