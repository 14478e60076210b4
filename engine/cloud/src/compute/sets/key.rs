//! Which keys a disk encryption set may name.

use serde_json::{Value, json};

use crate::arm::kind::Draft;
use crate::compute::body;
use crate::cx::Cx;
use crate::keyvault::cmk::{self, CmkError};
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::rules::Rule;

/// A key with its version, as `keyUrl` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyUrl {
    /// Vault or managed HSM, `https://…`.
    pub vault_uri: String,
    /// Name.
    pub name: String,
    /// Version; empty when the URL names none.
    pub version: String,
}

impl KeyUrl {
    /// Parses `https://{vault}/keys/{name}[/{version}]`; None for anything else.
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.trim().split_at_checked(8)?;
        let segments: Vec<&str> = rest.trim_end_matches('/').split('/').collect();
        let (host, keys, name, version) = match segments[..] {
            [host, keys, name, version] => (host, keys, name, version),
            [host, keys, name] => (host, keys, name, ""),
            _ => return None,
        };
        let named = !host.is_empty() && !name.is_empty();
        (scheme.eq_ignore_ascii_case("https://") && keys.eq_ignore_ascii_case("keys") && named).then(|| Self {
            vault_uri: format!("https://{}", host.to_ascii_lowercase()),
            name: name.to_owned(),
            version: version.to_owned(),
        })
    }
}

/// Checks the `activeKey` that a body names and returns it as the set shows it.
///
/// # Errors
/// `InvalidParameter` for a URL without version, a vault in another region, a `sourceVault` that is another vault or
/// lies in another subscription; `KeyVaultNotFound`.
pub(super) fn check(cx: &mut Cx<'_>, draft: &Draft<'_>, given: &Value) -> Result<Value, Refusal> {
    let url = given["keyUrl"].as_str().unwrap_or_default();
    let versioned = |key: &KeyUrl| !key.version.is_empty() || !Rule::DiskSetsNameAKeyVersion.holds();
    let key = KeyUrl::parse(url).filter(versioned).ok_or_else(|| {
        body::invalid_because(
            "activeKey.keyUrl",
            "the URL of a key with its version is needed, https://{vault}/keys/{name}/{version}.",
        )
    })?;
    let vault = cmk::vault_policy(cx, &key.vault_uri).map_err(|error| match error {
        CmkError::Internal(refusal) => refusal,
        _ => Refusal::new(400, "KeyVaultNotFound", format!("The key vault '{}' was not found.", key.vault_uri)),
    })?;
    if Rule::DiskSetsAreInTheRegionOfTheirVault.holds() && !vault.location.eq_ignore_ascii_case(draft.location()) {
        return Err(body::invalid_because(
            "activeKey.keyUrl",
            &format!(
                "the key vault is in '{}' and the disk encryption set in '{}'; both must be in one region.",
                vault.location,
                draft.location()
            ),
        ));
    }
    if !vault.tenant.eq_ignore_ascii_case(&cx.tenant) {
        return Err(body::invalid_because("activeKey.keyUrl", "the key vault belongs to another tenant.")
            .gap("disk encryption sets with a key of another tenant"));
    }
    let mut shown = json!({ "keyUrl": url.trim() });
    if let Some(source) = given["sourceVault"]["id"].as_str() {
        check_source(&draft.id, source, &vault.id)?;
        shown["sourceVault"] = json!({ "id": source });
    }
    if Rule::DiskSetsOnlyWarnOfPurges.holds() && !vault.purge_protection {
        // Azure no longer refuses it, but whoever purges the key loses the disks.
        tracing::warn!(vault = vault.id, set = %draft.id, "the key of a disk encryption set can be purged");
    }
    Ok(shown)
}

fn check_source(set: &ResourceId, source: &str, vault: &str) -> Result<(), Refusal> {
    let subscription = |id: Option<&ResourceId>| id.and_then(ResourceId::subscription).map(str::to_ascii_lowercase);
    let named = ResourceId::parse(source);
    if !source.trim_end_matches('/').eq_ignore_ascii_case(vault) {
        return Err(body::invalid_because("activeKey.sourceVault.id", "the key is in another vault."));
    }
    if subscription(named.as_ref()) != subscription(Some(set)) {
        return Err(body::invalid_because(
            "activeKey.sourceVault.id",
            "it can't be set when the key vault is in another subscription than the disk encryption set.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::KeyUrl;

    #[test]
    fn a_url_names_a_key_and_mostly_its_version() {
        for (url, expected) in [
            ("https://Lab.vault.azure.net/keys/cmk/0123", Some(("https://lab.vault.azure.net", "cmk", "0123"))),
            (
                "HTTPS://lab.managedhsm.azure.net/keys/cmk/0123/",
                Some(("https://lab.managedhsm.azure.net", "cmk", "0123")),
            ),
            ("https://lab.vault.azure.net/keys/cmk", Some(("https://lab.vault.azure.net", "cmk", ""))),
            ("https://lab.vault.azure.net/keys/cmk/", Some(("https://lab.vault.azure.net", "cmk", ""))),
            ("https://lab.vault.azure.net/keys", None),
            ("https://lab.vault.azure.net/secrets/cmk/0123", None),
            ("https://lab.vault.azure.net/keys/cmk/0123/x", None),
            ("http://lab.vault.azure.net/keys/cmk/0123", None),
            ("https:///keys/cmk/0123", None),
            ("", None),
            ("häuser", None),
        ] {
            let parsed = KeyUrl::parse(url);
            let shown = parsed.as_ref().map(|key| (&key.vault_uri[..], &key.name[..], &key.version[..]));
            assert_eq!(shown, expected, "{url}");
        }
    }
}
