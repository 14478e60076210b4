//! Every signed byte of sound evidence, bent by one bit: a check whose name is known must refuse it. What nobody signs is
//! listed here too, and shown to be what `docs/attestation.md` says.

use sealbook_attestation::azure_vm::{self, Endorsement, Evidence as Vm};
use sealbook_attestation::snp::{self, Endorsements};
use sealbook_attestation::tdx;
use sealbook_attestation::x509::Certificate;
use sealbook_attestation::{Outcome, Roots, Verdict};

use crate::judges::{collateral, snp_parts, vm};
use crate::made::{Bend, NOW, made, worlds};
use crate::manifest::{Entry, Evidence, Expect, entries, seconds};

fn verified(module: &str, kinds: &[&str]) -> Vec<Entry> {
    let of = |entry: &Entry| {
        entry.module == module
            && entry.expect == Some(Expect::Verified)
            && entry.kind.as_deref().is_some_and(|kind| kinds.contains(&kind))
    };
    entries().into_iter().filter(of).collect()
}

/// One of the checks must have failed.
fn refused(verdict: &Verdict, by: &[&str], what: &str) {
    let failed = |name: &&str| verdict.checks.iter().any(|c| c.outcome == Outcome::Failed && c.name == **name);
    assert!(by.iter().any(failed), "{what}: none of {by:?} refused it, {:?}", verdict.deciding());
}

fn flipped(bytes: &[u8], at: usize, bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1 << (bit % 8);
    bytes
}

/// Report and endorsements, with every byte of the report bent: all 1184 are covered.
fn flip_report(name: &str, report: &[u8], endorsements: &Endorsements, roots: &Roots, now: i64) {
    for at in 0..report.len() {
        let verdict = snp::verify(&flipped(report, at, at), endorsements, &snp::Rules::default(), roots, now);
        let by: &[&str] = if at < 0x330 { &["snp.signature", "snp.format"] } else { &["snp.format"] };
        refused(&verdict, by, &format!("{name}, byte {at:#x}"));
    }
}

#[test]
fn every_byte_of_a_report_is_covered() {
    let parts = made();
    flip_report("made", &parts.report(), &parts.endorsements(), &worlds()[0].roots(), NOW);
    let Some(evidence) = Evidence::open() else { return };
    let kinds = ["report", "aci", "kms", "attestation-rs", "attest-request", "scale"];
    let entries = verified("snp", &kinds);
    assert!(entries.len() >= 10, "{}", entries.len());
    for entry in entries {
        let with: Vec<_> = entry.with.iter().map(|path| (path.as_str(), evidence.read(path))).collect();
        let (report, certificates) = snp_parts(entry.kind.as_deref().unwrap(), &evidence.read(&entry.path), &with);
        let endorsements = Endorsements::of(certificates).unwrap();
        flip_report(&entry.path, &report, &endorsements, &Roots::builtin(), seconds(entry.at.as_deref().unwrap()));
    }
}

#[test]
fn every_byte_of_an_endorsement_key_is_covered() {
    let parts = made();
    let (report, sound) = (parts.report(), parts.endorsements());
    for at in 0..sound.leaf.der().len() {
        let Ok(leaf) = Certificate::from_der(&flipped(sound.leaf.der(), at, at)) else { continue };
        let endorsements = Endorsements { leaf, intermediates: sound.intermediates.clone() };
        let verdict = snp::verify(&report, &endorsements, &snp::Rules::default(), &worlds()[0].roots(), NOW);
        refused(&verdict, &["snp.chain"], &format!("byte {at}"));
    }
}

fn flip_vm(name: &str, sound: &Vm, roots: &Roots, now: i64) {
    let rules = azure_vm::Rules::default();
    // The hardware report inside is bent above.
    let around = (0..0x20).chain(0x4c0..sound.hcl_report.len());
    for at in around {
        for bit in if at < 0x4d4 { 0..8 } else { at..at + 1 } {
            let bent = Vm { hcl_report: flipped(&sound.hcl_report, at, bit), ..sound.clone() };
            let verdict = azure_vm::verify(&bent, &rules, roots, now);
            refused(
                &verdict,
                &["hcl.format", "hcl.binding", "hcl.hardware"],
                &format!("{name}, byte {at:#x} bit {bit}"),
            );
        }
    }
    let quote = sound.quote.as_ref().unwrap();
    let judge = |bend: &dyn Fn(&mut sealbook_attestation::tpm::Quote)| {
        let mut bent = sound.clone();
        bend(bent.quote.as_mut().unwrap());
        azure_vm::verify(&bent, &rules, roots, now)
    };
    for at in 0..quote.message.len() {
        let verdict = judge(&|quote| quote.message = flipped(&quote.message, at, at));
        refused(&verdict, &["quote.signature", "quote.format"], &format!("{name}, quote byte {at}"));
    }
    for at in 0..quote.signature.len() {
        let verdict = judge(&|quote| quote.signature = flipped(&quote.signature, at, at));
        refused(&verdict, &["quote.signature"], &format!("{name}, quote signature byte {at}"));
    }
    for pcr in 0..24 {
        let verdict = judge(&|quote| quote.pcrs.get_mut(&pcr).unwrap()[usize::from(pcr)] ^= 1);
        refused(&verdict, &["quote.pcr_digest"], &format!("{name}, register {pcr}"));
    }
}

