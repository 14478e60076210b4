//! Addresses that plugins give, read strictly: what the gate judged is byte for byte what is sent.

use crate::step::{Failure, StepError};

/// A resource id: `/segment/…`, without anything that a server might read in another way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ArmId(String);

impl ArmId {
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let path = text.strip_suffix('/').unwrap_or(text);
        let ok = path.len() <= 2048
            && path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_segment))
            && path.len() > 1;
        if ok { Ok(Self(path.into())) } else { Err(invalid("id", "a resource id", text)) }
    }

    /// A collection, which may end in `?$filter=<OData>`; the filter is returned as it was written.
    pub(crate) fn parse_collection(text: &str) -> Result<(Self, Option<String>), Failure> {
        let Some((path, query)) = text.split_once('?') else { return Ok((Self::parse(text)?, None)) };
        let filter = query
            .strip_prefix("$filter=")
            .filter(|f| !f.is_empty() && !f.contains(['&', '#', '%', '+']) && !f.contains(char::is_control));
        match filter {
            Some(filter) => Ok((Self::parse(path)?, Some(filter.into()))),
            None => Err(invalid("id", "a collection's id, with nothing behind it but `?$filter=…`", text)),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the resource can carry tags. Azure knows tracked resources, which have a region and tags, and proxies,
    /// which have neither: children of tracked ones and extensions of others. There is no list of them in the
    /// protocol; tracked are groups and top-level resources outside the namespaces that extend others.
    pub(crate) fn is_tracked(&self) -> bool {
        let segments: Vec<_> = self.0.split('/').skip(1).collect();
        let provider = segments.iter().rposition(|s| s.eq_ignore_ascii_case("providers"));
        match provider {
            None => segments.len() == 4 && segments[2].eq_ignore_ascii_case("resourcegroups"),
            Some(at) => {
                const EXTENSIONS: [&str; 3] = ["Microsoft.Authorization", "Microsoft.Insights", "Microsoft.Resources"];
                let rest = &segments[at + 1..];
                at == 4 && rest.len() == 3 && !EXTENSIONS.iter().any(|n| n.eq_ignore_ascii_case(rest[0]))
            }
        }
    }

    /// The tracked resource that this one is a part of. Locks, settings and the like are extensions, which anybody may
    /// attach: they are part of nothing.
    pub(crate) fn whole(&self) -> Option<Self> {
        let mut path = self.0.as_str();
        while let Some((above, _)) = path.rsplit_once('/') {
            let id = Self(above.to_owned());
            if id.is_tracked() {
                let part = &self.0[above.len()..];
                return (!part.to_ascii_lowercase().contains("/providers/")).then_some(id);
            }
            path = above;
        }
        None
    }

    /// Splits `<scope>/providers/Microsoft.Authorization/roleAssignments/<name>`.
    pub(crate) fn role_assignment(&self) -> Option<(&str, &str)> {
        const INFIX: &str = "/providers/microsoft.authorization/roleassignments/";
        let at = self.0.to_ascii_lowercase().rfind(INFIX)?;
        let name = &self.0[at + INFIX.len()..];
        (at > 0 && !name.contains('/')).then_some((&self.0[..at], name))
    }
}

fn is_segment(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..")
        && segment
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'(' | b')' | b'~' | b' ' | b'@'))
        && segment.trim() == segment
}

/// A key's URI: `https://{vault}.vault.azure.net/keys/{name}[/{version}]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyUri {
    text: String,
    versioned: bool,
}

impl KeyUri {
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let bad = || invalid("uri", "a key's URI (https://<vault>.vault.azure.net/keys/<name>[/<version>])", text);
        let rest = text.strip_prefix("https://").ok_or_else(bad)?;
        let (host, path) = rest.split_once('/').ok_or_else(bad)?;
        let vault = host.strip_suffix(".vault.azure.net").or_else(|| host.strip_suffix(".managedhsm.azure.net"));
        let word =
            |w: &str, max| (1..=max).contains(&w.len()) && w.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let segments: Vec<_> = path.strip_suffix('/').unwrap_or(path).split('/').collect();
        let named = matches!(segments[..], ["keys", name] | ["keys", name, _] if word(name, 127));
        let versioned = match segments[..] {
            [_, _, version] if word(version, 64) => true,
            [_, _] => false,
            _ => return Err(bad()),
        };
        if !named || !vault.is_some_and(|v| word(v, 64)) {
            return Err(bad());
        }
        let text = format!("https://{}/{}", host.to_ascii_lowercase(), segments.join("/"));
        Ok(Self { text, versioned })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The key without its version.
    pub(crate) fn unversioned(&self) -> &str {
        if self.versioned { self.text.rsplit_once('/').map_or(&*self.text, |(key, _)| key) } else { &self.text }
    }

    /// Whether a version is named.
    pub(crate) fn is_versioned(&self) -> bool {
        self.versioned
    }
}

/// A managed HSM: `https://{name}.managedhsm.azure.net/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HsmUri(String);

