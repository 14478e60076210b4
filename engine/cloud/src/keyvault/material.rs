//! Private keys: made, sealed at rest under the identifier of their version, opened for one operation.

use sealbook_crypto::rsa::{RsaBits, RsaKey, RsaPublic};

use super::store::Version;
use crate::cx::Cx;
use crate::refusal::Refusal;

/// The key material of a new version.
pub(super) struct Material {
    /// Public half.
    pub public: RsaPublic,
    /// PKCS#8 of the private half, sealed.
    pub sealed: Vec<u8>,
}

/// Makes a key pair for the version `kid`.
pub(super) fn generate(cx: &Cx<'_>, kid: &str, bits: RsaBits) -> Material {
    let key = RsaKey::generate(bits);
    Material { public: key.public(), sealed: cx.seal(kid, key.to_pkcs8().expose()) }
}

/// The public half of a version.
pub(super) fn public(version: &Version) -> RsaPublic {
    RsaPublic { n: version.n.clone(), e: version.e.clone() }
}

/// Opens the private half of the version `kid`.
pub(super) fn open(cx: &Cx<'_>, kid: &str, version: &Version) -> Result<RsaKey, Refusal> {
    let document = cx.open(kid, &version.sealed)?;
    RsaKey::from_pkcs8(document.expose()).map_err(|why| Refusal::internal(format!("the private key of {kid}: {why}")))
}

/// Length of a version's key.
pub(super) fn bits(version: &Version) -> Result<RsaBits, Refusal> {
    public(version)
        .bits()
        .ok_or_else(|| Refusal::internal(format!("the version {} has a key of an odd length", version.version)))
}