#[test]
fn every_byte_around_the_hardware_report_is_covered() {
    flip_vm("made", &made().evidence(), &worlds()[0].roots(), NOW);
    let Some(evidence) = Evidence::open() else { return };
    // The newest kind and the oldest; the others have the same bytes in the same places.
    for entry in verified("azure_vm", &["evidence"]).into_iter().step_by(3) {
        let sound = vm(&evidence.read(&entry.path), &[]);
        flip_vm(&entry.path, &sound, &Roots::builtin(), seconds(entry.at.as_deref().unwrap()));
    }
}

#[test]
fn every_signed_byte_of_a_td_quote_is_covered() {
    let Some(evidence) = Evidence::open() else { return };
    let entries = verified("tdx", &["quote"]);
    assert!(entries.len() >= 2, "{}", entries.len());
    for entry in entries {
        let quote = evidence.read(&entry.path);
        let with: Vec<_> = entry.with.iter().map(|path| (path.as_str(), evidence.read(path))).collect();
        let (collateral, now) = (collateral(&with), seconds(entry.at.as_deref().unwrap()));
        let signed = if quote[0] == 5 { 48 + 6 + 584 + if quote[48] == 3 { 64 } else { 0 } } else { 48 + 584 };
        // Offset, length and the checks that refuse. What lies between are lengths, which nobody signs.
        let fields: [(usize, usize, &[&str]); 4] = [
            (0, signed, &["tdx.signature", "tdx.format"]),
            (signed + 4, 64, &["tdx.signature"]),
            (signed + 68, 64, &["tdx.qe"]),
            (signed + 138, 384 + 64, &["tdx.qe"]),
        ];
        let judge =
            |quote: &[u8]| tdx::verify(quote, collateral.as_ref(), &tdx::Rules::default(), &Roots::builtin(), now);
        for (start, length, by) in fields {
            for at in start..start + length {
                refused(&judge(&flipped(&quote, at, at)), by, &format!("{}, byte {at:#x}", entry.path));
            }
        }
        assert!(judge(&[&quote[..], &[0; 32]].concat()).passed(), "padding behind a quote means nothing");
    }
}

#[test]
fn what_nobody_signs_is_what_the_page_says() {
    let rules = azure_vm::Rules::default();
    let page = std::fs::read_to_string(crate::shared::repository("docs/attestation.md")).unwrap();
    let table: [(&str, Bend<Vm>); 4] = [
        ("the data of an event", |vm| {
            let log = vm.event_log.as_mut().unwrap();
            let at = log.windows(8).position(|window| window == b"firmware").unwrap();
            log[at] ^= 1;
        }),
        ("zeros behind the event log", |vm| vm.event_log.as_mut().unwrap().extend([0; 64])),
        ("further certificates in a bundle", |vm| {
            let Endorsement::Snp(endorsements) = &mut vm.endorsement else { panic!() };
            endorsements.intermediates.push(worlds()[1].ask.clone());
        }),
        ("values of registers that are not quoted", |vm| {
            _ = vm.quote.as_mut().unwrap().pcrs.insert(99, [1; 32]);
        }),
    ];
    for (what, bend) in table {
        let mut evidence = made().evidence();
        bend(&mut evidence);
        let verdict = azure_vm::verify(&evidence, &rules, &worlds()[0].roots(), NOW);
        assert!(verdict.passed(), "{what}: {:?}", verdict.deciding());
        assert!(page.contains(&format!("- {what}")), "docs/attestation.md must list: {what}");
        let stated = verdict.facts["quote.pcrs"].as_object().unwrap();
        assert!(!stated.contains_key("99"), "what is not quoted is no fact");
    }
}
