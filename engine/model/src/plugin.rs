//! Plugins as playbooks and policies see them: a name with a version, and what the component says of itself.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::InvalidId;

/// A plugin by name and version track, `storage-account@0.1`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PluginRef {
    name: String,
    version: String,
}

impl PluginRef {
    /// The name, lower case with hyphens.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version track, `major.minor`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }
}

impl FromStr for PluginRef {
    type Err = InvalidId;

    fn from_str(s: &str) -> Result<Self, InvalidId> {
        let bad = || InvalidId { text: s.into(), what: "a plugin (name@0.1)" };
        let (name, version) = s.split_once('@').ok_or_else(bad)?;
        let number = |n: &str| !n.is_empty() && n.len() <= 5 && n.bytes().all(|b| b.is_ascii_digit());
        let ok = is_kebab(name) && version.split_once('.').is_some_and(|(major, minor)| number(major) && number(minor));
        if ok { Ok(Self { name: name.into(), version: version.into() }) } else { Err(bad()) }
    }
}

/// Lower case with single hyphens, a letter first: names of plugins, parts and playbooks.
pub(crate) fn is_kebab(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && !name.contains("--")
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

impl fmt::Display for PluginRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

impl fmt::Debug for PluginRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for PluginRef {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PluginRef {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Ceilings per call; 0 leaves one to the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Limits {
    /// Linear memory and tables of the component together, in MiB.
    pub memory_mib: u32,
    /// Fuel, in millions of units.
    pub fuel_millions: u32,
    /// Calls into the host.
    pub host_calls: u32,
}

/// What a component's `describe` returned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// What the plugin does, in a line.
    pub summary: String,
    /// JSON Schema (draft 2020-12) of its inputs.
    pub inputs: Value,
    /// JSON Schema of its outputs.
    pub outputs: Value,
    /// Capabilities it asks for: grants as templates over `inputs`.
    pub asks: Vec<String>,
    /// Ceilings it asks for.
    #[serde(default)]
    pub limits: Limits,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_a_version_track() {
        for good in ["role@0.1", "storage-account@12.34", "a1@0.0"] {
            assert_eq!(good.parse::<PluginRef>().unwrap().to_string(), good);
        }
        for bad in [
            "role",
            "role@1",
            "role@",
            "@0.1",
            "Role@0.1",
            "a_b@0.1",
            "a--b@0.1",
            "a-@0.1",
            "role@0.1.2",
            "role@0.x",
            "role@0.123456",
        ] {
            assert!(bad.parse::<PluginRef>().is_err(), "{bad}");
        }
    }
}
