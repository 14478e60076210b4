//! Azure regions.

use serde_json::{Value, json};

use crate::refusal::Refusal;

/// A region.
#[derive(Debug)]
pub(crate) struct Location {
    /// Name, such as `westeurope`.
    pub name: &'static str,
    /// Display name, such as `West Europe`.
    pub display: &'static str,
    /// Geography group, such as `Europe`.
    pub group: &'static str,
    /// Where it is.
    pub physical: &'static str,
}

impl Location {
    /// The document that `Subscriptions_ListLocations` answers.
    pub fn document(&self, subscription: &str) -> Value {
        json!({
            "id": format!("/subscriptions/{subscription}/locations/{}", self.name),
            "name": self.name,
            "type": "Region",
            "displayName": self.display,
            "regionalDisplayName": format!("({}) {}", self.group, self.display),
            "metadata": {
                "regionType": "Physical",
                "regionCategory": "Recommended",
                "geographyGroup": self.group,
                "physicalLocation": self.physical,
                "pairedRegion": [],
            },
        })
    }
}

const fn location(name: &'static str, display: &'static str, group: &'static str, physical: &'static str) -> Location {
    Location { name, display, group, physical }
}

/// The regions that the embedded Azure has.
pub(crate) static LOCATIONS: &[Location] = &[
    location("eastus", "East US", "US", "Virginia"),
    location("eastus2", "East US 2", "US", "Virginia"),
    location("centralus", "Central US", "US", "Iowa"),
    location("northcentralus", "North Central US", "US", "Illinois"),
    location("southcentralus", "South Central US", "US", "Texas"),
    location("westcentralus", "West Central US", "US", "Wyoming"),
    location("westus", "West US", "US", "California"),
    location("westus2", "West US 2", "US", "Washington"),
    location("westus3", "West US 3", "US", "Phoenix"),
    location("canadacentral", "Canada Central", "Canada", "Toronto"),
    location("canadaeast", "Canada East", "Canada", "Quebec"),
    location("mexicocentral", "Mexico Central", "Mexico", "Querétaro State"),
    location("brazilsouth", "Brazil South", "South America", "Sao Paulo State"),
    location("northeurope", "North Europe", "Europe", "Ireland"),
    location("westeurope", "West Europe", "Europe", "Netherlands"),
    location("francecentral", "France Central", "Europe", "Paris"),
    location("germanywestcentral", "Germany West Central", "Europe", "Frankfurt"),
    location("italynorth", "Italy North", "Europe", "Milan"),
    location("norwayeast", "Norway East", "Europe", "Norway"),
    location("polandcentral", "Poland Central", "Europe", "Warsaw"),
    location("spaincentral", "Spain Central", "Europe", "Madrid"),
    location("swedencentral", "Sweden Central", "Europe", "Gävle"),
    location("switzerlandnorth", "Switzerland North", "Europe", "Zurich"),
    location("uksouth", "UK South", "Europe", "London"),
    location("ukwest", "UK West", "Europe", "Cardiff"),
    location("israelcentral", "Israel Central", "Middle East", "Israel"),
    location("qatarcentral", "Qatar Central", "Middle East", "Doha"),
    location("uaenorth", "UAE North", "Middle East", "Dubai"),
    location("southafricanorth", "South Africa North", "Africa", "Johannesburg"),
    location("centralindia", "Central India", "Asia Pacific", "Pune"),
    location("southindia", "South India", "Asia Pacific", "Chennai"),
    location("eastasia", "East Asia", "Asia Pacific", "Hong Kong"),
    location("southeastasia", "Southeast Asia", "Asia Pacific", "Singapore"),
    location("japaneast", "Japan East", "Asia Pacific", "Tokyo, Saitama"),
    location("japanwest", "Japan West", "Asia Pacific", "Osaka"),
    location("koreacentral", "Korea Central", "Asia Pacific", "Seoul"),
    location("australiaeast", "Australia East", "Asia Pacific", "New South Wales"),
    location("australiasoutheast", "Australia Southeast", "Asia Pacific", "Victoria"),
    location("newzealandnorth", "New Zealand North", "Asia Pacific", "Auckland"),
];

/// Finds a region by name or display name: `West Europe` and `westeurope` are the same.
pub(crate) fn find(name: &str) -> Option<&'static Location> {
    let plain: String = name.chars().filter(|c| *c != ' ').collect();
    LOCATIONS.iter().find(|l| l.name.eq_ignore_ascii_case(&plain))
}

/// The region that a resource's body names, else `LocationRequired` or `LocationNotAvailableForResourceType`.
pub(crate) fn require(given: &Value, kind: &str) -> Result<&'static Location, Refusal> {
    let Some(name) = given.as_str().filter(|n| !n.is_empty()) else {
        return Err(Refusal::new(400, "LocationRequired", "The location property is required for this definition."));
    };
    find(name).ok_or_else(|| {
        let known: Vec<&str> = LOCATIONS.iter().map(|l| l.name).collect();
        let (code, what) = if kind.eq_ignore_ascii_case("Microsoft.Resources/resourceGroups") {
            ("LocationNotAvailableForResourceGroup", "resource group".to_owned())
        } else {
            ("LocationNotAvailableForResourceType", format!("resource type '{kind}'"))
        };
        Refusal::new(
            400,
            code,
            format!(
                "The provided location '{name}' is not available for {what}. List of available regions is '{}'.",
                known.join(",")
            ),
        )
    })
}