impl HsmUri {
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let name = text.strip_prefix("https://").and_then(|rest| rest.strip_suffix(".managedhsm.azure.net/"));
        let plain =
            |name: &str| (3..=24).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        match name {
            Some(name) if plain(name) => Ok(Self(text.to_ascii_lowercase())),
            _ => Err(invalid("uri", "a managed HSM's URI (https://<name>.managedhsm.azure.net/)", text)),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A scope of local roles: `/`, `/keys` or `/keys/{name}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalScope(String);

impl LocalScope {
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let key = |name: &str| {
            (1..=127).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        let ok = matches!(text, "/" | "/keys") || text.strip_prefix("/keys/").is_some_and(key);
        if ok {
            Ok(Self(text.into()))
        } else {
            Err(invalid("scope", "a scope in a managed HSM (/, /keys, /keys/<name>)", text))
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// As the gate judges it: below the managed HSM's URI.
    pub(crate) fn within(&self, hsm: &HsmUri) -> String {
        format!("{}{}", hsm.as_str(), self.0.trim_start_matches('/'))
    }
}

/// A container's or blob's URI: `https://{account}.blob.core.windows.net/{container}[/{name}]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlobUri {
    text: String,
    blob: bool,
}

impl BlobUri {
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let bad = || invalid("uri", "a blob's URI (https://<account>.blob.core.windows.net/<container>/<name>)", text);
        let rest = text.strip_prefix("https://").ok_or_else(bad)?;
        let (host, path) = rest.split_once('/').ok_or_else(bad)?;
        let account = host.strip_suffix(".blob.core.windows.net").ok_or_else(bad)?;
        let lower = |w: &str| w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let (container, name) = match path.split_once('/') {
            Some((container, name)) => (container, Some(name)),
            None => (path, None),
        };
        let container_ok = (1..=63).contains(&container.len())
            && container
                .strip_prefix('$')
                .unwrap_or(container)
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !container.is_empty();
        let name_ok = name.is_none_or(|n| {
            (1..=1024).contains(&n.len())
                && n.split('/').all(|s| !matches!(s, "" | "." | "..") && !s.ends_with('.'))
                && n.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~!()*'@ =,;+/".contains(&b))
        });
        let account_ok = (3..=24).contains(&account.len()) && lower(account);
        if !(account_ok && container_ok && name_ok) {
            return Err(bad());
        }
        Ok(Self { text: text.into(), blob: name.is_some() })
    }

    /// Demands a blob.
    pub(crate) fn parse_blob(text: &str) -> Result<Self, Failure> {
        let uri = Self::parse(text)?;
        if uri.blob { Ok(uri) } else { Err(invalid("uri", "a blob's URI (with a name behind the container)", text)) }
    }

