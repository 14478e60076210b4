//! Conditions on the use of a released key.

use std::collections::BTreeSet;
use std::fmt;

use super::{GrantError, shown};
use crate::id::Digest;

/// What has to be verified, in the run and in the confidential VM that hold a released key, before the key is used.
///
/// Release policies can't ask for it: an attestation provider judges the CPU and the firmware, not the GPU. It binds an
/// unmodified guest only, which is why the policy demands that one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// `gpu`: the machine's GPU.
    Gpu,
    /// `measurement=…`: the machine's launch measurement, 48 bytes in lower-case hex.
    Measurement(String),
    /// `policy=…`: the SHA-256 of the release policy under which the key was released, of its text as the key store
    /// keeps it.
    Policy(Digest),
}

impl Condition {
    /// Reads conditions that stand beside each other: all of them have to be met.
    pub(super) fn parse_all(text: &str) -> Result<BTreeSet<Self>, GrantError> {
        let all =
            text.split(' ').filter(|word| !word.is_empty()).map(Self::parse).collect::<Result<BTreeSet<_>, _>>()?;
        if all.is_empty() {
            return Err(GrantError::new("a gate has at least one condition").fix("write gate='gpu'"));
        }
        Ok(all)
    }

    fn parse(word: &str) -> Result<Self, GrantError> {
        let hex = |text: &str, bytes: usize| {
            text.len() == 2 * bytes && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        match word.split_once('=') {
            None if word == "gpu" => Ok(Self::Gpu),
            Some(("measurement", value)) if hex(value, 48) => Ok(Self::Measurement(value.to_owned())),
            Some(("policy", value)) if hex(value, 32) => {
                let digest = format!("sha256:{value}").parse().map_err(|_| GrantError::new("that is no digest"))?;
                Ok(Self::Policy(digest))
            }
            Some(("measurement", _)) => {
                Err(GrantError::new("a measurement is 96 hex digits, in lower case").fix("write measurement=0a1b…"))
            }
            Some(("policy", _)) => {
                Err(GrantError::new("a policy's digest is 64 hex digits, in lower case").fix("write policy=0a1b…"))
            }
            _ => Err(GrantError::new(format!("there is no condition `{}`", shown(word)))
                .fix("the conditions are gpu, measurement=… and policy=…")),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gpu => f.write_str("gpu"),
            Self::Measurement(value) => write!(f, "measurement={value}"),
            Self::Policy(digest) => write!(f, "policy={}", digest.hex()),
        }
    }
}
