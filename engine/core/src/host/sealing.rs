//! Sealed files as artifacts: the host streams, no plugin sees a byte of the key.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealbook_crypto::SecretBytes;
use sealbook_crypto::sealed::{self, ContentKey, Header, SealedError, Wrap, labs};
use serde_json::{Value, json};

use super::artifact::Sealed;
use super::desk::Desk;
use crate::step::{Failure, StepError};

/// The labs' layout needs a whole file in memory: at most this much.
const LABS_MAX: u64 = 1 << 30;

/// How a sealed file is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Envelope and Cobblestone-256.
    Cobblestone,
    /// Nonce, ciphertext, tag.
    Labs,
}

impl FromStr for Layout {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        match text {
            "cobblestone-256" => Ok(Self::Cobblestone),
            "labs" => Ok(Self::Labs),
            _ => Err(invalid("layout", "the layouts are cobblestone-256 and labs")),
        }
    }
}

/// How a file is to be sealed, and what it shall say of itself.
#[derive(Debug)]
pub(crate) struct SealOptions {
    layout: Layout,
    header: Header,
}

impl SealOptions {
    /// Reads `{ layout, kid, wrapped, name }`.
    pub(crate) fn read(options: &Value) -> Result<Self, Failure> {
        let text = |name: &str| options[name].as_str().map(str::to_owned);
        let layout = text("layout").map_or(Ok(Layout::Cobblestone), |layout| layout.parse())?;
        let kid = text("kid");
        let key = match text("wrapped") {
            None => ContentKey::Direct { kid },
            Some(wrapped) => {
                let wrapped = URL_SAFE_NO_PAD.decode(wrapped).map_err(|_| invalid("wrapped", "it is no base64url"))?;
                ContentKey::Wrapped { wrap: Wrap::RsaOaep256, kid, wrapped }
            }
        };
        let header = Header { name: text("name"), media_type: text("media_type"), ..Header::new(key) };
        Ok(Self { layout, header })
    }
}

/// Seals an artifact into another one, which can be read.
pub(crate) async fn seal(
    desk: &Desk,
    key: SecretBytes,
    source: &Sealed,
    name: &str,
    options: SealOptions,
) -> Result<Sealed, Failure> {
    let length = source.length();
    let header = Header { length: Some(length), ..options.header };
    let memory = labs::Memory { limit: LABS_MAX, expected: length };
    let sealed = desk.shelf.transform(&desk.call.step, name, source, false, move |reader, writer| {
        match options.layout {
            Layout::Cobblestone => sealed::seal(reader, writer, &key, &header),
            Layout::Labs => labs::seal(reader, writer, &key, memory),
        }
        .map(drop)
        .map_err(refused)
    });
    sealed.await
}

/// Opens a sealed file into an artifact.
pub(crate) async fn open(
    desk: &Desk,
    key: SecretBytes,
    source: &Sealed,
    name: &str,
    layout: Layout,
) -> Result<Sealed, Failure> {
    let memory = labs::Memory { limit: LABS_MAX, expected: source.length() };
    let secret = source.is_secret();
    let opened = desk.shelf.transform(&desk.call.step, name, source, secret, move |reader, writer| match layout {
        Layout::Cobblestone => sealed::open(reader, writer, |_| Ok::<_, SealedError>(key)).map(drop).map_err(refused),
        Layout::Labs => labs::open(reader, writer, &key, memory).map(drop).map_err(refused),
    });
    opened.await
}

/// What a sealed file says of itself.
pub(crate) async fn describe(source: &Sealed) -> Result<Value, Failure> {
    // Magic, version, length, header.
    let start = source.read(0, sealed::MAX_HEADER + 64).await?;
    let (header, _) = Header::read(&mut start.as_slice()).map_err(refused)?;
    let (wrap, wrapped) = match &header.key {
        ContentKey::Direct { .. } => (Value::Null, Value::Null),
        ContentKey::Wrapped { wrap, wrapped, .. } => (wrap.name().into(), URL_SAFE_NO_PAD.encode(wrapped).into()),
    };
    Ok(json!({
        "kid": header.key.kid(),
        "wrap": wrap,
        "wrapped": wrapped,
        "name": header.name,
        "length": header.length,
    }))
}

fn refused(error: SealedError) -> Failure {
    StepError::Permanent { message: error.to_string() }.into()
}

fn invalid(field: &str, message: &str) -> Failure {
    StepError::InvalidInput { field: field.into(), message: message.into() }.into()
}
