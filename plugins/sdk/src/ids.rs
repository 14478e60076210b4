//! Names of things in Azure, as types of their own: validated once, at the door.
//!
//! None of them admits `..`, `%`, `?`, `#`, `\`, white space or empty segments, so that a scope check by segments
//! sees what Azure will see.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is not an identifier of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidId {
    text: String,
    wanted: &'static str,
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not {}", self.text, self.wanted)
    }
}

impl std::error::Error for InvalidId {}

/// Whether every segment of a path is safe to be compared and joined.
fn clean(path: &str) -> bool {
    path.split('/').all(|s| {
        !s.is_empty()
            && s != "."
            && s != ".."
            && !s.contains(['%', '?', '#', '\\', ':', '@'])
            && !s.contains(char::is_whitespace)
    })
}

/// `https://{name}{suffix}/{rest}`, taken apart into name and rest.
fn host<'a>(text: &'a str, suffixes: &[&str]) -> Option<(&'a str, &'a str)> {
    let (host, rest) = text.strip_prefix("https://")?.split_once('/')?;
    let name = suffixes.iter().find_map(|s| host.strip_suffix(s))?;
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    plain.then_some((name, rest))
}

const KEY_STORES: &[&str] = &[".vault.azure.net", ".managedhsm.azure.net"];
const BLOBS: &[&str] = &[".blob.core.windows.net"];

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $wanted:literal, $pattern:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.into())) } else { Err(InvalidId { text: text.into(), wanted: $wanted }) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                Cow::<str>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

id! {
    /// A resource's id in Azure Resource Manager: `/subscriptions/{guid}/resourceGroups/{name}/providers/…`.
    ArmId, "a resource id (/subscriptions/…)", r"^/subscriptions/[^\s%?#]+[^/\s%?#]$",
    |t| t.strip_prefix('/').is_some_and(clean) && t.to_ascii_lowercase().starts_with("/subscriptions/")
}
id! {
    /// A key store's address, with the slash that Azure ends it with: `https://{name}.vault.azure.net/`.
    StoreUri, "a key store's address (https://name.vault.azure.net/)",
    r"^https://[a-z0-9-]+\.(vault|managedhsm)\.azure\.net/$",
    |t| host(t, KEY_STORES).is_some_and(|(_, rest)| rest.is_empty())
}
id! {
    /// A key in a key store: `https://{store}.vault.azure.net/keys/{name}`, or one version of it.
    KeyUri, "a key's address (https://name.vault.azure.net/keys/name)",
    r"^https://[a-z0-9-]+\.(vault|managedhsm)\.azure\.net/keys/[A-Za-z0-9-]+(/[a-z0-9]+)?$",
    |t| host(t, KEY_STORES).and_then(|(_, rest)| rest.strip_prefix("keys/")).is_some_and(|k| clean(k) && k.split('/').count() <= 2)
}
id! {
    /// A blob container: `https://{account}.blob.core.windows.net/{container}`.
    ContainerUri, "a container's address (https://account.blob.core.windows.net/container)",
    r"^https://[a-z0-9]+\.blob\.core\.windows\.net/[a-z0-9$-]+$",
    |t| host(t, BLOBS).is_some_and(|(_, rest)| clean(rest) && !rest.contains('/'))
}
id! {
    /// A blob: `https://{account}.blob.core.windows.net/{container}/{name}`.
    BlobUri, "a blob's address (https://account.blob.core.windows.net/container/name)",
    r"^https://[a-z0-9]+\.blob\.core\.windows\.net/[a-z0-9$-]+/[^\s%?#]+$",
    |t| host(t, BLOBS).is_some_and(|(_, rest)| clean(rest) && rest.contains('/'))
}

impl ArmId {
    /// The id of something beneath this one: `group.join("providers/Microsoft.KeyVault/vaults/v")`.
    ///
    /// # Errors
    /// When `path` holds what an id must not hold.
    pub fn join(&self, path: &str) -> Result<Self, InvalidId> {
        format!("{}/{path}", self.0).parse()
    }

    /// The last segment: the resource's own name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The subscription that holds it, as an id.
    #[must_use]
    pub fn subscription(&self) -> Self {
        Self(self.0.split('/').take(3).collect::<Vec<_>>().join("/"))
    }

    /// The resource group's name, where there is one.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        let mut segments = self.0.split('/').skip(3);
        segments.next().filter(|s| s.eq_ignore_ascii_case("resourceGroups"))?;
        segments.next()
    }
}

