//! Chains of certificates that do not hold, each for its own reason.

use sealbook_attestation::Verdict;
use sealbook_attestation::x509::issue::{Profile, Signer, issue};
use sealbook_attestation::x509::{Anchor, Certificate, ChainRules, PublicKey, verify_chain};
use sealbook_crypto::ec::{Curve, EcKey};

use crate::made::NOW;

struct Authority {
    key: EcKey,
    certificate: Certificate,
}

fn certify(issuer: Option<&Authority>, subject: &str, authority: Option<u8>) -> Authority {
    let key = EcKey::generate(Curve::P384);
    let above = issuer.map_or_else(|| subject.to_owned(), |issuer| issuer.certificate.subject());
    let profile = Profile {
        serial: 1,
        issuer: &above,
        subject,
        key: &PublicKey::Ec(key.public()),
        not_before: NOW - 1,
        not_after: NOW + 1,
        authority,
        extensions: &[],
    };
    let certificate = issue(&profile, &Signer::Ec(issuer.map_or(&key, |issuer| &issuer.key))).unwrap();
    Authority { key, certificate }
}

fn judge(leaf: &Authority, between: &[&Authority], root: &Authority) -> (bool, String) {
    let between: Vec<_> = between.iter().map(|authority| authority.certificate.clone()).collect();
    let anchors = [Anchor { name: "the root", certificate: &root.certificate }];
    let mut verdict = Verdict::default();
    let found = verify_chain("t", &leaf.certificate, &between, &anchors, ChainRules::default(), NOW, &mut verdict);
    assert!(!verdict.passed() || found == Some(0));
    let decided = verdict.deciding().map(|check| format!("{}: {}", check.name, check.detail));
    (verdict.passed(), decided.unwrap_or_default())
}

#[test]
fn who_may_issue_and_how_deep() {
    let root = certify(None, "CN=root", Some(1));
    let middle = certify(Some(&root), "CN=middle", Some(0));
    let leaf = certify(Some(&middle), "CN=leaf", None);
    assert_eq!(judge(&leaf, &[&middle], &root), (true, String::new()));
    assert_eq!(judge(&leaf, &[&root, &leaf, &middle], &root), (true, String::new()), "in any order, the root too");

    let refusals = [
        (judge(&leaf, &[], &root), "t.chain: the issuer of leaf (CN=middle) is missing"),
        {
            let plain = certify(Some(&root), "CN=plain", None);
            let below = certify(Some(&plain), "CN=below", None);
            (judge(&below, &[&plain], &root), "plain may not issue certificates")
        },
        {
            let deep = certify(Some(&middle), "CN=deep", Some(0));
            let below = certify(Some(&deep), "CN=below", None);
            (judge(&below, &[&deep, &middle], &root), "middle may not stand so high")
        },
        {
            // The name of the right authority, and another key.
            let forged = certify(Some(&root), "CN=middle", Some(0));
            (judge(&leaf, &[&forged], &root), "it does not verify with the issuer's key")
        },
        (judge(&leaf, &[&middle, &root], &certify(None, "CN=root", Some(1))), "t.root: root with the public key"),
        (judge(&root, &[], &certify(None, "CN=elsewhere", Some(1))), "t.root"),
    ];
    for ((passed, why), expected) in refusals {
        assert!(!passed && why.contains(expected), "{why}, expected {expected}");
    }
}

#[test]
fn many_authorities_of_one_name_cost_a_bounded_time() {
    let root = certify(None, "CN=root", Some(9));
    let first = certify(None, "CN=same", Some(9));
    let leaf = certify(Some(&first), "CN=leaf", None);
    // Each signed the next and all of one name: without a bound, the paths are countless.
    let mut crowd = Vec::new();
    for _ in 0..16 {
        let profile = Profile {
            serial: crowd.len() as u64,
            issuer: "CN=same",
            subject: "CN=same",
            key: &PublicKey::Ec(first.key.public()),
            not_before: NOW - 1,
            not_after: NOW + 1,
            authority: Some(9),
            extensions: &[],
        };
        let certificate = issue(&profile, &Signer::Ec(&first.key)).unwrap();
        crowd.push(certificate);
    }
    let anchors = [Anchor { name: "the root", certificate: &root.certificate }];
    let mut verdict = Verdict::default();
    verify_chain("t", &leaf.certificate, &crowd, &anchors, ChainRules::default(), NOW, &mut verdict);
    assert!(!verdict.passed());
}
