//! Platform images: publishers, offers, SKUs, versions.
//!
//! Source: <https://learn.microsoft.com/rest/api/compute/virtual-machine-images>.

use http::Method;
use serde_json::{Value, json};

use super::API;
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::{Operation, Params, Rows};
use crate::refusal::Refusal;
use crate::resources::locations::{self, Location};

/// A platform image.
#[derive(Debug)]
pub(crate) struct Image {
    /// Publisher.
    pub publisher: &'static str,
    /// Offer.
    pub offer: &'static str,
    /// SKU.
    pub sku: &'static str,
    /// Oldest first.
    pub versions: &'static [&'static str],
    /// `Linux` or `Windows`.
    pub os: &'static str,
    /// Name of the operating system, as a guest agent reports it.
    pub system: &'static str,
    /// `V1` or `V2`.
    pub generation: &'static str,
    /// What its `SecurityType` feature says.
    pub security: &'static str,
    /// Size of its disk in GiB.
    pub disk: u32,
}

/// [`Image::security`] of images for machines with trusted launch.
const TRUSTED: &str = "TrustedLaunchSupported";
/// [`Image::security`] of images for confidential machines.
const CONFIDENTIAL: &str = "ConfidentialVmSupported";
/// [`Image::security`] of images for both.
const BOTH: &str = "TrustedLaunchAndConfidentialVmSupported";

impl Image {
    /// Whether machines with trusted launch can have it.
    pub fn is_trusted(&self) -> bool {
        matches!(self.security, TRUSTED | BOTH)
    }

    /// Whether confidential machines can have it.
    pub fn is_confidential(&self) -> bool {
        matches!(self.security, CONFIDENTIAL | BOTH)
    }

    /// The newest version.
    pub fn latest(&self) -> &'static str {
        self.versions.last().copied().unwrap_or_default()
    }

    fn properties(&self) -> Value {
        let mut features = vec![
            json!({ "name": "IsAcceleratedNetworkSupported", "value": "True" }),
            json!({ "name": "DiskControllerTypes", "value": "SCSI" }),
        ];
        if !self.security.is_empty() {
            features.insert(0, json!({ "name": "SecurityType", "value": self.security }));
        }
        json!({
            "hyperVGeneration": self.generation,
            "architecture": "x64",
            "osDiskImage": { "operatingSystem": self.os },
            "dataDiskImages": [],
            "automaticOSUpgradeProperties": { "automaticOSUpgradeSupported": false },
            "features": features,
            "imageDeprecationStatus": { "imageState": "Active" },
        })
    }
}

const NOBLE: &[&str] = &["24.04.202510010", "24.04.202512100", "24.04.202601070"];
const JAMMY: &[&str] = &["22.04.202510020", "22.04.202512110", "22.04.202601080"];
const WINDOWS: &[&str] = &["20348.4294.251008", "20348.4529.251205"];

const fn ubuntu(
    offer: &'static str,
    sku: &'static str,
    versions: &'static [&'static str],
    generation: &'static str,
    security: &'static str,
) -> Image {
    Image {
        publisher: "Canonical",
        offer,
        sku,
        versions,
        os: "Linux",
        system: "ubuntu",
        generation,
        security,
        disk: 30,
    }
}

const fn windows(sku: &'static str, generation: &'static str, security: &'static str) -> Image {
    Image {
        publisher: "MicrosoftWindowsServer",
        offer: "WindowsServer",
        sku,
        versions: WINDOWS,
        os: "Windows",
        system: "Windows Server 2022 Datacenter",
        generation,
        security,
        disk: 127,
    }
}

static IMAGES: &[Image] = &[
    ubuntu("0001-com-ubuntu-confidential-vm-jammy", "22_04-lts-cvm", JAMMY, "V2", CONFIDENTIAL),
    ubuntu("0001-com-ubuntu-server-jammy", "22_04-lts", JAMMY, "V1", ""),
    ubuntu("0001-com-ubuntu-server-jammy", "22_04-lts-gen2", JAMMY, "V2", TRUSTED),
    ubuntu("ubuntu-24_04-lts", "cvm", NOBLE, "V2", CONFIDENTIAL),
    ubuntu("ubuntu-24_04-lts", "server", NOBLE, "V2", TRUSTED),
    ubuntu("ubuntu-24_04-lts", "server-gen1", NOBLE, "V1", ""),
    windows("2022-datacenter", "V1", ""),
    windows("2022-datacenter-azure-edition", "V2", BOTH),
    windows("2022-datacenter-g2", "V2", TRUSTED),
    Image { disk: 30, ..windows("2022-datacenter-smalldisk-g2", "V2", TRUSTED) },
];

/// Finds an image by its urn, without case.
pub(super) fn find(publisher: &str, offer: &str, sku: &str) -> Option<&'static Image> {
    IMAGES.iter().find(|image| {
        image.publisher.eq_ignore_ascii_case(publisher)
            && image.offer.eq_ignore_ascii_case(offer)
            && image.sku.eq_ignore_ascii_case(sku)
    })
}

macro_rules! path {
    ($rest:literal) => {
        concat!("/subscriptions/{subscription}/providers/Microsoft.Compute/locations/{location}/publishers", $rest)
    };
}

const ROWS: Rows = Rows::control(API);

