//! The api-versions, all of them.

use super::id;
use crate::error::{AzureError, Kind};

/// Version by resource type; the longest type that fits wins, so a namespace stands for all its types.
///
/// Stable versions that the official clients of the same time use (Azure CLI 2.91, the 2025–26 management SDKs).
pub const VERSIONS: &[(&str, &str)] = &[
    ("Microsoft.Attestation", "2021-06-01"),
    ("Microsoft.Authorization", "2022-04-01"),
    ("Microsoft.CognitiveServices", "2025-09-01"),
    ("Microsoft.Compute/diskAccesses", "2025-01-02"),
    ("Microsoft.Compute/diskEncryptionSets", "2025-01-02"),
    ("Microsoft.Compute/disks", "2025-01-02"),
    ("Microsoft.Compute/locations", "2024-11-01"),
    ("Microsoft.Compute/skus", "2021-07-01"),
    ("Microsoft.Compute/snapshots", "2025-01-02"),
    ("Microsoft.Compute/virtualMachines", "2024-11-01"),
    ("Microsoft.ContainerService", "2026-06-01"),
    ("Microsoft.Insights/diagnosticSettings", "2021-05-01-preview"),
    ("Microsoft.Insights/diagnosticSettingsCategories", "2021-05-01-preview"),
    ("Microsoft.KeyVault", "2026-02-01"),
    ("Microsoft.ManagedIdentity", "2024-11-30"),
    ("Microsoft.Network", "2022-01-01"),
    ("Microsoft.OperationalInsights", "2025-02-01"),
    ("Microsoft.Resources/deployments", "2024-11-01"),
    ("Microsoft.Resources/providers", "2024-11-01"),
    ("Microsoft.Resources/resourceGroups", "2024-11-01"),
    ("Microsoft.Resources/resources", "2024-11-01"),
    ("Microsoft.Resources/subscriptions", "2022-12-01"),
    ("Microsoft.Resources/tenants", "2022-12-01"),
    ("Microsoft.Storage", "2025-08-01"),
];

/// Returns the api-version to ask for `id` with: the caller's, else the table's. Checks the id, too.
///
/// # Errors
/// `InvalidResourceId`, `InvalidApiVersion`, or `ApiVersionUnknown` for a type that is not in the table.
pub fn version(id: &str, named: Option<&str>) -> Result<String, AzureError> {
    id::check(id)?;
    if let Some(named) = named {
        if !is_version(named) {
            let message = format!("{named:?} is not an api-version: those look like 2024-11-01 or 2025-05-31-preview");
            return Err(AzureError::new(Kind::BadRequest, "InvalidApiVersion", message));
        }
        return Ok(named.to_owned());
    }
    let name = id::type_of(id);
    let fits = |entry: &&(&str, &str)| {
        let (prefix, rest) = (entry.0, name.as_bytes().get(..entry.0.len()));
        rest.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
            && matches!(name.as_bytes().get(prefix.len()), None | Some(b'/'))
    };
    let longest = VERSIONS.iter().filter(fits).max_by_key(|entry| entry.0.len());
    longest.map(|entry| entry.1.to_owned()).ok_or_else(|| {
        let message = format!("no api-version is known for {name}: name one next to the id");
        AzureError::new(Kind::BadRequest, "ApiVersionUnknown", message)
    })
}

fn is_version(text: &str) -> bool {
    let date = text.strip_suffix("-preview").unwrap_or(text);
    date.len() == 10
        && date.bytes().enumerate().all(|(i, byte)| if i == 4 || i == 7 { byte == b'-' } else { byte.is_ascii_digit() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_type_wins_and_the_caller_wins_over_it() {
        let group = "/subscriptions/s/resourceGroups/g";
        let rows = [
            ("/subscriptions", None, Ok("2022-12-01")),
            ("/subscriptions/s/locations", None, Ok("2022-12-01")),
            (group, None, Ok("2024-11-01")),
            ("/subscriptions/s/providers/Microsoft.Compute/skus", None, Ok("2021-07-01")),
            ("/subscriptions/s/resourcegroups/g/providers/microsoft.keyvault/vaults/v", None, Ok("2026-02-01")),
            ("/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/images/i", None, Err("ApiVersionUnknown")),
            ("/subscriptions/s/resourceGroups/g/providers/Microsoft.Keys/k/v", None, Err("ApiVersionUnknown")),
            (group, Some("2025-05-31-preview"), Ok("2025-05-31-preview")),
            (group, Some("2024-11-01&x=y"), Err("InvalidApiVersion")),
            (group, Some("latest"), Err("InvalidApiVersion")),
            ("/subscriptions/../x", Some("2024-11-01"), Err("InvalidResourceId")),
        ];
        for (id, named, expected) in rows {
            let found = version(id, named);
            match expected {
                Ok(version) => assert_eq!(found.unwrap(), version, "{id}"),
                Err(code) => assert_eq!(found.unwrap_err().code, code, "{id}"),
            }
        }
    }

    #[test]
    fn the_table_is_sorted_and_well_formed() {
        assert!(VERSIONS.is_sorted_by(|a, b| a.0 < b.0));
        assert!(VERSIONS.iter().all(|(_, version)| is_version(version)));
    }
}
