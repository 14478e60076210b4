//! The makers of this cloud's test hardware: AMD's line of keys (ARK, ASK, one VCEK for each chip and TCB) and the
//! authority that certifies the attestation keys of virtual TPMs.
//!
//! Each is made when it is first needed and kept in the database, its private part sealed. All names say `SEALBOOK TEST`:
//! nothing that trusts AMD or Microsoft trusts these, and the other way round nobody can take them for the real ones.
//!
//! Source: AMD, Versioned Chip Endorsement Key Certificate and KDS Interface Specification (57230), §3.

use chrono::{DateTime, Days, Months, Utc};
use rusqlite::{OptionalExtension, params};
use sealbook_crypto::SecretBytes;
use sealbook_crypto::ec::{Curve, EcKey};
use sealbook_crypto::rsa::{RsaBits, RsaKey, RsaPublic};
use x509_cert::der::Encode;
use x509_cert::der::asn1::Ia5String;
use x509_cert::spki::ObjectIdentifier;

use super::certificates::{self, Authority, Scheme, Subject};
use super::report::Tcb;
use crate::cx::Cx;
use crate::refusal::Refusal;

/// Table of keys with their certificates.
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS tee_keys (
    name        TEXT PRIMARY KEY,
    certificate BLOB NOT NULL,
    sealed      BLOB NOT NULL
) STRICT;
";

const ARK: &str = "ark-milan";
const ASK: &str = "ask-milan";
const VTPM_CA: &str = "vtpm-ca";

const ARK_NAME: &str = "CN=SEALBOOK TEST ARK-Milan,OU=Embedded Azure,O=SEALBOOK TEST";
const ASK_NAME: &str = "CN=SEALBOOK TEST SEV-Milan,OU=Embedded Azure,O=SEALBOOK TEST";
const VCEK_NAME: &str = "CN=SEALBOOK TEST SEV-VCEK,OU=Embedded Azure,O=SEALBOOK TEST";
const VTPM_CA_NAME: &str = "CN=SEALBOOK TEST Global Virtual TPM CA,OU=Embedded Azure,O=SEALBOOK TEST";

/// Marketing name of the part, as AMD's certificates state it.
const PRODUCT: &str = "Milan-B0";

/// A key of the hierarchy with its certificate in DER.
pub(crate) struct Endorsed<K> {
    /// The key.
    pub key: K,
    /// Its certificate.
    pub certificate: Vec<u8>,
}

/// AMD's root key for this cloud, self-signed.
pub(crate) fn ark(cx: &Cx<'_>) -> Result<Endorsed<RsaKey>, Refusal> {
    authority(cx, ARK, ARK_NAME, 1, RsaBits::B4096, None)
}

/// AMD's signing key for this cloud, under [`ark`].
pub(crate) fn ask(cx: &Cx<'_>) -> Result<Endorsed<RsaKey>, Refusal> {
    if let Some(known) = stored(cx, ASK)? {
        return rsa(known);
    }
    let ark = ark(cx)?;
    let issuer = Authority { name: ARK_NAME, key: &ark.key, scheme: Scheme::PssSha384 };
    authority(cx, ASK, ASK_NAME, 2, RsaBits::B4096, Some(&issuer))
}

/// The authority of virtual TPMs, self-signed.
pub(crate) fn vtpm_ca(cx: &Cx<'_>) -> Result<Endorsed<RsaKey>, Refusal> {
    authority(cx, VTPM_CA, VTPM_CA_NAME, 3, RsaBits::B2048, None)
}

/// The key with which a chip signs reports at a TCB. AMD derives it from both; here it is drawn at first use.
pub(crate) fn vcek(cx: &Cx<'_>, chip: &[u8; 64], tcb: Tcb) -> Result<Endorsed<EcKey>, Refusal> {
    let name = format!("vcek-{}-{}", hex::encode(chip), hex::encode(tcb.bytes()));
    if let Some((certificate, pkcs8)) = stored(cx, &name)? {
        let key = EcKey::from_pkcs8(Curve::P384, pkcs8.expose()).map_err(Refusal::internal)?;
        return Ok(Endorsed { key, certificate });
    }
    let ask = ask(cx)?;
    let key = EcKey::generate(Curve::P384);
    let (from, to) = validity(cx.wall, 7);
    let subject = Subject {
        name: VCEK_NAME,
        key: certificates::p384_key(&key.public())?,
        // AMD's certificates of chips all have the serial number zero.
        serial: &[0],
        validity: (from, to),
        authority: false,
        extensions: vcek_extensions(chip, tcb)?,
    };
    let issuer = Authority { name: ASK_NAME, key: &ask.key, scheme: Scheme::PssSha384 };
    let certificate = certificates::issue(subject, &issuer)?;
    store(cx, &name, &certificate, &key.to_pkcs8())?;
    Ok(Endorsed { key, certificate })
}

