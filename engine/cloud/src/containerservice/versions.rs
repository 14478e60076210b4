//! Kubernetes versions.
//!
//! Source: <https://learn.microsoft.com/azure/aks/supported-kubernetes-versions>.

use serde_json::{Value, json};

use super::CLUSTERS;
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::resources::locations;

/// A minor version with its patches, newest first.
struct Minor {
    name: &'static str,
    patches: &'static [&'static str],
}

/// The supported versions, newest first.
static VERSIONS: &[Minor] = &[
    Minor { name: "1.35", patches: &["1.35.1", "1.35.0"] },
    Minor { name: "1.34", patches: &["1.34.4", "1.34.3", "1.34.2"] },
    Minor { name: "1.33", patches: &["1.33.8", "1.33.7", "1.33.6"] },
];

/// The one that a cluster gets when it asks for none.
const DEFAULT: &str = "1.34";

/// A version as it is asked for, and the patch that this means now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    /// `kubernetesVersion`.
    pub asked: String,
    /// `currentKubernetesVersion`.
    pub current: &'static str,
}

/// Resolves a version: none, a minor version or a patch.
pub(super) fn resolve(asked: Option<&str>) -> Result<Version, Refusal> {
    let asked = asked.filter(|asked| !asked.is_empty()).unwrap_or(DEFAULT);
    for minor in VERSIONS {
        let patch = minor.patches.iter().find(|patch| **patch == asked);
        let newest = minor.patches.first().filter(|_| minor.name == asked);
        if let Some(current) = patch.or(newest) {
            return Ok(Version { asked: asked.to_owned(), current });
        }
    }
    Err(Refusal::new(
        400,
        "K8sVersionNotSupported",
        format!(
            "Managed cluster version {asked} is not supported in this region. Please use [az aks get-versions] command \
             to get the supported version list in this region."
        ),
    ))
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').filter_map(|part| part.parse().ok()).collect()
}

/// Refuses to go back, and to leave out a minor version.
pub(super) fn check_upgrade(from: &str, to: &str) -> Result<(), Refusal> {
    let (old, new) = (numbers(from), numbers(to));
    let minor = |version: &[u32]| version.get(1).copied().unwrap_or_default();
    if new >= old && minor(&new) <= minor(&old) + 1 {
        return Ok(());
    }
    Err(Refusal::new(
        400,
        "OperationNotAllowed",
        format!(
            "Upgrading Kubernetes version {from} to {to} is not allowed. A cluster moves forward, one minor version at \
             a time."
        ),
    ))
}

/// `ManagedClusters_ListKubernetesVersions`.
pub(super) fn list(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let _ = cx;
    locations::require(&params.get("location").into(), CLUSTERS)?;
    let all: Vec<&str> = VERSIONS.iter().flat_map(|minor| minor.patches.iter().copied()).collect();
    let values: Vec<Value> = VERSIONS
        .iter()
        .map(|minor| {
            let mut patches = json!({});
            for patch in minor.patches {
                let upgrades: Vec<&&str> =
                    all.iter().filter(|to| *to != patch && check_upgrade(patch, to).is_ok()).collect();
                patches[*patch] = json!({ "upgrades": upgrades });
            }
            json!({
                "version": minor.name,
                "capabilities": { "supportPlan": ["KubernetesOfficial"] },
                "isDefault": minor.name == DEFAULT,
                "isPreview": false,
                "patchVersions": patches,
            })
        })
        .collect();
    Ok(Answer::ok(&json!({ "values": values })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let table = [
            (None, Some("1.34.4")),
            (Some(""), Some("1.34.4")),
            (Some("1.33"), Some("1.33.8")),
            (Some("1.33.7"), Some("1.33.7")),
            (Some("1.33.1"), None),
            (Some("1.3"), None),
            (Some("2"), None),
        ];
        for (asked, expected) in table {
            assert_eq!(resolve(asked).ok().map(|version| version.current), expected, "{asked:?}");
        }
    }

    #[test]
    fn upgrades() {
        let table = [
            ("1.33.7", "1.33.8", true),
            ("1.33.7", "1.33.7", true),
            ("1.33.8", "1.34.2", true),
            ("1.33.8", "1.35.0", false),
            ("1.34.2", "1.33.8", false),
            ("1.34.4", "1.34.3", false),
        ];
        for (from, to, expected) in table {
            assert_eq!(check_upgrade(from, to).is_ok(), expected, "{from} to {to}");
        }
    }
}
