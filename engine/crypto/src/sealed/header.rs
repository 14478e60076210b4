//! The envelope of a sealed file: what stands before the message, and how the message is bound to it.
//!
//! `magic(8) ‖ version(2) ‖ length(2) ‖ header(length)`, integers big-endian, the header a JSON object in its one
//! canonical form (RFC 8785): docs/sealed-file.md has every field.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::{SealedError, read_full};
use crate::sha256;

/// How a sealed file begins. A byte beyond ASCII and both kinds of line end: a transfer as text shows at once.
pub const MAGIC: [u8; 8] = *b"\x89SBSF\r\n\x1a";
/// The version of the format.
pub const VERSION: u16 = 1;
/// The longest header in bytes.
pub const MAX_HEADER: usize = 16 * 1024;

const PREFIX: usize = 12;
const CIPHER: &str = "Cobblestone-256";
const CONTEXT: &[u8] = b"sealbook/sealed-file@v1\0";
/// Longest message of the cipher, and a number that every JSON reader takes exactly.
const MAX_LENGTH: u64 = 1 << 52;

/// How a content key is wrapped, by its name in RFC 7518 §4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wrap {
    /// RSAES-OAEP with SHA-256 for hash and MGF1.
    RsaOaep256,
    /// AES key wrap (RFC 3394) under 256 bits.
    A256Kw,
}

impl Wrap {
    /// Returns the name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RsaOaep256 => "RSA-OAEP-256",
            Self::A256Kw => "A256KW",
        }
    }
}

/// Where the content key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentKey {
    /// Whoever opens the file has it already (`dir`, RFC 7518 §4.5), or gets it from elsewhere.
    Direct {
        /// Which one it is, for whoever has several.
        kid: Option<String>,
    },
    /// It is in the header, wrapped.
    Wrapped {
        /// How.
        wrap: Wrap,
        /// The key encryption key's id, such as a key's address in Key Vault.
        kid: Option<String>,
        /// The wrapped key.
        wrapped: Vec<u8>,
    },
}

impl ContentKey {
    /// Returns the id of the key to open the file with, or of the one to unwrap that key with.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        match self {
            Self::Direct { kid } | Self::Wrapped { kid, .. } => kid.as_deref(),
        }
    }
}

/// What a sealed file says of itself. It can be read by anyone, and it is authentic only once the file's key commitment
/// is verified, which everything that opens a file does first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Where the content key comes from.
    pub key: ContentKey,
    /// Name of the file that was sealed: a name, never a path.
    pub name: Option<String>,
    /// Its media type (RFC 6838), such as `text/csv`.
    pub media_type: Option<String>,
    /// Its length in bytes.
    pub length: Option<u64>,
}

impl Header {
    /// A header that names nothing but the key.
    #[must_use]
    pub fn new(key: ContentKey) -> Self {
        Self { key, name: None, media_type: None, length: None }
    }

    /// Writes the envelope.
    ///
    /// # Errors
    /// [`SealedError::HeaderValue`] for a value that the format does not take.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SealedError> {
        let wire = self.wire();
        wire.check().map_err(SealedError::HeaderValue)?;
        let json = serde_json::to_vec(&wire).map_err(|_| SealedError::HeaderValue("it is no JSON"))?;
        let too_long = SealedError::HeaderValue("it is longer than 16 KiB");
        if json.len() > MAX_HEADER {
            return Err(too_long);
        }
        let length = u16::try_from(json.len()).map_err(|_| too_long)?;
        Ok([&MAGIC[..], &VERSION.to_be_bytes(), &length.to_be_bytes(), &json].concat())
    }

    /// Reads an envelope, and returns its bytes too.
    ///
    /// # Errors
    /// [`SealedError::NotSealed`], [`SealedError::Version`], [`SealedError::Truncated`], [`SealedError::Header`],
    /// [`SealedError::Read`].
    pub fn read(reader: &mut impl Read) -> Result<(Self, Vec<u8>), SealedError> {
        let mut prefix = [0; PREFIX];
        let read = read_full(reader, &mut prefix)?;
        let [version_high, version_low, length_high, length_low] = match prefix.split_first_chunk() {
            Some((magic, rest)) if *magic == MAGIC => match rest.first_chunk() {
                Some(numbers) if read == PREFIX => *numbers,
                _ => return Err(SealedError::Truncated),
            },
            _ => return Err(SealedError::NotSealed),
        };
        let version = u16::from_be_bytes([version_high, version_low]);
        if version != VERSION {
            return Err(SealedError::Version(version));
        }
        let length = usize::from(u16::from_be_bytes([length_high, length_low]));
        if length > MAX_HEADER {
            return Err(SealedError::Header("it is longer than 16 KiB".to_owned()));
        }
        let mut json = vec![0; length];
        if read_full(reader, &mut json)? < length {
            return Err(SealedError::Truncated);
        }
        let wire: Wire = serde_json::from_slice(&json).map_err(|e| SealedError::Header(e.to_string()))?;
        wire.check().map_err(|why| SealedError::Header(why.to_owned()))?;
        // One header has one form, so that no two readers can see different things in it.
        if !serde_json::to_vec(&wire).is_ok_and(|again| again == json) {
            return Err(SealedError::Header("it is not in its canonical form (RFC 8785)".to_owned()));
        }
        let header = wire.header().map_err(|why| SealedError::Header(why.to_owned()))?;
        let bytes = [&prefix[..], &json].concat();
        Ok((header, bytes))
    }

    fn wire(&self) -> Wire {
        let (wrap, wrapped) = match &self.key {
            ContentKey::Direct { .. } => ("dir", None),
            ContentKey::Wrapped { wrap, wrapped, .. } => (wrap.name(), Some(URL_SAFE_NO_PAD.encode(wrapped))),
        };
        Wire {
            cipher: CIPHER.to_owned(),
            kid: self.key.kid().map(str::to_owned),
            length: self.length,
            media_type: self.media_type.clone(),
            name: self.name.clone(),
            wrap: wrap.to_owned(),
            wrapped,
        }
    }
}

