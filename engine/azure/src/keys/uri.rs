//! Key URIs, taken apart and checked.

use crate::error::{AzureError, Kind};

/// Hosts of vaults and Managed HSMs. Tokens for keys go nowhere else.
const DOMAINS: [&str; 2] = [".vault.azure.net", ".managedhsm.azure.net"];

/// A key in a vault.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KeyUri {
    pub host: String,
    pub name: String,
    pub version: Option<String>,
}

impl KeyUri {
    /// Parses `https://{vault}.vault.azure.net/keys/{name}[/{version}]`. A trailing slash is fine: Azure's own URIs of
    /// versionless keys have one at times.
    pub fn parse(uri: &str) -> Result<Self, AzureError> {
        let refused = |why: &str| {
            let message = format!("{uri:?} is not the URI of a key (https://VAULT.vault.azure.net/keys/NAME): {why}");
            AzureError::new(Kind::BadRequest, "InvalidKeyUri", message)
        };
        let rest = uri.strip_prefix("https://").ok_or_else(|| refused("it must start with https://"))?;
        let (host, path) = rest.split_once('/').ok_or_else(|| refused("it names no key"))?;
        let host = host.to_ascii_lowercase();
        let vault = DOMAINS.iter().find_map(|domain| host.strip_suffix(domain));
        let Some(vault) = vault else {
            return Err(refused("its host is no vault and no managed HSM"));
        };
        if !is_name(vault, 24) {
            return Err(refused("the vault's name has characters that vault names do not have"));
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        let (name, version) = match path.split('/').collect::<Vec<_>>()[..] {
            ["keys", name] => (name, None),
            ["keys", name, version] => (name, Some(version)),
            _ => return Err(refused("its path is not /keys/NAME or /keys/NAME/VERSION")),
        };
        if !is_name(name, 127) || version.is_some_and(|version| !is_name(version, 64)) {
            return Err(refused("names of keys have letters, digits and hyphens only"));
        }
        Ok(Self { host, name: name.to_owned(), version: version.map(str::to_owned) })
    }

    /// Refuses the URI of a version where only the whole key makes sense.
    pub fn without_version(self) -> Result<Self, AzureError> {
        if self.version.is_none() {
            return Ok(self);
        }
        let message =
            format!("this concerns the whole key: name https://{}/keys/{} without a version", self.host, self.name);
        Err(AzureError::new(Kind::BadRequest, "InvalidKeyUri", message))
    }

    /// Returns the version as paths want it: empty means the current one.
    pub fn version_or_current(&self) -> &str {
        self.version.as_deref().unwrap_or_default()
    }
}

fn is_name(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_of_vaults_pass() {
        let fine = [
            ("https://v.vault.azure.net/keys/cmk", "v.vault.azure.net", "cmk", None),
            ("https://V-1.Vault.Azure.Net/keys/CMK-1/", "v-1.vault.azure.net", "CMK-1", None),
            ("https://h.managedhsm.azure.net/keys/k/0a1b", "h.managedhsm.azure.net", "k", Some("0a1b")),
        ];
        for (uri, host, name, version) in fine {
            let expected = KeyUri { host: host.into(), name: name.into(), version: version.map(Into::into) };
            assert_eq!(KeyUri::parse(uri).unwrap(), expected, "{uri}");
        }
        let refused = [
            "http://v.vault.azure.net/keys/k",
            "https://v.vault.azure.net",
            "https://v.vault.azure.net/",
            "https://v.vault.azure.net/secrets/s",
            "https://v.vault.azure.net/keys",
            "https://v.vault.azure.net/keys//",
            "https://v.vault.azure.net/keys/k/v/x",
            "https://v.vault.azure.net/keys/k?api-version=7.4",
            "https://v.vault.azure.net/keys/k#x",
            "https://v.vault.azure.net/keys/../secrets",
            "https://v.vault.azure.net/keys/%2e%2e",
            "https://v.vault.azure.net:8443/keys/k",
            "https://user@v.vault.azure.net/keys/k",
            "https://v.vault.azure.net.evil.example/keys/k",
            "https://evil.example/v.vault.azure.net/keys/k",
            "https://a.b.vault.azure.net/keys/k",
            "https://.vault.azure.net/keys/k",
            "https://vault.azure.net/keys/k",
            "https://v.vault.azure.net\\@evil.example/keys/k",
        ];
        for uri in refused {
            let error = KeyUri::parse(uri).unwrap_err();
            assert_eq!((error.kind, error.code.as_str()), (Kind::BadRequest, "InvalidKeyUri"), "{uri}");
        }
    }

    #[test]
    fn whole_keys_have_no_version() {
        assert!(KeyUri::parse("https://v.vault.azure.net/keys/k").unwrap().without_version().is_ok());
        assert!(KeyUri::parse("https://v.vault.azure.net/keys/k/1").unwrap().without_version().is_err());
    }
}