impl StoreUri {
    /// The address of the key `name` in this store.
    ///
    /// # Errors
    /// When `name` is no key's name.
    pub fn key(&self, name: &str) -> Result<KeyUri, InvalidId> {
        format!("{}keys/{name}", self.0).parse()
    }
}

impl KeyUri {
    /// The store's own name.
    #[must_use]
    pub fn store_name(&self) -> &str {
        host(&self.0, KEY_STORES).map_or("", |(name, _)| name)
    }

    /// The store's address, with its closing slash.
    #[must_use]
    pub fn store(&self) -> &str {
        self.0.find("/keys/").map_or(&self.0, |end| &self.0[..=end])
    }

    /// The key's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split('/').nth(4).unwrap_or_default()
    }

    /// The version, when the address names one.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.0.split('/').nth(5)
    }
}

impl ContainerUri {
    /// The address of the blob `name` in this container.
    ///
    /// # Errors
    /// When `name` holds what a blob's name must not hold here.
    pub fn blob(&self, name: &str) -> Result<BlobUri, InvalidId> {
        format!("{}/{name}", self.0).parse()
    }

    /// The storage account's name.
    #[must_use]
    pub fn account(&self) -> &str {
        host(&self.0, BLOBS).map_or("", |(name, _)| name)
    }

    /// The container's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl From<InvalidId> for crate::Problem {
    fn from(error: InvalidId) -> Self {
        Self::invalid_input("inputs", error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok<T: FromStr>(text: &str) -> bool {
        text.parse::<T>().is_ok()
    }

    #[test]
    fn ids_are_validated() {
        for (text, valid) in [
            ("/subscriptions/s/resourceGroups/g", true),
            ("/SUBSCRIPTIONS/s", true),
            ("/subscriptions/s/", false),
            ("subscriptions/s", false),
            ("/subscriptions/s/../t", false),
            ("/subscriptions/s//t", false),
            ("/subscriptions/s%2e", false),
            ("/subscriptions/s?x=1", false),
            ("/tenants/s", false),
        ] {
            assert_eq!(ok::<ArmId>(text), valid, "{text}");
        }
        for (text, valid) in [
            ("https://v.vault.azure.net/keys/k", true),
            ("https://v.managedhsm.azure.net/keys/k/0a1b", true),
            ("https://v.vault.azure.net/keys/k/0a1b/c", false),
            ("https://v.vault.azure.net/secrets/k", false),
            ("https://v.vault.azure.net.evil.example/keys/k", false),
            ("https://u@v.vault.azure.net/keys/k", false),
            ("http://v.vault.azure.net/keys/k", false),
        ] {
            assert_eq!(ok::<KeyUri>(text), valid, "{text}");
        }
        for (text, container, blob) in [
            ("https://a.blob.core.windows.net/c", true, false),
            ("https://a.blob.core.windows.net/c/n/m.txt", false, true),
            ("https://a.blob.core.windows.net/", false, false),
            ("https://a.blob.core.windows.net/c/../d", false, false),
        ] {
            assert_eq!((ok::<ContainerUri>(text), ok::<BlobUri>(text)), (container, blob), "{text}");
        }
    }

    #[test]
    fn ids_are_taken_apart() {
        let id: ArmId = "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v".parse().unwrap();
        assert_eq!((id.name(), id.group(), id.subscription().as_str()), ("v", Some("g"), "/subscriptions/s"));
        let key: KeyUri = "https://v.vault.azure.net/keys/k/0a1b".parse().unwrap();
        assert_eq!((key.store_name(), key.store()), ("v", "https://v.vault.azure.net/"));
        assert_eq!((key.name(), key.version()), ("k", Some("0a1b")));
    }
}