    /// Demands a container.
    pub(crate) fn parse_container(text: &str) -> Result<Self, Failure> {
        let uri = Self::parse(text.strip_suffix('/').unwrap_or(text))?;
        if uri.blob { Err(invalid("uri", "a container's URI (without a blob's name)", text)) } else { Ok(uri) }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

fn invalid(field: &str, what: &str, given: &str) -> Failure {
    let given = super::text::one_line(given, 160);
    StepError::InvalidInput { field: field.into(), message: format!("`{given}` is not {what}") }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resource_ids() {
        const S: &str = "/subscriptions/00000000-0000-0000-0000-000000000001";
        for (id, tracked) in [
            (format!("{S}/resourceGroups/rg"), true),
            (format!("{S}/resourcegroups/RG-1_(x).y"), true),
            (format!("{S}/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/v"), true),
            (
                format!("{S}/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/a/blobServices/default"),
                false,
            ),
            (format!("{S}/resourceGroups/rg/providers/Microsoft.Authorization/locks/l"), false),
            (
                format!(
                    "{S}/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/v/providers/Microsoft.Authorization/roleAssignments/x"
                ),
                false,
            ),
            (format!("{S}/providers/Microsoft.KeyVault"), false),
            (S.to_owned(), false),
        ] {
            assert_eq!(ArmId::parse(&id).unwrap().is_tracked(), tracked, "{id}");
        }
        for bad in [
            "",
            "/",
            "subscriptions/x",
            "//x",
            "/a//b",
            "/a/../b",
            "/a/./b",
            "/a/%2e%2e/b",
            "/a/b?api-version=1",
            "/a/b#c",
            "/a\\b",
            "/a/b\n",
            "https://x/y",
            "/a/ b",
            "/ä",
        ] {
            assert!(ArmId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn children_are_part_of_the_nearest_tracked_resource_and_extensions_of_nothing() {
        const A: &str = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/a";
        for (id, above) in [
            (format!("{A}/blobServices/default/containers/c"), Some(A)),
            (format!("{A}/providers/Microsoft.Authorization/locks/l"), None),
            (A.to_owned(), None),
            ("/subscriptions/s/providers/Microsoft.KeyVault/locations/l/deletedVaults/v".to_owned(), None),
        ] {
            assert_eq!(ArmId::parse(&id).unwrap().whole().as_ref().map(ArmId::as_str), above, "{id}");
        }
    }

    #[test]
    fn collections_may_have_a_filter_and_nothing_else() {
        let (id, filter) = ArmId::parse_collection("/a/skus?$filter=location eq 'italynorth'").unwrap();
        assert_eq!((id.as_str(), filter.as_deref()), ("/a/skus", Some("location eq 'italynorth'")));
        assert_eq!(ArmId::parse_collection("/a/skus").unwrap().1, None);
        for bad in [
            "/a?$filter=",
            "/a?api-version=2020-01-01",
            "/a?$filter=x&api-version=1",
            "/a?$filter=x%26y",
            "/a/../b?$filter=x",
        ] {
            assert!(ArmId::parse_collection(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn role_assignments_are_split_at_the_last_scope() {
        let id = ArmId::parse("/s/x/providers/Microsoft.Authorization/roleAssignments/guid").unwrap();
        assert_eq!(id.role_assignment(), Some(("/s/x", "guid")));
        for other in [
            "/s/x",
            "/s/x/providers/Microsoft.Authorization/roleAssignments",
            "/s/x/providers/Microsoft.Authorization/roleAssignments/a/b",
        ] {
            assert_eq!(ArmId::parse(other).unwrap().role_assignment(), None, "{other}");
        }
    }

    #[test]
    fn key_uris() {
        let key = KeyUri::parse("https://my-vault.vault.azure.net/keys/cmk/0123456789abcdef").unwrap();
        assert_eq!(key.unversioned(), "https://my-vault.vault.azure.net/keys/cmk");
        let plain = KeyUri::parse("https://MY-vault.vault.azure.net/keys/cmk/").unwrap();
        assert_eq!((plain.as_str(), plain.is_versioned()), ("https://my-vault.vault.azure.net/keys/cmk", false));
        for bad in [
            "http://v.vault.azure.net/keys/k",
            "https://v.vault.azure.net.evil.example/keys/k",
            "https://v.vault.azure.net:444/keys/k",
            "https://user@v.vault.azure.net/keys/k",
            "https://v.vault.azure.net/secrets/k",
            "https://v.vault.azure.net/keys/../secrets/k",
            "https://v.vault.azure.net/keys/k/v/release",
            "https://v.vault.azure.net/keys/k%2f",
            "https://v.vault.azure.net/keys/k?x=1",
            "https://.vault.azure.net/keys/k",
            "https://a.b.vault.azure.net/keys/k",
            "https://v.vault.azure.net/keys//k",
        ] {
            assert!(KeyUri::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn managed_hsms_and_their_scopes() {
        let hsm = HsmUri::parse("https://My-hsm.managedhsm.azure.net/").unwrap();
        for (scope, within) in [("/", ""), ("/keys", "keys"), ("/keys/k-1", "keys/k-1")] {
            let scope = LocalScope::parse(scope).unwrap();
            assert_eq!(scope.within(&hsm), format!("https://my-hsm.managedhsm.azure.net/{within}"));
        }
        for bad in ["", "keys", "/keys/", "/keys/a/b", "/secrets", "//", "/keys/.."] {
            assert!(LocalScope::parse(bad).is_err(), "{bad}");
        }
        for bad in [
            "https://my-hsm.managedhsm.azure.net",
            "https://my-hsm.managedhsm.azure.net/keys",
            "https://a.b.managedhsm.azure.net/",
            "https://my-hsm.vault.azure.net/",
            "http://my-hsm.managedhsm.azure.net/",
        ] {
            assert!(HsmUri::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn blob_uris() {
        for good in
            ["https://acct1.blob.core.windows.net/lab/note.txt", "https://acct1.blob.core.windows.net/lab/a/b c.txt"]
        {
            assert!(BlobUri::parse_blob(good).is_ok());
            assert!(BlobUri::parse_container(good).is_err());
        }
        assert!(BlobUri::parse_container("https://acct1.blob.core.windows.net/lab/").is_ok());
        for bad in [
            "https://acct1.blob.core.windows.net/lab/../other/x",
            "https://acct1.blob.core.windows.net/lab/%2e%2e/x",
            "https://acct1.blob.core.windows.net/lab//x",
            "https://acct1.blob.core.windows.net/lab/x?comp=metadata",
            "https://acct1.blob.core.windows.net/lab/x#y",
            "https://acct1.blob.core.windows.net.evil.example/lab/x",
            "https://acct1.blob.core.windows.net:8443/lab/x",
            "https://ACCT1.blob.core.windows.net/lab/x",
            "https://a@acct1.blob.core.windows.net/lab/x",
            "http://acct1.blob.core.windows.net/lab/x",
            "https://acct1.blob.core.windows.net",
            "https://acct1.blob.core.windows.net/lab\\x/y",
            "https://acct1.blob.core.windows.net/lab/x\u{202e}",
        ] {
            assert!(BlobUri::parse_blob(bad).is_err(), "{bad}");
        }
    }
}
