//! Every signed byte of sound evidence, bent by one bit: a check whose name is known must refuse it. What nobody signs is
//! listed here too, and shown to be what `docs/attestation.md` says.

use std::collections::BTreeMap;

use sealbook_attestation::azure_vm::{self, Endorsement, Evidence as Vm};
use sealbook_attestation::snp::{self, Endorsements};
use sealbook_attestation::tdx::{self, Collateral};
use sealbook_attestation::tpm::{self, Quote};
use sealbook_attestation::x509::{Anchor, Certificate, ChainRules, PublicKey, verify_chain};
use sealbook_attestation::{Outcome, Roots, Verdict};
use serde_json::Value;

use crate::judges::{collateral, quote_parts, snp_parts, vm};
use crate::made::{Bend, NOW, made, worlds};
use crate::manifest::{Entry, Evidence, Expect, entries, seconds};

/// How many bytes of how many recorded pieces were bent; `docs/attestation.md` says the same.
pub fn counted(what: &str, pieces: usize, bytes: usize) {
    let row = format!("| {what} | {pieces} | {bytes} |");
    println!("{row}");
    let page = std::fs::read_to_string(crate::shared::repository("docs/attestation.md")).unwrap();
    assert!(page.contains(&row), "docs/attestation.md must have the row: {row}");
}

fn verified(module: &str, kinds: &[&str]) -> Vec<Entry> {
    let of = |entry: &Entry| {
        entry.module == module
            && entry.expect == Some(Expect::Verified)
            && entry.kind.as_deref().is_some_and(|kind| kinds.contains(&kind))
    };
    entries().into_iter().filter(of).collect()
}

/// One of the checks must have failed.
pub fn refused(verdict: &Verdict, by: &[&str], what: &str) {
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
    let kinds = ["report", "certificate", "aci", "kms", "attestation-rs", "attest-request", "scale", "scale-json"];
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for entry in verified("snp", &kinds) {
        let with = with(&entry, &evidence);
        let (report, certificates) = snp_parts(entry.kind.as_deref().unwrap(), &evidence.read(&entry.path), &with);
        let endorsements = Endorsements::of(certificates).unwrap();
        let (roots, now) = (Roots::builtin(), seconds(entry.at.as_deref().unwrap()));
        flip_report(&entry.path, &report, &endorsements, &roots, now);
        let facts = snp::verify(&report, &endorsements, &snp::Rules::default(), &roots, now).facts;
        let kind =
            format!("SNP report, version {}, {}", facts["snp.version"], facts["snp.signing_key"].as_str().unwrap());
        *counts.entry(kind).or_default() += 1;
    }
    println!("{counts:?}");
    for (kind, reports) in counts {
        counted(&kind, reports, reports * snp::report::REPORT_BYTES);
    }
}