/// Returns the context under which the message behind an envelope is sealed.
pub(super) fn context(envelope: &[u8]) -> Vec<u8> {
    [CONTEXT, &sha256(envelope)].concat()
}

/// The header as JSON. The order of the fields is the canonical one, that of their names.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    cipher: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    length: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    wrap: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wrapped: Option<String>,
}

impl Wire {
    fn check(&self) -> Result<(), &'static str> {
        if self.cipher != CIPHER {
            return Err("`cipher` is not Cobblestone-256, which is the only one");
        }
        if self.kid.as_deref().is_some_and(|kid| kid.is_empty() || kid.len() > 2048 || !printable_ascii(kid)) {
            return Err("`kid` is not 1 to 2048 printable characters of ASCII");
        }
        if self.length.is_some_and(|length| length > MAX_LENGTH) {
            return Err("`length` is more than 4 PiB");
        }
        if self.media_type.as_deref().is_some_and(|text| !is_media_type(text)) {
            return Err("`media_type` is not a type and a subtype, such as text/csv");
        }
        if self.name.as_deref().is_some_and(|name| !is_file_name(name)) {
            return Err("`name` is not a file's name: 1 to 255 bytes, no separator, no control character, not . or ..");
        }
        Ok(())
    }

    fn header(self) -> Result<Header, &'static str> {
        let kid = self.kid;
        let wrapped = match &self.wrapped {
            Some(text) => Some(URL_SAFE_NO_PAD.decode(text).map_err(|_| "`wrapped` is not base64url")?),
            None => None,
        };
        let key = match (self.wrap.as_str(), wrapped) {
            ("dir", None) => ContentKey::Direct { kid },
            ("RSA-OAEP-256", Some(wrapped)) => ContentKey::Wrapped { wrap: Wrap::RsaOaep256, kid, wrapped },
            ("A256KW", Some(wrapped)) => ContentKey::Wrapped { wrap: Wrap::A256Kw, kid, wrapped },
            ("dir", Some(_)) => return Err("`wrapped` does not go with the wrap `dir`"),
            ("RSA-OAEP-256" | "A256KW", None) => return Err("`wrapped` is missing"),
            _ => return Err("`wrap` is none of dir, RSA-OAEP-256 and A256KW"),
        };
        Ok(Header { key, name: self.name, media_type: self.media_type, length: self.length })
    }
}

fn printable_ascii(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_file_name(name: &str) -> bool {
    let bad = |c: char| c == '/' || c == '\\' || c.is_control();
    (1..=255).contains(&name.len()) && name != "." && name != ".." && !name.contains(bad)
}

/// `restricted-name "/" restricted-name` (RFC 6838 §4.2). Parameters are not taken.
fn is_media_type(text: &str) -> bool {
    let good = |name: &str| {
        (1..=127).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    text.split_once('/').is_some_and(|(kind, subtype)| good(kind) && good(subtype))
}