/// Operations on images.
pub(super) static OPERATIONS: &[Operation] = &[
    ROWS.row(
        "VirtualMachineImages_ListPublishers",
        Method::GET,
        path!(""),
        "Microsoft.Compute/locations/publishers/read",
        publishers,
    ),
    ROWS.row(
        "VirtualMachineImages_ListOffers",
        Method::GET,
        path!("/{publisher}/artifacttypes/vmimage/offers"),
        "Microsoft.Compute/locations/publishers/artifacttypes/offers/read",
        offers,
    ),
    ROWS.row(
        "VirtualMachineImages_ListSkus",
        Method::GET,
        path!("/{publisher}/artifacttypes/vmimage/offers/{offer}/skus"),
        "Microsoft.Compute/locations/publishers/artifacttypes/offers/skus/read",
        skus,
    ),
    ROWS.row(
        "VirtualMachineImages_List",
        Method::GET,
        path!("/{publisher}/artifacttypes/vmimage/offers/{offer}/skus/{sku}/versions"),
        "Microsoft.Compute/locations/publishers/artifacttypes/offers/skus/versions/read",
        versions,
    ),
    ROWS.row(
        "VirtualMachineImages_Get",
        Method::GET,
        path!("/{publisher}/artifacttypes/vmimage/offers/{offer}/skus/{sku}/versions/{version}"),
        "Microsoft.Compute/locations/publishers/artifacttypes/offers/skus/versions/read",
        version,
    ),
];

fn location(params: &Params) -> Result<&'static Location, Refusal> {
    let name = params.get("location");
    locations::find(name).ok_or_else(|| {
        Refusal::new(
            404,
            "NoRegisteredProviderFound",
            format!("No registered resource provider found for location '{name}'."),
        )
    })
}

fn missing(what: &str) -> Refusal {
    Refusal::new(404, "NotFound", format!("Artifact: VMImage was not found: {what}."))
}

/// Distinct names in order, each with the rest of the path up to it.
fn list(cx: &Cx<'_>, params: &Params, names: impl Iterator<Item = &'static str>) -> Result<Answer, Refusal> {
    let location = location(params)?;
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return Err(missing(&cx.request.path));
    }
    let entries: Vec<Value> = names.into_iter().map(|name| entry(cx, location, name)).collect();
    Ok(Answer::ok(&entries.into()))
}

fn entry(cx: &Cx<'_>, location: &Location, name: &str) -> Value {
    let path = cx.request.segments.join("/");
    json!({ "location": location.name, "name": name, "id": format!("/{path}/{name}") })
}

/// `VirtualMachineImages_ListPublishers`.
fn publishers(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    list(cx, params, IMAGES.iter().map(|image| image.publisher))
}

/// `VirtualMachineImages_ListOffers`.
fn offers(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let publisher = params.get("publisher");
    list(cx, params, IMAGES.iter().filter(|i| i.publisher.eq_ignore_ascii_case(publisher)).map(|i| i.offer))
}

/// `VirtualMachineImages_ListSkus`.
fn skus(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let (publisher, offer) = (params.get("publisher"), params.get("offer"));
    let here = |i: &&Image| i.publisher.eq_ignore_ascii_case(publisher) && i.offer.eq_ignore_ascii_case(offer);
    list(cx, params, IMAGES.iter().filter(here).map(|i| i.sku))
}

fn named(params: &Params) -> Result<&'static Image, Refusal> {
    let (publisher, offer, sku) = (params.get("publisher"), params.get("offer"), params.get("sku"));
    find(publisher, offer, sku).ok_or_else(|| missing(&format!("{publisher}:{offer}:{sku}")))
}

/// `VirtualMachineImages_List`: versions, oldest first; `$orderby=name desc`, `$top` and `$expand=properties` are known.
fn versions(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let (location, image) = (location(params)?, named(params)?);
    let mut versions = image.versions.to_vec();
    match cx.request.query("$orderby").map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "name" | "name asc") => {}
        Some("name desc") => versions.reverse(),
        Some(other) => return Err(invalid("$orderby", other)),
    }
    if let Some(top) = cx.request.query("$top") {
        versions.truncate(top.parse().map_err(|_| invalid("$top", top))?);
    }
    let expand = match cx.request.query("$expand").map(str::to_ascii_lowercase).as_deref() {
        None | Some("") => Value::Null,
        Some("properties") => image.properties(),
        Some("properties/imagedeprecationstatus") => {
            json!({ "imageDeprecationStatus": image.properties()["imageDeprecationStatus"] })
        }
        Some(other) => return Err(invalid("$expand", other)),
    };
    let entries: Vec<Value> = versions
        .into_iter()
        .map(|version| {
            let mut entry = entry(cx, location, version);
            if !expand.is_null() {
                entry["properties"] = expand.clone();
            }
            entry
        })
        .collect();
    Ok(Answer::ok(&entries.into()))
}

fn invalid(name: &str, value: &str) -> Refusal {
    Refusal::new(
        400,
        "BadRequest",
        format!("The query parameter {name} has the value '{value}', which is not supported."),
    )
}

/// `VirtualMachineImages_Get`.
fn version(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let (location, image, version) = (location(params)?, named(params)?, params.get("version"));
    if !image.versions.contains(&version) {
        return Err(missing(version));
    }
    let id = format!("/{}", cx.request.segments.join("/"));
    Ok(Answer::ok(&json!({
        "location": location.name,
        "name": version,
        "id": id,
        "properties": image.properties(),
    })))
}
