//! Whatever a quote, its signature and its registers hold: each is written back to what says the same, and no verdict
//! passes for a quote that the attestation key did not sign, nor for values that it does not vouch for.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sealbook_attestation::Verdict;
use sealbook_attestation::tpm::{Attest, Quote, QuoteSignature, Rules, verify};
use sealbook_attestation::x509::PublicKey;
use sealbook_crypto::ec::{Curve, EcKey};

#[path = "common/mod.rs"]
mod common;
#[path = "../../evidence/made.rs"]
mod made;

struct Sound {
    quote: Quote,
    rsa: PublicKey,
    ec: PublicKey,
}

fn sound() -> &'static Sound {
    static SOUND: OnceLock<Sound> = OnceLock::new();
    SOUND.get_or_init(|| Sound {
        quote: made::made().evidence().quote.expect("it has one"),
        rsa: PublicKey::Rsa(made::worlds()[0].ak.public()),
        ec: PublicKey::Ec(EcKey::generate(Curve::P256).public()),
    })
}

fn judge(quote: &Quote, key: &PublicKey) -> Verdict {
    let mut verdict = Verdict::default();
    let vouched = verify(quote, key, &Rules::default(), &mut verdict);
    assert_eq!(vouched.is_some(), verdict.passed());
    if let Some(vouched) = vouched {
        assert!(vouched.iter().all(|(number, value)| quote.pcrs.get(number) == Some(value)));
    }
    verdict
}

fuzz_target!(|data: &[u8]| {
    let Sound { quote, rsa, ec } = sound();
    if let Ok(attest) = Attest::parse(data) {
        let written = attest.encode();
        assert_eq!(Attest::parse(&written).as_ref(), Ok(&attest));
        assert!(attest.selections.iter().all(|bank| bank.pcrs.iter().all(|number| *number < 24)));
        let forged = Quote { message: data.to_vec(), ..quote.clone() };
        assert!(!judge(&forged, rsa).passed());
    }
    for key in [rsa, ec] {
        if let Ok(signature) = QuoteSignature::parse(data, key) {
            assert_eq!(QuoteSignature::parse(&signature.encode(), key).as_ref(), Ok(&signature));
            let forged = Quote { signature: data.to_vec(), ..quote.clone() };
            assert!(!judge(&forged, key).passed());
        }
    }
    let Some((what, how)) = data.split_first().filter(|_| data.len() < 256) else { return };
    let mut bent = quote.clone();
    let changed = match what % 3 {
        0 => common::damage(&mut bent.message, how),
        1 => common::damage(&mut bent.signature, how),
        _ => {
            let mut joined: Vec<u8> = bent.pcrs.values().flatten().copied().collect();
            common::damage(&mut joined, how);
            bent.pcrs = (0..).zip(joined.chunks_exact(32)).map(|(n, v)| (n, v.try_into().expect("32"))).collect();
            // Registers beyond those that are quoted are nobody's claim.
            (0..24).any(|number| bent.pcrs.get(&number) != quote.pcrs.get(&number))
        }
    };
    // A signature may come as the TPM writes it or bare: the same numbers are the same signature.
    let same = !changed || (bent.message == quote.message && read(&bent, rsa) == read(quote, rsa) && what % 3 == 1);
    assert_eq!(judge(&bent, rsa).passed(), same);
});

fn read(quote: &Quote, key: &PublicKey) -> Option<QuoteSignature> {
    QuoteSignature::parse(&quote.signature, key).ok()
}
