//! Under what releases are signed: a root of this cloud's own, an issuing authority below it, and leaves for the hosts of
//! key stores.
//!
//! Azure signs with the certificates of its TLS endpoints, which end at DigiCert. These end at a root that calls itself
//! a test root and that no cloud shares with another, so nobody takes one for the other. Shapes are Azure's: one leaf
//! for all vaults, one for each managed HSM, with the wildcard names that they have there. Certificates go by the wall
//! clock, like everything in TLS.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Datelike as _, Days, NaiveDate, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rusqlite::{Connection, OptionalExtension as _, params};
use rustls::pki_types::PrivatePkcs8KeyDer;
use sealbook_crypto::SealKey;
use sealbook_crypto::rsa::{RsaBits, RsaKey};

use super::super::keystore::{KeyStore, Kind};
use crate::cx::Cx;
use crate::refusal::Refusal;

/// Table of the keys and their certificates; `renewal` is the day, in days since the common era, on which a certificate
/// is replaced.
pub(in super::super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS keyvault_release_signers (
    name        TEXT PRIMARY KEY COLLATE NOCASE,
    certificate BLOB NOT NULL,
    sealed      BLOB NOT NULL,
    made        INTEGER NOT NULL,
    renewal     INTEGER NOT NULL
) STRICT;
";

/// A certificate's place in the chain.
struct Rank {
    /// Name in the table; leaves have those of their hosts.
    name: &'static str,
    /// Common name.
    subject: &'static str,
    /// How many authorities may stand below.
    below: u8,
    /// Days for which a certificate is valid.
    days: u64,
    /// Days before its end on which it is replaced: what it signs lives no longer than it does.
    renewal: u64,
}

const ROOT: Rank =
    Rank { name: "root", subject: "SEALBOOK TEST Key Release Root", below: 1, days: 9_131, renewal: 3_660 };
const ISSUING: Rank =
    Rank { name: "issuing", subject: "SEALBOOK TEST Key Release Issuing CA 01", below: 0, days: 3_652, renewal: 370 };
const LEAF_DAYS: u64 = 365;
const LEAF_RENEWAL: u64 = 30;
/// Certificates start a day early: clocks of guests and hosts differ.
const EARLY: u64 = 1;

/// Whom certificates name.
const ORGANIZATION: &str = "SEALBOOK TEST";

/// A key with its certificate.
struct Held {
    certificate: Vec<u8>,
    key: RsaKey,
}

impl Held {
    fn pair(&self) -> Result<KeyPair, Refusal> {
        pair(&self.key)
    }
}

fn pair(key: &RsaKey) -> Result<KeyPair, Refusal> {
    let document = key.to_pkcs8();
    let document = PrivatePkcs8KeyDer::from(document.expose());
    KeyPair::from_pkcs8_der_and_sign_algo(&document, &rcgen::PKCS_RSA_SHA256).map_err(Refusal::internal)
}

/// What signs a release.
pub(super) struct Signer {
    /// The key of the leaf.
    pub key: RsaKey,
    /// Certificates (DER): leaf, issuing authority, root.
    pub chain: [Vec<u8>; 3],
}

/// Where keys and certificates are kept, and what day it is.
struct Shelf<'a> {
    tx: &'a Connection,
    sealing: &'a SealKey,
    today: NaiveDate,
}

/// The signer of a key store's releases, made when it is first needed.
pub(super) fn signer(cx: &Cx<'_>, keystore: &KeyStore) -> Result<Signer, Refusal> {
    let shelf = Shelf { tx: cx.tx, sealing: cx.sealing, today: cx.wall.date_naive() };
    let root = shelf.root()?;
    let issuing = shelf.issuing(&root)?;
    let leaf = shelf.leaf(&issuing, keystore)?;
    Ok(Signer { key: leaf.key, chain: [leaf.certificate, issuing.certificate, root.certificate] })
}

/// The certificate of the root as PEM (RFC 7468), made when there is none yet.
pub(crate) fn root_pem(tx: &Connection, sealing: &SealKey, wall: DateTime<Utc>) -> Result<String, Refusal> {
    let root = Shelf { tx, sealing, today: wall.date_naive() }.root()?;
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let body = STANDARD.encode(&root.certificate);
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = behind;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    Ok(pem)
}

