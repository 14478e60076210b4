//! Who signed: the certificates of the header (`x5c`, RFC 7515 §4.1.6) up to a root, and the leaf's name.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rustls_pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use sealbook_crypto::rsa::RsaPublic;
use sealbook_crypto::{sha1, sha256};
use serde_json::Value;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, Error, KeyUsage};

use super::ReleaseRules;
use crate::Verdict;
use crate::jws::Jws;
use crate::line;
use crate::roots::{Kind, Origin, Root};
use crate::time::utc;

/// The most certificates that are looked at; Azure sends three.
const MAX_CERTIFICATES: usize = 8;

pub(super) fn verify(jws: &Jws<'_>, rules: &ReleaseRules<'_>, verdict: &mut Verdict) {
    let certificates = match certificates(&jws.header) {
        Ok(certificates) => certificates,
        Err(why) => {
            verdict.check("release.chain", false, why);
            return;
        }
    };
    let Some((leaf, further)) = certificates.split_first() else { return };
    verdict.demand("release.certificate", thumbprints(jws, leaf), Clone::clone);
    let certificate = match EndEntityCert::try_from(leaf) {
        Ok(certificate) => certificate,
        Err(why) => {
            verdict.check("release.chain", false, format!("the first certificate of x5c is not read: {why:?}"));
            return;
        }
    };
    path(&certificate, further, rules, verdict);
    host(&certificate, rules.vault_host, verdict);
    let key = RsaPublic::from_spki(&certificate.subject_public_key_info());
    let signature = match key {
        Ok(key) => key.verify_rs256(jws.signed, &jws.signature).map_err(|why| why.to_string()),
        Err(_) => Err("the leaf's key is no RSA key".to_owned()),
    };
    verdict.demand("release.signature", signature, |()| "by the key of the leaf".to_owned());
}

fn certificates(header: &Value) -> Result<Vec<CertificateDer<'static>>, String> {
    let list = header.get("x5c").and_then(Value::as_array).ok_or("the header has no certificates (x5c)")?;
    if list.is_empty() || list.len() > MAX_CERTIFICATES {
        return Err(format!("x5c has {} certificates; 1 to {MAX_CERTIFICATES} are read", list.len()));
    }
    let decode = |entry: &Value| {
        let der = entry.as_str().and_then(|text| BASE64_STANDARD.decode(text).ok());
        der.map(CertificateDer::from).ok_or("x5c has an entry that is not BASE64")
    };
    Ok(list.iter().map(decode).collect::<Result<_, _>>()?)
}

/// Compares what the header says of the leaf with the leaf. The key that verifies is the leaf's in any case; but a reader
/// that goes by `kid` must end at the same one.
fn thumbprints(jws: &Jws<'_>, leaf: &CertificateDer<'_>) -> Result<String, String> {
    let digest = BASE64_URL_SAFE_NO_PAD.encode(sha256(leaf));
    let old = hex::encode(sha1(leaf));
    match jws.text("x5t#S256") {
        Some(seen) if seen == digest => {}
        Some(seen) => return Err(format!("x5t#S256 is {}, and the leaf's is {digest}", line::shorten(seen))),
        None => return Err("the header has no x5t#S256".to_owned()),
    }
    match jws.text("kid") {
        Some(seen) if seen == digest || seen.eq_ignore_ascii_case(&old) => Ok(digest),
        Some(seen) => Err(format!("kid is {}, and the leaf's thumbprints are {digest} and {old}", line::shorten(seen))),
        None => Err("the header has no kid".to_owned()),
    }
}

/// Builds a path to one of the roots and says where it ends.
fn path(leaf: &EndEntityCert<'_>, further: &[CertificateDer<'_>], rules: &ReleaseRules<'_>, verdict: &mut Verdict) {
    let trusted = rules.roots.of(|kind| kind == Kind::Tls);
    let ders: Vec<(&Root, _)> =
        trusted.iter().map(|root| (*root, CertificateDer::from(root.certificate.der()))).collect();
    let roots: Vec<(&Root, TrustAnchor<'_>)> =
        ders.iter().filter_map(|(root, der)| Some((*root, webpki::anchor_from_trusted_cert(der).ok()?))).collect();
    let anchors: Vec<_> = roots.iter().map(|(_, anchor)| anchor.clone()).collect();
    let Ok(seconds) = u64::try_from(rules.now) else {
        verdict.check("release.validity", false, "the instant lies before 1970");
        return;
    };
    let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let usage = KeyUsage::server_auth();
    match leaf.verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, further, time, usage, None, None) {
        Ok(path) => {
            let length = path.intermediate_certificates().count();
            verdict.check("release.chain", true, format!("the leaf, {length} issuing authorities and a root"));
            let end = roots.iter().find(|(_, anchor)| {
                anchor.subject == path.anchor().subject
                    && anchor.subject_public_key_info == path.anchor().subject_public_key_info
            });
            let name = end.map_or("a root without a name", |(root, _)| root.label());
            let test = end.is_some_and(|(root, _)| matches!(root.origin, Origin::Test { .. }));
            verdict.check("release.root", true, name);
            verdict.check("release.validity", true, format!("all certificates are valid at {}", utc(rules.now)));
            verdict.fact("root", name);
            verdict.fact("root_is_test", test);
        }
        Err(Error::CertExpired { not_after, .. }) => {
            let why = format!("a certificate expired at {}, and it is {}", instant(not_after), utc(rules.now));
            verdict.check("release.validity", false, why);
        }
        Err(Error::CertNotValidYet { not_before, .. }) => {
            let why = format!("a certificate is valid from {} on, and it is {}", instant(not_before), utc(rules.now));
            verdict.check("release.validity", false, why);
        }
        Err(Error::UnknownIssuer) => {
            let names: Vec<_> = trusted.iter().map(|root| root.label()).collect();
            let names = if names.is_empty() { "no root at all".to_owned() } else { names.join(", ") };
            verdict.check("release.root", false, format!("the chain ends at none of the trusted roots: {names}"));
        }
        Err(Error::InvalidSignatureForPublicKey) => {
            verdict.check("release.chain", false, "a certificate was not signed by the key of the issuer it names");
        }
        Err(why) => {
            verdict.check("release.chain", false, format!("the certificates make no chain: {why:?}"));
        }
    }
}

fn instant(time: UnixTime) -> String {
    utc(i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

fn host(leaf: &EndEntityCert<'_>, host: &str, verdict: &mut Verdict) {
    let holds = ServerName::try_from(host).is_ok_and(|name| leaf.verify_is_valid_for_subject_name(&name).is_ok());
    let names: Vec<_> = leaf.valid_dns_names().take(MAX_CERTIFICATES).map(line::shorten).collect();
    let seen = if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") };
    let why = if holds { seen } else { format!("the leaf is for {seen}, not for {}", line::shorten(host)) };
    verdict.check("release.host", holds, why);
}
