//! Signatures of TPMs in every scheme that is understood, and event logs that do not fit their quote.

use sealbook_attestation::Verdict;
use sealbook_attestation::azure_vm::{Rules, verify};
use sealbook_attestation::event_log;
use sealbook_attestation::tpm::{self, Quote, QuoteSignature};
use sealbook_attestation::x509::PublicKey;
use sealbook_crypto::Hash;
use sealbook_crypto::ec::{Curve, EcKey};
use sealbook_crypto::rsa::SignaturePadding;

use crate::made::{NOW, made, worlds};

fn decided(quote: &Quote, key: &PublicKey) -> Option<String> {
    let mut verdict = Verdict::default();
    let vouched = tpm::verify(quote, key, &tpm::Rules::default(), &mut verdict);
    assert_eq!(vouched.is_some(), verdict.passed(), "registers only from a quote that holds");
    verdict.deciding().map(|check| check.name.clone())
}

#[test]
fn every_scheme_verifies_and_none_under_another_key() {
    let quote = made().evidence().quote.unwrap();
    let world = &worlds()[0];
    let rsa = PublicKey::Rsa(world.ak.public());
    let mut signed = Vec::new();
    for padding in [SignaturePadding::Pkcs1v15, SignaturePadding::Pss] {
        for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
            let signature = world.ak.sign(padding, &hash.digest(&quote.message)).unwrap();
            signed.push((rsa.clone(), QuoteSignature::Rsa { padding, hash, signature }.encode()));
        }
    }
    for curve in [Curve::P256, Curve::P384] {
        let key = EcKey::generate(curve);
        let both = key.sign(&curve.hash().digest(&quote.message)).unwrap();
        let (r, s) = both.split_at(curve.bytes());
        let signature = QuoteSignature::Ecdsa { hash: curve.hash(), r: r.to_vec(), s: s.to_vec() };
        signed.push((PublicKey::Ec(key.public()), signature.encode()));
    }
    let bare = world.ak.sign(SignaturePadding::Pkcs1v15, &Hash::Sha256.digest(&quote.message)).unwrap();
    signed.push((rsa.clone(), bare));
    for (key, signature) in signed {
        let quote = Quote { signature: signature.clone(), ..quote.clone() };
        assert_eq!(decided(&quote, &key), None);
        let other = PublicKey::Rsa(world.other_ak.public());
        assert_eq!(decided(&quote, &other).as_deref(), Some("quote.signature"));
        let elliptic = PublicKey::Ec(EcKey::generate(Curve::P256).public());
        assert_eq!(decided(&quote, &elliptic).as_deref(), Some("quote.signature"));
        for bent in [&signature[..signature.len() - 1], &[&signature[..], &[0]].concat(), &[]] {
            let quote = Quote { signature: bent.to_vec(), ..quote.clone() };
            assert_eq!(decided(&quote, &key).as_deref(), Some("quote.signature"));
        }
    }
    // SHA-1, and a scheme that is not understood (ECDAA).
    for head in [[0x00, 0x14, 0x00, 0x04], [0x00, 0x1a, 0x00, 0x0b]] {
        let quote = Quote { signature: [&head[..], &[0, 1, 7]].concat(), ..quote.clone() };
        assert_eq!(decided(&quote, &rsa).as_deref(), Some("quote.signature"));
    }
}

#[test]
fn a_log_counts_as_far_as_its_quote_vouches_for_it() {
    type Bend = fn(&mut Vec<u8>);
    let judge = |bend: Bend, quoted: bool| {
        let mut evidence = made().evidence();
        bend(evidence.event_log.as_mut().unwrap());
        if !quoted {
            evidence.quote = None;
        }
        let rules = Rules { require_quote: false, ..Rules::default() };
        let verdict = verify(&evidence, &rules, &worlds()[0].roots(), NOW);
        verdict.deciding().map(|check| check.name.clone())
    };
    let table: [(Bend, bool, Option<&str>); 6] = [
        (|_| {}, true, None),
        (|_| {}, false, Some("log.pcrs")),
        (|log| log.truncate(log.len() - 1), true, Some("log.format")),
        (Vec::clear, true, Some("log.format")),
        (|log| log[8] = 1, true, None),
        (|log| log[0] = 1, true, Some("log.format")),
    ];
    for (number, (bend, quoted, expected)) in table.into_iter().enumerate() {
        assert_eq!(judge(bend, quoted).as_deref(), expected, "row {number}");
    }
    let locality =
        event_log::Event { pcr: 0, kind: 3, digest: [0; 32], data: [&b"StartupLocality\0"[..], &[3]].concat() };
    let pcrs = event_log::replay(&[locality]);
    assert_eq!((pcrs[&0][31], pcrs[&1], pcrs[&17]), (3, [0; 32], [0xff; 32]), "no event is extended here");
}
