//! The local certificate authority: leaf certificates for the hosts of the embedded Azure, and for nothing else.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use std::{fs, io};

use chrono::{DateTime, Datelike, Days, NaiveDate, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PublicKeyData,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::endpoint::write_private;
use super::host;
use super::server::ServeError;

const KEY_FILE: &str = "ca.key";
const CERTIFICATE_FILE: &str = "ca.pem";
/// The authority is signed again at every start, under the same key and name, so it needs no long life.
const AUTHORITY_DAYS: u64 = 730;
const LEAF_DAYS: u64 = 90;
const LEAF_RENEWAL_DAYS: u64 = 60;
/// Certificates start a day early: clocks of containers and hosts differ.
const EARLY_DAYS: u64 = 1;

/// Signs leaf certificates and keeps those it signed.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    leaves: Mutex<HashMap<String, Leaf>>,
}

struct Leaf {
    config: Arc<ServerConfig>,
    renew: NaiveDate,
}

impl Authority {
    /// Loads the authority's key from the cloud's folder, or makes one, and writes a certificate valid from `now`.
    ///
    /// # Errors
    /// The files can't be read or written, or the key is not one that this release wrote.
    pub(super) fn open(dir: &Path, now: SystemTime) -> Result<Self, ServeError> {
        let path = dir.join(KEY_FILE);
        let failed = |what, path: &Path| {
            let path = path.to_owned();
            move |source| ServeError::Io { what, path, source }
        };
        let key = match fs::read_to_string(&path) {
            Ok(pem) => KeyPair::from_pem(&pem)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = KeyPair::generate()?;
                write_private(&path, key.serialize_pem().as_bytes()).map_err(failed("write the key", &path))?;
                key
            }
            Err(error) => return Err(failed("read the key", &path)(error)),
        };
        let params = authority_params(&key, now)?;
        let certificate = params.self_signed(&key)?;
        let path = dir.join(CERTIFICATE_FILE);
        write_private(&path, certificate.pem().as_bytes()).map_err(failed("write the certificate", &path))?;
        Ok(Self { issuer: Issuer::new(params, key), leaves: Mutex::default() })
    }

    /// The TLS settings for one host, with a leaf certificate of its own.
    ///
    /// # Errors
    /// The leaf could not be signed; a known host never causes that.
    pub(super) fn config(&self, host: &str, now: SystemTime) -> Result<Arc<ServerConfig>, ServeError> {
        let mut leaves = self.leaves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leaf) = leaves.get(host).filter(|leaf| date(now) < leaf.renew) {
            return Ok(Arc::clone(&leaf.config));
        }
        let key = KeyPair::generate()?;
        let certificate = leaf_params(host, now)?.signed_by(&key, &self.issuer)?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let config = Arc::new(config);
        let renew = date(now) + Days::new(LEAF_RENEWAL_DAYS);
        leaves.insert(host.to_owned(), Leaf { config: Arc::clone(&config), renew });
        Ok(config)
    }
}

/// The authority's certificate: constrained by name (RFC 5280, section 4.2.1.10), so that a copy of its key is of no
/// use against any other site.
fn authority_params(key: &KeyPair, now: SystemTime) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    // The name carries the key's digest: two homes' authorities may stand in one bundle.
    let digest = sealbook_crypto::sha256(key.der_bytes());
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Sealbook");
    name.push(DnType::CommonName, format!("Sealbook embedded Azure test authority {}", hex::encode(&digest[..4])));
    params.distinguished_name = name;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: host::domains().map(|domain| GeneralSubtree::DnsName(domain.to_owned())).collect(),
        excluded_subtrees: vec![
            GeneralSubtree::IpAddress(CidrSubnet::V4([0; 4], [0; 4])),
            GeneralSubtree::IpAddress(CidrSubnet::V6([0; 16], [0; 16])),
        ],
    });
    set_validity(&mut params, now, AUTHORITY_DAYS);
    Ok(params)
}

fn leaf_params(host: &str, now: SystemTime) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(vec![host.to_owned()])?;
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Sealbook embedded Azure");
    params.distinguished_name = name;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    set_validity(&mut params, now, LEAF_DAYS);
    Ok(params)
}

/// Sets the first and last instant of a certificate, from whole days.
fn set_validity(params: &mut CertificateParams, now: SystemTime, days: u64) {
    let instant = |day: NaiveDate| {
        // A month and a day of the month always fit in a byte.
        rcgen::date_time_ymd(day.year(), day.month() as u8, day.day() as u8)
    };
    let today = date(now);
    params.not_before = instant(today - Days::new(EARLY_DAYS));
    params.not_after = instant(today + Days::new(days));
}

fn date(now: SystemTime) -> NaiveDate {
    DateTime::<Utc>::from(now).date_naive()
}
