//! The hosts that the embedded Azure answers for.

/// The instance metadata address, reached without TLS.
pub(super) const METADATA: &str = "169.254.169.254";

/// The virtual TPM of a machine; only the machine's own door knows it.
pub(super) const VTPM: &str = "vtpm.internal";

/// Where a machine's process says which ports it listens on; only the machine's own door knows it.
pub(super) const PORTS: &str = "ports.internal";

/// A family of host names.
struct Family {
    /// The name itself, or what follows the resource's own labels.
    domain: &'static str,
    /// How many labels may stand before the domain: 0 for a name that stands for itself.
    labels: std::ops::RangeInclusive<usize>,
}

const FAMILIES: &[Family] = &[
    Family { domain: "login.microsoftonline.com", labels: 0..=0 },
    Family { domain: "management.azure.com", labels: 0..=0 },
    Family { domain: "graph.microsoft.com", labels: 0..=0 },
    Family { domain: "vault.azure.net", labels: 1..=1 },
    Family { domain: "managedhsm.azure.net", labels: 1..=1 },
    Family { domain: "blob.core.windows.net", labels: 1..=1 },
    // Disks carry a zone label: md-b0pm20kcsc4n.z12.blob.storage.azure.net.
    Family { domain: "blob.storage.azure.net", labels: 2..=2 },
    Family { domain: "api.loganalytics.io", labels: 0..=0 },
    // Attestation providers carry a region label: sharedweu.weu.attest.azure.net.
    Family { domain: "attest.azure.net", labels: 1..=2 },
];

/// Whether a TLS host belongs to the embedded Azure. The name must be in lower case.
pub(super) fn known(host: &str) -> bool {
    FAMILIES.iter().any(|family| {
        let labels = match host.strip_suffix(family.domain) {
            Some("") => 0,
            Some(prefix) => match prefix.strip_suffix('.') {
                Some(own) if own.split('.').all(is_label) => own.split('.').count(),
                _ => return false,
            },
            None => return false,
        };
        family.labels.contains(&labels)
    })
}

/// The domains that the local certificate authority may vouch for.
pub(super) fn domains() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|family| family.domain)
}

/// A host name label (RFC 1123, section 2.1), in lower case.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::known;

    #[test]
    fn hosts() {
        for (host, expected) in [
            ("login.microsoftonline.com", true),
            ("management.azure.com", true),
            ("graph.microsoft.com", true),
            ("lab.vault.azure.net", true),
            ("lab.managedhsm.azure.net", true),
            ("cmklab1.blob.core.windows.net", true),
            ("md-b0pm20kcsc4n.z12.blob.storage.azure.net", true),
            ("a.blob.storage.azure.net", false),
            ("api.loganalytics.io", true),
            ("a.api.loganalytics.io", false),
            ("sharedweu.weu.attest.azure.net", true),
            ("vault.azure.net", false),
            ("a.b.vault.azure.net", false),
            ("a.login.microsoftonline.com", false),
            ("evil-management.azure.com", false),
            ("evilvault.azure.net", false),
            (".vault.azure.net", false),
            ("-a.vault.azure.net", false),
            ("a_b.vault.azure.net", false),
            ("example.com", false),
            ("169.254.169.254", false),
            ("", false),
        ] {
            assert_eq!(known(host), expected, "{host}");
        }
    }
}