fn with<'a>(entry: &'a Entry, evidence: &Evidence) -> Vec<(&'a str, Vec<u8>)> {
    entry.with.iter().map(|path| (path.as_str(), evidence.read(path))).collect()
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

#[test]
fn every_byte_of_an_authority_is_covered() {
    let Some(evidence) = Evidence::open() else { return };
    let roots = Roots::builtin();
    let anchors: Vec<_> =
        roots.iter().map(|root| Anchor { name: root.label(), certificate: &root.certificate }).collect();
    let below: Vec<_> = roots.iter().flat_map(|root| root.intermediates.iter().cloned()).collect();
    let mut bent: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for entry in verified("x509", &["authorities"]) {
        let now = seconds(entry.at.as_deref().unwrap());
        for sound in Certificate::bundle(&evidence.read(&entry.path)).unwrap() {
            // A root is pinned by name and key, whatever else its certificate says.
            let root = anchors.iter().any(|anchor| anchor.certificate.der() == sound.der());
            if root || bent.insert(sound.der().to_vec(), sound.der().len()).is_some() {
                continue;
            }
            for at in 0..sound.der().len() {
                let Ok(leaf) = Certificate::from_der(&flipped(sound.der(), at, at)) else { continue };
                let mut verdict = Verdict::default();
                verify_chain("x509", &leaf, &below, &anchors, ChainRules::default(), now, &mut verdict);
                refused(&verdict, &["x509.chain"], &format!("{}, byte {at}", sound.name()));
            }
        }
    }
    counted("certificate of AMD's", bent.len(), bent.values().sum());
}

/// Returns how many bytes were bent.
fn flip_vm(name: &str, sound: &Vm, roots: &Roots, now: i64) -> usize {
    let rules = azure_vm::Rules::default();
    // The hardware report inside is bent above.
    let around: Vec<usize> = (0..0x20).chain(0x4c0..sound.hcl_report.len()).collect();
    for at in around.iter().copied() {
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
    flip_quote(name, quote, |bent| azure_vm::verify(&Vm { quote: Some(bent), ..sound.clone() }, &rules, roots, now));
    around.len() + quote_bytes(quote)
}

fn quote_bytes(quote: &Quote) -> usize {
    quote.message.len() + quote.signature.len() + 32 * quote.pcrs.len()
}

fn flip_quote(name: &str, sound: &Quote, judge: impl Fn(Quote) -> Verdict) {
    for at in 0..sound.message.len() {
        let verdict = judge(Quote { message: flipped(&sound.message, at, at), ..sound.clone() });
        refused(&verdict, &["quote.signature", "quote.format"], &format!("{name}, quote byte {at}"));
    }
    for at in 0..sound.signature.len() {
        let verdict = judge(Quote { signature: flipped(&sound.signature, at, at), ..sound.clone() });
        refused(&verdict, &["quote.signature"], &format!("{name}, quote signature byte {at}"));
    }
    for at in 0..32 * sound.pcrs.len() {
        let mut bent = sound.clone();
        let register = bent.pcrs.values_mut().nth(at / 32).unwrap();
        register[at % 32] ^= 1 << (at % 8);
        refused(&judge(bent), &["quote.pcr_digest"], &format!("{name}, register byte {at}"));
    }
}

#[test]
fn every_byte_around_the_hardware_report_is_covered() {
    flip_vm("made", &made().evidence(), &worlds()[0].roots(), NOW);
    let Some(evidence) = Evidence::open() else { return };
    let (entries, mut bytes) = (verified("azure_vm", &["evidence"]), 0);
    for entry in &entries {
        let sound = vm(&evidence.read(&entry.path), &[]);
        bytes += flip_vm(&entry.path, &sound, &Roots::builtin(), seconds(entry.at.as_deref().unwrap()));
    }
    counted("evidence of a VM, around its SNP report", entries.len(), bytes);
}

#[test]
fn every_byte_of_a_paravisors_report_is_covered() {
    let Some(evidence) = Evidence::open() else { return };
    let (entries, mut bytes) = (verified("hcl", &["report"]), 0);
    let rules = azure_vm::Rules { require_quote: false, ..azure_vm::Rules::default() };
    for entry in &entries {
        let certificates =
            with(entry, &evidence).iter().flat_map(|(_, bytes)| snp::certificates(bytes).unwrap()).collect();
        let (hcl_report, now) = (evidence.read(&entry.path), seconds(entry.at.as_deref().unwrap()));
        let endorsement = Endorsement::Snp(Endorsements::of(certificates).unwrap());
        let sound = Vm { hcl_report, endorsement, quote: None, event_log: None };
        for at in 0..sound.hcl_report.len() {
            let bent = Vm { hcl_report: flipped(&sound.hcl_report, at, at), ..sound.clone() };
            let verdict = azure_vm::verify(&bent, &rules, &Roots::builtin(), now);
            let by: &[&str] = if (0x20..0x4c0).contains(&at) {
                &["snp.signature", "snp.format"]
            } else {
                &["hcl.format", "hcl.binding", "hcl.hardware"]
            };
            refused(&verdict, by, &format!("{}, byte {at:#x}", entry.path));
        }
        bytes += sound.hcl_report.len();
    }
    counted("report of the paravisor, SNP report included", entries.len(), bytes);
}

#[test]
fn every_byte_of_a_quote_is_covered() {
    let Some(evidence) = Evidence::open() else { return };
    let (entries, mut bytes) = (verified("tpm", &["bincode", "quote-json", "trustee-tpm"]), 0);
    for entry in &entries {
        let (sound, key): (Quote, PublicKey) =
            quote_parts(entry.kind.as_deref().unwrap(), &evidence.read(&entry.path), &with(entry, &evidence));
        flip_quote(&entry.path, &sound, |bent| {
            let mut verdict = Verdict::default();
            tpm::verify(&bent, &key, &tpm::Rules::default(), &mut verdict);
            verdict
        });
        bytes += quote_bytes(&sound);
    }
    counted("quote of a virtual TPM with its registers", entries.len(), bytes);
}

#[test]
fn every_signed_byte_of_a_td_quote_is_covered() {
    let Some(evidence) = Evidence::open() else { return };
    let (entries, mut bytes) = (verified("tdx", &["quote"]), 0);
    for entry in &entries {
        let quote = evidence.read(&entry.path);
        let (collateral, now) = (collateral(&with(entry, &evidence)), seconds(entry.at.as_deref().unwrap()));
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
        bytes += fields.iter().map(|(_, length, _)| length).sum::<usize>();
    }
    counted("TD quote, what is signed and the signatures", entries.len(), bytes);
}

#[test]
fn every_signed_byte_of_intels_collateral_is_covered() {
    let Some(evidence) = Evidence::open() else { return };
    let (mut pieces, mut bytes) = (0, 0);
    for entry in verified("tdx", &["quote"]) {
        let Some((_, sound)) = with(&entry, &evidence).into_iter().find(|(path, _)| path.ends_with("collateral.json"))
        else {
            continue;
        };
        let (quote, now) = (evidence.read(&entry.path), seconds(entry.at.as_deref().unwrap()));
        let sound: Value = serde_json::from_slice(&sound).unwrap();
        for member in
            ["tcb_info", "tcb_info_signature", "qe_identity", "qe_identity_signature", "root_ca_crl", "pck_crl"]
        {
            let text = sound[member].as_str().unwrap();
            let binary = !text.starts_with('{');
            let signed = if binary { hex::decode(text).unwrap() } else { text.as_bytes().to_vec() };
            for at in 0..signed.len() {
                let mut document = sound.clone();
                // The lowest bit: what is text stays text.
                let bent = flipped(&signed, at, if binary { at } else { 0 });
                document[member] = if binary { hex::encode(&bent) } else { String::from_utf8(bent).unwrap() }.into();
                let collateral = Collateral::parse(document.to_string().as_bytes()).unwrap();
                let verdict = tdx::verify(&quote, Some(&collateral), &tdx::Rules::default(), &Roots::builtin(), now);
                refused(&verdict, &["tdx.collateral"], &format!("{}, {member}, byte {at}", entry.path));
            }
            bytes += signed.len();
        }
        pieces += 1;
    }
    counted("Intel's collateral: TCB info, enclave identity, revocation lists", pieces, bytes);
}

#[test]
fn what_nobody_signs_is_what_the_page_says() {
    let rules = azure_vm::Rules::default();
    let page = std::fs::read_to_string(crate::shared::repository("docs/attestation.md")).unwrap();
    let table: [(&str, Bend<Vm>); 5] = [
        ("the version of the paravisor's header, 1 or 2", |vm| vm.hcl_report[4] ^= 3),
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