impl Shelf<'_> {
    fn root(&self) -> Result<Held, Refusal> {
        if let Some(held) = self.find(ROOT.name)? {
            return Ok(held);
        }
        // What an earlier root signed is of no use below a new one.
        self.tx.execute("DELETE FROM keyvault_release_signers", [])?;
        let key = RsaKey::generate(RsaBits::B2048);
        let certificate = self.authority(&ROOT).self_signed(&pair(&key)?).map_err(Refusal::internal)?;
        self.keep(ROOT.name, key, certificate.der(), ROOT.days - ROOT.renewal)
    }

    fn issuing(&self, root: &Held) -> Result<Held, Refusal> {
        if let Some(held) = self.find(ISSUING.name)? {
            return Ok(held);
        }
        self.tx.execute("DELETE FROM keyvault_release_signers WHERE name <> ?1", [ROOT.name])?;
        let key = RsaKey::generate(RsaBits::B2048);
        let params = self.authority(&ISSUING);
        let certificate = params.signed_by(&pair(&key)?, &self.issuer(&ROOT, root)?).map_err(Refusal::internal)?;
        self.keep(ISSUING.name, key, certificate.der(), ISSUING.days - ISSUING.renewal)
    }

    fn leaf(&self, issuing: &Held, keystore: &KeyStore) -> Result<Held, Refusal> {
        let (name, hosts) = hosts(keystore);
        if let Some(held) = self.find(&name)? {
            return Ok(held);
        }
        let mut params = CertificateParams::new(hosts.clone()).map_err(Refusal::internal)?;
        params.distinguished_name = subject(hosts.first().map(String::as_str).unwrap_or_default());
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.set_validity(&mut params, LEAF_DAYS);
        let key = RsaKey::generate(RsaBits::B2048);
        let certificate =
            params.signed_by(&pair(&key)?, &self.issuer(&ISSUING, issuing)?).map_err(Refusal::internal)?;
        self.keep(&name, key, certificate.der(), LEAF_DAYS - LEAF_RENEWAL)
    }

    /// What signs in the name of an authority. Its parameters make the same name and key identifier again.
    fn issuer(&self, rank: &Rank, held: &Held) -> Result<Issuer<'static, KeyPair>, Refusal> {
        Ok(Issuer::new(self.authority(rank), held.pair()?))
    }

    fn authority(&self, rank: &Rank) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(rank.subject);
        params.use_authority_key_identifier_extension = true;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(rank.below));
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        self.set_validity(&mut params, rank.days);
        params
    }

    fn set_validity(&self, params: &mut CertificateParams, days: u64) {
        // A month and a day of the month always fit in a byte.
        let instant = |day: NaiveDate| rcgen::date_time_ymd(day.year(), day.month() as u8, day.day() as u8);
        params.not_before = instant(self.today - Days::new(EARLY));
        params.not_after = instant(self.today + Days::new(days));
    }

    /// The key of a name, unless its certificate is to be replaced: because it is old, or from a time that has not come.
    fn find(&self, name: &str) -> Result<Option<Held>, Refusal> {
        let today = self.today.num_days_from_ce();
        let stored: Option<(Vec<u8>, Vec<u8>)> = self
            .tx
            .prepare_cached(
                "SELECT certificate, sealed FROM keyvault_release_signers WHERE name = ?1 AND made <= ?2 AND renewal > ?2",
            )?
            .query_row(params![name, today], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((certificate, sealed)) = stored else { return Ok(None) };
        let failed = |_| Refusal::internal(format!("the key of the release signer {name} does not open"));
        let document = self.sealing.open(aad(name).as_bytes(), &sealed).map_err(failed)?;
        let key = RsaKey::from_pkcs8(document.expose()).map_err(Refusal::internal)?;
        Ok(Some(Held { certificate, key }))
    }

    fn keep(&self, name: &str, key: RsaKey, certificate: &[u8], days: u64) -> Result<Held, Refusal> {
        let sealed = self.sealing.seal(aad(name).as_bytes(), key.to_pkcs8().expose());
        self.tx
            .prepare_cached(
                "INSERT OR REPLACE INTO keyvault_release_signers (name, certificate, sealed, made, renewal)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                name,
                certificate,
                sealed,
                self.today.num_days_from_ce(),
                (self.today + Days::new(days)).num_days_from_ce()
            ])?;
        Ok(Held { certificate: certificate.to_vec(), key })
    }
}

fn aad(name: &str) -> String {
    format!("release-signer/{}", name.to_ascii_lowercase())
}

fn subject(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, ORGANIZATION);
    name.push(DnType::CommonName, common);
    name
}

/// Name of a leaf in the table, and the host names in it; the first is its common name.
fn hosts(keystore: &KeyStore) -> (String, Vec<String>) {
    match keystore.kind {
        Kind::Vault => {
            ("vault".to_owned(), ["vault.azure.net", "*.vault.azure.net", "*.vaultcore.azure.net"].map(str::to_owned).to_vec())
        }
        Kind::Hsm => {
            let host = format!("{}{}", keystore.name.to_ascii_lowercase(), Kind::Hsm.domain());
            (keystore.label.to_ascii_lowercase(), vec![format!("*.{host}"), host])
        }
    }
}
