//! The makers of this cloud's test hardware: AMD's line of keys (ARK, ASK, one VCEK for each chip and TCB) and the
//! authority that certifies the attestation keys of virtual TPMs.
//!
//! Each is made when it is first needed and kept in the database, its private part sealed. All names say `SEALBOOK TEST`:
//! nothing that trusts AMD or Microsoft trusts these, and the other way round nobody can take them for the real ones.
//!
//! Source: AMD, Versioned Chip Endorsement Key Certificate and KDS Interface Specification (57230), §3.

use chrono::{DateTime, Days, Months, Utc};
use rusqlite::{OptionalExtension, params};
use sealbook_attestation::Roots;
use sealbook_attestation::roots::Kind;
use sealbook_attestation::snp::{Product, Tcb};
use sealbook_attestation::x509::issue::{self, Profile, Signer};
use sealbook_attestation::x509::{Certificate, PublicKey};
use sealbook_crypto::SecretBytes;
use sealbook_crypto::ec::{Curve, EcKey};
use sealbook_crypto::rsa::{RsaBits, RsaKey, RsaPublic};

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
/// AMD gives all certificates of chips this name, and verifiers know them by it.
const VCEK_NAME: &str = "CN=SEV-VCEK,OU=Embedded Azure,O=SEALBOOK TEST";
const VTPM_CA_NAME: &str = "CN=SEALBOOK TEST Global Virtual TPM CA,OU=Embedded Azure,O=SEALBOOK TEST";

/// Name of the world that the test roots belong to.
pub(crate) const WORLD: &str = "SEALBOOK TEST embedded Azure";
/// Name of the part, as AMD's certificates state it: an IA5String.
const PRODUCT: &[u8] = b"\x16\x08Milan-B0";

/// A key of the hierarchy with its certificate.
pub(crate) struct Endorsed<K> {
    /// The key.
    pub key: K,
    /// Its certificate.
    pub certificate: Certificate,
}

/// How an authority is made.
struct Plan<'a> {
    name: &'static str,
    subject: &'static str,
    serial: u64,
    bits: RsaBits,
    /// How many authorities may stand below it.
    below: u8,
    /// Whose signature it has; its own when there is nobody above.
    above: Option<(&'static str, &'a RsaKey)>,
}

/// AMD's root key for this cloud, self-signed.
pub(crate) fn ark(cx: &Cx<'_>) -> Result<Endorsed<RsaKey>, Refusal> {
    authority(cx, &Plan { name: ARK, subject: ARK_NAME, serial: 0x1_0000, bits: RsaBits::B4096, below: 1, above: None })
}

/// AMD's signing key for this cloud, under [`ark`].
pub(crate) fn ask(cx: &Cx<'_>) -> Result<Endorsed<RsaKey>, Refusal> {
    if let Some(known) = stored(cx, ASK)? {
        return rsa(known);
    }
    let ark = ark(cx)?;
    let above = Some((ARK_NAME, &ark.key));
    authority(cx, &Plan { name: ASK, subject: ASK_NAME, serial: 0x1_0001, bits: RsaBits::B4096, below: 0, above })
}

/// The authority of virtual TPMs, self-signed.
fn vtpm_ca(cx: &Cx<'_>) -> Result<Endorsed<RsaKey>, Refusal> {
    authority(
        cx,
        &Plan { name: VTPM_CA, subject: VTPM_CA_NAME, serial: 1, bits: RsaBits::B2048, below: 0, above: None },
    )
}

/// The roots of this cloud's test hardware.
pub(crate) fn roots(cx: &Cx<'_>) -> Result<Roots, Refusal> {
    let (ark, ask) = (ark(cx)?.certificate, ask(cx)?.certificate);
    Ok(Roots::none().with_test(WORLD, Kind::Amd(Product::Milan), ark, vec![ask]))
}

/// The key with which a chip signs reports at a TCB. AMD derives it from both; here it is drawn at first use.
pub(crate) fn vcek(cx: &Cx<'_>, chip: &[u8; 64], tcb: Tcb) -> Result<Endorsed<EcKey>, Refusal> {
    let name = format!("vcek-{}-{}", hex::encode(chip), hex::encode(tcb.encode()));
    if let Some((certificate, pkcs8)) = stored(cx, &name)? {
        let key = EcKey::from_pkcs8(Curve::P384, pkcs8.expose()).map_err(Refusal::internal)?;
        return Ok(Endorsed { key, certificate });
    }
    let ask = ask(cx)?;
    let key = EcKey::generate(Curve::P384);
    let (not_before, not_after) = validity(cx.wall, 7);
    let profile = Profile {
        // AMD's certificates of chips all have the serial number zero.
        serial: 0,
        issuer: ASK_NAME,
        subject: VCEK_NAME,
        key: &PublicKey::Ec(key.public()),
        not_before,
        not_after,
        authority: None,
        extensions: &vcek_extensions(chip, tcb),
    };
    let certificate = issue::issue(&profile, &Signer::RsaPss(&ask.key)).map_err(Refusal::internal)?;
    store(cx, &name, &certificate, &key.to_pkcs8())?;
    Ok(Endorsed { key, certificate })
}

