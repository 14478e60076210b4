//! Whatever a file of certificates holds (PEM, DER, the host's JSON), or a file of roots: what is read says the same when
//! it is read again, and endorses no report but that of its own key. A heap of certificates of one name costs a bounded
//! time.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sealbook_attestation::Roots;
use sealbook_attestation::snp::{Endorsements, KeyCertificate, Rules, certificates, verify};
use sealbook_attestation::x509::Certificate;

#[path = "common/mod.rs"]
mod common;
#[path = "../../evidence/made.rs"]
mod made;

fn sound() -> &'static (Vec<u8>, Endorsements, Roots) {
    static SOUND: OnceLock<(Vec<u8>, Endorsements, Roots)> = OnceLock::new();
    SOUND.get_or_init(|| {
        let made = made::made();
        (made.report(), made.endorsements(), made::worlds()[0].roots())
    })
}

fuzz_target!(|data: &[u8]| {
    let (report, endorsements, roots) = sound();
    for certificate in certificates(data).unwrap_or_default() {
        let again = Certificate::from_der(certificate.der()).expect("what was read can be read again");
        assert_eq!(again, certificate);
        assert_eq!(Certificate::bundle(certificate.pem().as_bytes()).as_deref(), Ok(&[again][..]));
        _ = (certificate.name(), certificate.issuer(), certificate.dns_names(), certificate.public_key());
        _ = certificate.issued_by(&certificate);
        if let Ok(key) = KeyCertificate::parse(&certificate) {
            assert!(key.hwid.is_some() || key.csp_id.is_some(), "a chip's key or a provider's");
        }
    }
    if let Ok(found) = Endorsements::parse(data) {
        let verdict = verify(report, &found, &Rules::default(), roots, made::NOW);
        assert!(!verdict.passed() || found.leaf == endorsements.leaf, "another key signed this report");
    }
    if let Some(found) = std::str::from_utf8(data).ok().and_then(|text| Roots::from_pem(text).ok()) {
        let text = found.to_pem();
        let again = Roots::from_pem(&text).expect("what was written can be read");
        assert_eq!(again.to_pem(), text);
        assert!(found.iter().all(|root| !root.label().ends_with("(built in)")), "no file says that");
    }
    if data.len() < 256 {
        let mut der = endorsements.leaf.der().to_vec();
        let changed = common::damage(&mut der, data);
        if let Ok(leaf) = Certificate::from_der(&der) {
            let bent = Endorsements { leaf, intermediates: endorsements.intermediates.clone() };
            let verdict = verify(report, &bent, &Rules::default(), roots, made::NOW);
            assert_eq!(verdict.passed(), !changed, "{:?}", verdict.deciding());
        }
    }
});