/// Certifies the attestation key of a machine's virtual TPM.
pub(crate) fn certify_ak(cx: &Cx<'_>, machine: &str, ak: &RsaPublic) -> Result<Vec<u8>, Refusal> {
    let authority = vtpm_ca(cx)?;
    let mut serial = cx.random::<16>();
    serial[0] = serial[0] & 0x7f | 0x40;
    let subject = Subject {
        name: &format!("CN={machine}.TEST.ConfidentialVM.Azure.windows.net"),
        key: certificates::rsa_key(ak)?,
        serial: &serial,
        validity: validity(cx.wall, 1),
        authority: false,
        extensions: Vec::new(),
    };
    let issuer = Authority { name: VTPM_CA_NAME, key: &authority.key, scheme: Scheme::Pkcs1Sha256 };
    certificates::issue(subject, &issuer)
}

fn validity(now: DateTime<Utc>, years: u32) -> (DateTime<Utc>, DateTime<Utc>) {
    // A day back, for callers whose clock is slow.
    let from = now.checked_sub_days(Days::new(1)).unwrap_or(now);
    (from, from.checked_add_months(Months::new(12 * years)).unwrap_or(now))
}

/// 1.3.6.1.4.1.3704.1.1 structure version, .2 product, .3.* security patch levels, .4 chip id (57230, table 8).
fn vcek_extensions(chip: &[u8; 64], tcb: Tcb) -> Result<Vec<(ObjectIdentifier, Vec<u8>)>, Refusal> {
    let oid = |tail: &str| ObjectIdentifier::new(&format!("1.3.6.1.4.1.3704.1.{tail}")).map_err(Refusal::internal);
    let number = |value: u8| value.to_der().map_err(Refusal::internal);
    let product = Ia5String::new(PRODUCT).and_then(|name| name.to_der()).map_err(Refusal::internal)?;
    let mut extensions = vec![(oid("1")?, number(0)?), (oid("2")?, product)];
    let parts = [("3.1", 0), ("3.2", 1), ("3.4", 2), ("3.5", 3), ("3.6", 4), ("3.7", 5), ("3.3", 6), ("3.8", 7)];
    for ((tail, _), level) in parts.into_iter().zip(tcb.bytes()) {
        extensions.push((oid(tail)?, number(level)?));
    }
    extensions.push((oid("4")?, chip.to_vec()));
    Ok(extensions)
}

fn authority(
    cx: &Cx<'_>,
    name: &str,
    subject: &str,
    serial: u8,
    bits: RsaBits,
    issuer: Option<&Authority<'_>>,
) -> Result<Endorsed<RsaKey>, Refusal> {
    if let Some(known) = stored(cx, name)? {
        return rsa(known);
    }
    let key = RsaKey::generate(bits);
    let scheme = if bits == RsaBits::B4096 { Scheme::PssSha384 } else { Scheme::Pkcs1Sha256 };
    let own = Authority { name: subject, key: &key, scheme };
    let certified = Subject {
        name: subject,
        key: certificates::rsa_key(&key.public())?,
        serial: &[1, 0, serial],
        validity: validity(cx.wall, 25),
        authority: true,
        extensions: Vec::new(),
    };
    let certificate = certificates::issue(certified, issuer.unwrap_or(&own))?;
    store(cx, name, &certificate, &key.to_pkcs8())?;
    Ok(Endorsed { key, certificate })
}

fn rsa((certificate, pkcs8): (Vec<u8>, SecretBytes)) -> Result<Endorsed<RsaKey>, Refusal> {
    let key = RsaKey::from_pkcs8(pkcs8.expose()).map_err(Refusal::internal)?;
    Ok(Endorsed { key, certificate })
}

fn aad(name: &str) -> String {
    format!("tee-key/{name}")
}

fn stored(cx: &Cx<'_>, name: &str) -> Result<Option<(Vec<u8>, SecretBytes)>, Refusal> {
    let row: Option<(Vec<u8>, Vec<u8>)> = cx
        .tx
        .prepare_cached("SELECT certificate, sealed FROM tee_keys WHERE name = ?1")?
        .query_row([name], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    row.map(|(certificate, sealed)| Ok((certificate, cx.open(&aad(name), &sealed)?))).transpose()
}

fn store(cx: &Cx<'_>, name: &str, certificate: &[u8], pkcs8: &SecretBytes) -> Result<(), Refusal> {
    let sealed = cx.seal(&aad(name), pkcs8.expose());
    cx.tx
        .prepare_cached("INSERT INTO tee_keys (name, certificate, sealed) VALUES (?1, ?2, ?3)")?
        .execute(params![name, certificate, sealed])?;
    Ok(())
}