/// Certifies the attestation key of a machine's virtual TPM.
pub(crate) fn certify_ak(cx: &Cx<'_>, machine: &str, ak: &RsaPublic) -> Result<Certificate, Refusal> {
    let authority = vtpm_ca(cx)?;
    let (not_before, not_after) = validity(cx.wall, 1);
    let profile = Profile {
        serial: u64::from_be_bytes(cx.random::<8>()) >> 1,
        issuer: VTPM_CA_NAME,
        subject: &format!("CN={machine}.TEST.ConfidentialVM.Azure.windows.net"),
        key: &PublicKey::Rsa(ak.clone()),
        not_before,
        not_after,
        authority: None,
        extensions: &[],
    };
    issue::issue(&profile, &Signer::RsaPkcs1(&authority.key)).map_err(Refusal::internal)
}

/// First and last second, in unix seconds.
fn validity(now: DateTime<Utc>, years: u32) -> (i64, i64) {
    // A day back, for callers whose clock is slow.
    let from = now.checked_sub_days(Days::new(1)).unwrap_or(now);
    let to = from.checked_add_months(Months::new(12 * years)).unwrap_or(now);
    (from.timestamp(), to.timestamp())
}

/// 1.3.6.1.4.1.3704.1.1 structure version, .2 product, .3.* security patch levels, .4 chip id (57230, table 8).
fn vcek_extensions(chip: &[u8; 64], tcb: Tcb) -> Vec<(&'static str, Vec<u8>)> {
    // The INTEGER of a byte (X.690, §8.3).
    let number = |value: u8| if value < 0x80 { vec![2, 1, value] } else { vec![2, 2, 0, value] };
    vec![
        ("1.3.6.1.4.1.3704.1.1", number(0)),
        ("1.3.6.1.4.1.3704.1.2", PRODUCT.to_vec()),
        ("1.3.6.1.4.1.3704.1.3.1", number(tcb.bootloader)),
        ("1.3.6.1.4.1.3704.1.3.2", number(tcb.tee)),
        ("1.3.6.1.4.1.3704.1.3.4", number(0)),
        ("1.3.6.1.4.1.3704.1.3.5", number(0)),
        ("1.3.6.1.4.1.3704.1.3.6", number(0)),
        ("1.3.6.1.4.1.3704.1.3.7", number(0)),
        ("1.3.6.1.4.1.3704.1.3.3", number(tcb.snp)),
        ("1.3.6.1.4.1.3704.1.3.8", number(tcb.microcode)),
        ("1.3.6.1.4.1.3704.1.4", chip.to_vec()),
    ]
}

fn authority(cx: &Cx<'_>, plan: &Plan<'_>) -> Result<Endorsed<RsaKey>, Refusal> {
    if let Some(known) = stored(cx, plan.name)? {
        return rsa(known);
    }
    let key = RsaKey::generate(plan.bits);
    let (issuer, signer) = plan.above.unwrap_or((plan.subject, &key));
    let (not_before, not_after) = validity(cx.wall, 25);
    let profile = Profile {
        serial: plan.serial,
        issuer,
        subject: plan.subject,
        key: &PublicKey::Rsa(key.public()),
        not_before,
        not_after,
        authority: Some(plan.below),
        extensions: &[],
    };
    let signer = match plan.bits {
        RsaBits::B4096 => Signer::RsaPss(signer),
        RsaBits::B2048 | RsaBits::B3072 => Signer::RsaPkcs1(signer),
    };
    let certificate = issue::issue(&profile, &signer).map_err(Refusal::internal)?;
    store(cx, plan.name, &certificate, &key.to_pkcs8())?;
    Ok(Endorsed { key, certificate })
}

fn rsa((certificate, pkcs8): (Certificate, SecretBytes)) -> Result<Endorsed<RsaKey>, Refusal> {
    let key = RsaKey::from_pkcs8(pkcs8.expose()).map_err(Refusal::internal)?;
    Ok(Endorsed { key, certificate })
}

fn aad(name: &str) -> String {
    format!("tee-key/{name}")
}

fn stored(cx: &Cx<'_>, name: &str) -> Result<Option<(Certificate, SecretBytes)>, Refusal> {
    let row: Option<(Vec<u8>, Vec<u8>)> = cx
        .tx
        .prepare_cached("SELECT certificate, sealed FROM tee_keys WHERE name = ?1")?
        .query_row([name], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((certificate, sealed)) = row else { return Ok(None) };
    let certificate = Certificate::from_der(&certificate).map_err(Refusal::internal)?;
    Ok(Some((certificate, cx.open(&aad(name), &sealed)?)))
}

fn store(cx: &Cx<'_>, name: &str, certificate: &Certificate, pkcs8: &SecretBytes) -> Result<(), Refusal> {
    let sealed = cx.seal(&aad(name), pkcs8.expose());
    cx.tx.prepare_cached("INSERT INTO tee_keys (name, certificate, sealed) VALUES (?1, ?2, ?3)")?.execute(params![
        name,
        certificate.der(),
        sealed
    ])?;
    Ok(())
}
