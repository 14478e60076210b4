//! Certificates, keys and signatures that tests make.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls_pki_types::PrivatePkcs8KeyDer;
use sealbook_crypto::rsa::{RsaBits, RsaKey};
use sealbook_crypto::sha256;
use serde_json::{Value, json};

/// 2026-01-01T00:00:00Z.
pub const NOW: i64 = 1_767_225_600;
pub const DAY: i64 = 86_400;

/// One of a few RSA keys of 2048 bits, made once: tests need them apart, not fresh.
pub fn key(which: usize) -> &'static RsaKey {
    static KEYS: OnceLock<Vec<RsaKey>> = OnceLock::new();
    &KEYS.get_or_init(|| (0..4).map(|_| RsaKey::generate(RsaBits::B2048)).collect())[which]
}

fn pair(which: usize) -> KeyPair {
    let document = key(which).to_pkcs8();
    let document = PrivatePkcs8KeyDer::from(document.expose());
    KeyPair::from_pkcs8_der_and_sign_algo(&document, &rcgen::PKCS_RSA_SHA256).unwrap()
}

fn params(name: &str, names: &[&str], ca: bool) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(2025, 1, 1);
    params.not_after = rcgen::date_time_ymd(2035, 1, 1);
    if ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    }
    params
}

/// A hierarchy like that of a vault's endpoint: keys 0 (root), 1 (issuing authority), 2 (leaf).
pub struct Chain {
    pub root: Vec<u8>,
    pub issuing: Vec<u8>,
    pub leaf: Vec<u8>,
}

/// Makes a hierarchy; the leaf is for `hosts` and valid until the first day of `until`.
pub fn chain(name: &str, hosts: &[&str], until: i32) -> Chain {
    under(0, name, hosts, until)
}

/// Makes a hierarchy under a root with another key.
pub fn impostor(name: &str, hosts: &[&str], until: i32) -> Chain {
    under(3, name, hosts, until)
}

fn under(top: usize, name: &str, hosts: &[&str], until: i32) -> Chain {
    let (root_params, issuing_params) = (params(name, &[], true), params(&format!("{name} issuing"), &[], true));
    let root = root_params.clone().self_signed(&pair(top)).unwrap();
    let issuing = issuing_params.clone().signed_by(&pair(1), &Issuer::new(root_params, pair(top))).unwrap();
    let mut leaf_params = params(hosts[0], hosts, false);
    leaf_params.not_after = rcgen::date_time_ymd(until, 1, 1);
    let leaf = leaf_params.signed_by(&pair(2), &Issuer::new(issuing_params, pair(1))).unwrap();
    Chain { root: root.der().to_vec(), issuing: issuing.der().to_vec(), leaf: leaf.der().to_vec() }
}

/// A certificate that signs itself, as those of the attestation service do; base64, as `x5c` has it.
pub fn self_signed(which: usize) -> String {
    let certificate = params("https://test.attest.azure.net", &[], false).self_signed(&pair(which)).unwrap();
    BASE64_STANDARD.encode(certificate.der())
}

/// The BASE64URL of a document.
pub fn part(document: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(document.to_string())
}

/// Signs header and payload with RS256.
pub fn sign(header: &Value, payload: &Value, key: &RsaKey) -> String {
    let signed = format!("{}.{}", part(header), part(payload));
    let signature = BASE64_URL_SAFE_NO_PAD.encode(key.sign_rs256(signed.as_bytes()));
    format!("{signed}.{signature}")
}

impl Chain {
    /// The header of a managed HSM's answer.
    pub fn header(&self) -> Value {
        let digest = BASE64_URL_SAFE_NO_PAD.encode(sha256(&self.leaf));
        let x5c: Vec<_> = [&self.leaf, &self.issuing, &self.root].map(|der| BASE64_STANDARD.encode(der)).into();
        json!({"alg": "RS256", "kid": digest, "x5c": x5c, "x5t#S256": digest})
    }
}
