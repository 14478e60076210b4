//! Another implementation over the same evidence: `sev` must agree on the signature and the chain, on sound reports and on
//! bent ones. Where it does not look, it is said here what this project looks at besides.

use sealbook_attestation::snp::{self, Endorsements};
use sealbook_attestation::x509::Certificate;
use sealbook_attestation::{Outcome, Roots, Verdict};
use sev::certs::snp::{Certificate as SevCertificate, Chain, Verifiable, ca};
use sev::firmware::guest::AttestationReport;
use sev::parser::ByteParser;

use crate::judges::snp_parts;
use crate::made::{Bend, Made, NOW, made, worlds};
use crate::manifest::{Evidence, entries, seconds};

fn sev(report: &[u8], leaf: &Certificate, above: &Certificate, root: &Certificate) -> bool {
    let read = |certificate: &Certificate| SevCertificate::from_der(certificate.der()).unwrap();
    let chain = Chain { ca: ca::Chain { ark: read(root), ask: read(above) }, vek: read(leaf) };
    AttestationReport::from_bytes(report).is_ok_and(|report| (&chain, &report).verify().is_ok())
}

/// Signature and chain, without what `sev` does not look at.
fn ours(verdict: &Verdict) -> bool {
    let held = |name: &str| verdict.checks.iter().any(|c| c.name == name && c.outcome == Outcome::Passed);
    held("snp.format") && held("snp.chain") && held("snp.signature")
}

#[test]
fn sev_agrees_on_signature_and_chain() {
    let Some(evidence) = Evidence::open() else { return };
    let roots = Roots::builtin();
    let mut compared = 0;
    for entry in entries().iter().filter(|entry| entry.module == "snp" && entry.at.is_some()) {
        let with: Vec<_> = entry.with.iter().map(|path| (path.as_str(), evidence.read(path))).collect();
        let (report, certificates) = snp_parts(entry.kind.as_deref().unwrap(), &evidence.read(&entry.path), &with);
        let endorsements = Endorsements::of(certificates).unwrap();
        let now = seconds(entry.at.as_deref().unwrap());
        // sev takes the chain as it is: the root that the issuer's name leads to, and what stands between.
        let known =
            roots.iter().flat_map(|root| root.intermediates.iter().map(move |below| (below, &root.certificate)));
        let given = endorsements.intermediates.iter().flat_map(|below| {
            roots
                .iter()
                .filter(|root| below.issued_by(&root.certificate).is_ok())
                .map(move |root| (below, &root.certificate))
        });
        let Some((above, root)) = known.chain(given).find(|(above, _)| above.subject() == endorsements.leaf.issuer())
        else {
            assert_eq!(entry.decides.as_deref(), Some("snp.chain"), "{}: no chain to compare", entry.path);
            continue;
        };
        for bend in [None, Some(0x50), Some(0x90), Some(0x181), Some(0x2a4)] {
            let mut report = report.clone();
            if let Some(at) = bend {
                report[at] ^= 1;
            }
            let verdict = snp::verify(&report, &endorsements, &snp::Rules::default(), &roots, now);
            let theirs = sev(&report, &endorsements.leaf, above, root);
            assert_eq!(ours(&verdict), theirs, "{} bent at {bend:?}: {:?}", entry.path, verdict.deciding());
            compared += 1;
        }
    }
    assert!(compared >= 60, "{compared}");
}

#[test]
fn where_this_project_is_stricter() {
    let roots = worlds()[0].roots();
    let judge = |parts: &Made| {
        let endorsements = parts.endorsements();
        let theirs = sev(&parts.report(), &endorsements.leaf, &parts.world.ask, &parts.world.ark);
        let verdict = snp::verify(&parts.report(), &endorsements, &snp::Rules::default(), &roots, NOW);
        (theirs, verdict.deciding().map(|check| check.name.clone()))
    };
    let table: [(Bend<Made>, &str); 6] = [
        // sev believes whichever root stands in the chain.
        (|m| m.world = &worlds()[1], "snp.root"),
        // sev does not look at dates,
        (|m| m.validity.1 = NOW - 1, "snp.validity"),
        // nor at what the certificate is for,
        (|m| m.key.tcb.snp += 1, "snp.tcb"),
        (|m| m.key.hwid = Some(vec![9; 64]), "snp.chip"),
        // nor at what the owner demanded of the guest.
        (|m| m.report.policy = snp::GuestPolicy(0xb_0000), "snp.policy"),
        (|m| m.report.vmpl = 4, "snp.vmpl"),
    ];
    for (bend, decides) in table {
        let mut parts = made();
        bend(&mut parts);
        assert_eq!(judge(&parts), (true, Some(decides.into())));
    }
    // sev verifies what it would write, not what it was given: reserved bytes of the TCB may be anything.
    let parts = made();
    let mut report = parts.report();
    report[0x184] ^= 1;
    let endorsements = parts.endorsements();
    assert!(sev(&report, &endorsements.leaf, &parts.world.ask, &parts.world.ark));
    let verdict = snp::verify(&report, &endorsements, &snp::Rules::default(), &roots, NOW);
    assert_eq!(verdict.deciding().map(|check| check.name.as_str()), Some("snp.format"));
    // sev reads versions that are not specified as the nearest one that is.
    let mut parts = made();
    parts.report.version = 4;
    assert_eq!(judge(&parts), (true, Some("snp.format".into())));
}
