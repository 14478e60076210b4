//! Identifiers as types of their own.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// SHA-256 of some bytes, shown as `sha256:<64 hex digits>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Hashes `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sealbook_crypto::sha256(bytes))
    }

    /// A SHA-256 that was computed elsewhere.
    #[must_use]
    pub fn from_bytes(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// The hash itself.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 lower-case hex digits, for file names.
    #[must_use]
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an identifier of this kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}")]
pub struct InvalidId {
    /// What was given.
    pub text: String,
    /// What it should have been.
    pub what: &'static str,
}

impl FromStr for Digest {
    type Err = InvalidId;

    fn from_str(s: &str) -> Result<Self, InvalidId> {
        let bad = || InvalidId { text: s.into(), what: "a digest (sha256: and 64 hex digits)" };
        let mut out = [0; 32];
        hex::decode_to_slice(s.strip_prefix("sha256:").ok_or_else(bad)?, &mut out).map_err(|_| bad())?;
        Ok(Self(out))
    }
}

/// Short id of a run: six characters of `a-z2-7`, unique within a home.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(String);

impl RunId {
    /// Makes an id from random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 6]) -> Self {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        // The first character is a letter, so that names derived from the id may start with it.
        let pick = |(i, b): (usize, &u8)| char::from(ALPHABET[usize::from(if i == 0 { b % 26 } else { b % 32 })]);
        Self(bytes.iter().enumerate().map(pick).collect())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RunId {
    type Err = InvalidId;

    fn from_str(s: &str) -> Result<Self, InvalidId> {
        let ok = s.len() == 6 && s.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'));
        if ok { Ok(Self(s.into())) } else { Err(InvalidId { text: s.into(), what: "a run id (six of a-z2-7)" }) }
    }
}

/// A step's place in a run: its name, or `part_step/inner` inside parts.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepPath(String);

impl StepPath {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last name: what the step is called in its own frame.
    #[must_use]
    pub fn own_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The path of `name` inside this step.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        Self(format!("{}/{name}", self.0))
    }
}

impl FromStr for StepPath {
    type Err = InvalidId;

    fn from_str(s: &str) -> Result<Self, InvalidId> {
        let name = |n: &str| {
            n.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
                && n.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        };
        if s.split('/').all(name) {
            Ok(Self(s.into()))
        } else {
            Err(InvalidId { text: s.into(), what: "a step's name (snake_case)" })
        }
    }
}

macro_rules! text_id {
    ($($id:ident),*) => {$(
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
text_id!(RunId, StepPath);

macro_rules! serde_as_text {
    ($($id:ident),*) => {$(
        impl Serialize for $id {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
serde_as_text!(Digest, RunId, StepPath);
