//! Attacks on evidence made here: each bends one thing and names the check that must refuse.

use sealbook_attestation::azure_vm::{Endorsement, Evidence, Rules, verify};
use sealbook_attestation::roots::Roots;
use sealbook_attestation::snp::{GuestPolicy, Product, SigningKey, Tcb};
use sealbook_attestation::{Outcome, Verdict};
use sealbook_crypto::Hash;

use crate::made::{Bend, Made, NONCE, NOW, made, worlds};

fn rules() -> Rules {
    let mut rules = Rules::default();
    rules.quote.nonce = Some(NONCE.to_vec());
    rules
}

fn judged(evidence: &Evidence, rules: &Rules) -> Verdict {
    verify(evidence, rules, &worlds()[0].roots(), NOW)
}

fn decided(verdict: &Verdict) -> &str {
    verdict.deciding().map_or(if verdict.passed() { "verified" } else { "nothing" }, |check| check.name.as_str())
}

#[test]
fn a_sound_vm_verifies_and_says_that_its_root_is_a_test_root() {
    let verdict = judged(&made().evidence(), &rules());
    assert!(verdict.passed(), "{:#?}", verdict.deciding());
    let root = verdict.checks.iter().find(|check| check.name == "snp.root").unwrap();
    assert!(root.detail.contains("a TEST root of TRUSTED"), "{}", root.detail);
    let built_in = verify(&made().evidence(), &rules(), &Roots::builtin(), NOW);
    assert_eq!(decided(&built_in), "snp.root");
}

#[test]
fn bent_before_it_was_signed() {
    let old = Tcb { fmc: None, bootloader: 3, tee: 0, snp: 8, microcode: 115 };
    let table: [(&str, Bend<Made>, &str); 33] = [
        ("nothing", |_| {}, "verified"),
        ("a self-made hierarchy", |m| m.world = &worlds()[1], "snp.root"),
        ("an expired VCEK", |m| m.validity.1 = NOW - 1, "snp.validity"),
        ("the last second of a VCEK", |m| m.validity.1 = NOW, "verified"),
        ("a VCEK of tomorrow", |m| m.validity.0 = NOW + 1, "snp.validity"),
        ("a VCEK for another TCB", |m| m.key.tcb.microcode += 1, "snp.tcb"),
        ("a VCEK of another chip", |m| m.key.hwid = Some(vec![0xc2; 64]), "snp.chip"),
        ("a masked chip", |m| m.report.chip_id = [0; 64], "snp.chip"),
        (
            "a VCEK of another product",
            |m| {
                m.key.product = Some(Product::Genoa);
                m.key.product_name = "Genoa".into();
            },
            "snp.product",
        ),
        ("an unknown product", |m| m.key.product_name = "Rome".into(), "snp.product"),
        ("a report of another product", |m| m.report.cpuid = Some((0x19, 0x11, 1)), "snp.product"),
        ("an unknown processor", |m| m.report.cpuid = Some((0x17, 0x31, 0)), "snp.format"),
        (
            "a VLEK where a VCEK is named",
            |m| {
                m.key.kind = SigningKey::Vlek;
                m.key.hwid = None;
                m.key.csp_id = Some("provider".into());
            },
            "snp.key",
        ),
        (
            "a VLEK, named",
            |m| {
                m.key.kind = SigningKey::Vlek;
                m.key.hwid = None;
                m.key.csp_id = Some("provider".into());
                m.report.key_flags = 1 << 2;
            },
            "verified",
        ),
        ("a report that names no key", |m| m.report.key_flags = 7 << 2, "snp.key"),
        ("a masked signing key", |m| m.report.key_flags = 2, "snp.key"),
        ("unknown key flags", |m| m.report.key_flags = 1 << 5, "snp.format"),
        ("debugging", |m| m.report.policy = GuestPolicy(0xb_001f), "snp.policy"),
        ("a migration agent", |m| m.report.policy = GuestPolicy(0x7_001f), "snp.policy"),
        ("an unknown policy bit", |m| m.report.policy = GuestPolicy(0x400_0003_001f), "snp.policy"),
        ("bit 17 off", |m| m.report.policy = GuestPolicy(0x1_001f), "snp.policy"),
        ("a lower privilege level", |m| m.report.vmpl = 1, "snp.vmpl"),
        ("the host asked", |m| m.report.vmpl = u32::MAX, "snp.vmpl"),
        ("another algorithm", |m| m.report.signature_algorithm = 2, "snp.signature"),
        ("version 4", |m| m.report.version = 4, "snp.format"),
        ("version 6", |m| m.report.version = 6, "snp.format"),
        (
            "version 2",
            |m| {
                m.report.version = 2;
                m.report.cpuid = None;
            },
            "verified",
        ),
        (
            "version 5",
            |m| {
                m.report.version = 5;
                m.report.mitigations = Some((3, 7));
            },
            "verified",
        ),
        ("committed newer than current", |m| m.report.committed_tcb.snp += 1, "snp.tcb"),
        ("an unknown challenge", |m| m.attest.extra_data = b"yesterday's challenge".to_vec(), "quote.nonce"),
        ("another VM's attestation key", |m| m.signed_by_other_ak = true, "quote.signature"),
        ("no register quoted", |m| m.attest.selections[0].pcrs.clear(), "quote.pcr_selection"),
        (
            "an event that was not measured",
            |m| {
                let more = m.events[0].clone();
                m.events.push(more);
            },
            "log.pcrs",
        ),
    ];
    for (what, bend, expected) in table {
        let mut parts = made();
        bend(&mut parts);
        let verdict = judged(&parts.evidence(), &rules());
        assert_eq!(decided(&verdict), expected, "{what}: {:#?}", verdict.deciding());
    }
    // A rollback: what the rules demand is newer than what runs.
    for (bend, expected) in [((|_| {}) as Bend<Made>, "verified"), (|m| m.report.launch_tcb.microcode -= 1, "snp.tcb")]
    {
        let mut parts = made();
        bend(&mut parts);
        let mut rules = rules();
        rules.snp.min_tcb = Some(parts.report.current_tcb);
        rules.snp.min_launch_tcb = rules.snp.min_tcb;
        assert_eq!(decided(&judged(&parts.evidence(), &rules)), expected);
    }
    let mut rolled_back = made();
    let newest = rolled_back.report.current_tcb;
    for tcb in [&mut rolled_back.report.reported_tcb, &mut rolled_back.report.committed_tcb, &mut rolled_back.key.tcb] {
        *tcb = old;
    }
    let mut rules = rules();
    let evidence = rolled_back.evidence();
    assert_eq!(decided(&judged(&evidence, &rules)), "verified", "without a demand an old TCB is a fact");
    rules.snp.min_tcb = Some(newest);
    let verdict = judged(&evidence, &rules);
    assert_eq!(decided(&verdict), "snp.tcb");
    assert!(verdict.deciding().unwrap().detail.contains("bootloader 3 < 4"), "{:?}", verdict.deciding());
}

#[test]
fn bent_after_it_was_signed() {
    let table: [(&str, Bend<Evidence>, &str); 14] = [
        (
            "swapped runtime data",
            |e| {
                let mut other = made();
                other.user_data = [0x66; 64];
                let other = other.evidence().hcl_report;
                e.hcl_report.truncate(0x20 + 1184);
                e.hcl_report.extend_from_slice(&other[0x20 + 1184..]);
            },
            "hcl.binding",
        ),
        ("hash type 2 over SHA-256", |e| e.hcl_report[0x4cc] = 2, "hcl.binding"),
        ("hash type 4", |e| e.hcl_report[0x4cc] = 4, "hcl.format"),
        ("report type TDX", |e| e.hcl_report[0x4c8] = 4, "hcl.hardware"),
        ("a size beyond the end", |e| e.hcl_report[0x4d2] = 1, "hcl.format"),
        ("a truncated report", |e| e.hcl_report.truncate(1300), "hcl.format"),
        ("an oversized report", |e| e.hcl_report.resize(70_000, 0), "hcl.format"),
        ("something behind the runtime data", |e| *e.hcl_report.last_mut().unwrap() = 1, "hcl.format"),
        (
            "a register that was not quoted so",
            |e| {
                e.quote.as_mut().unwrap().pcrs.insert(4, [9; 32]);
            },
            "quote.pcr_digest",
        ),
        (
            "a register without a value",
            |e| {
                e.quote.as_mut().unwrap().pcrs.remove(&4);
            },
            "quote.pcr_digest",
        ),
        ("no quote", |e| e.quote = None, "quote.format"),
        ("a truncated quote", |e| e.quote.as_mut().unwrap().message.truncate(60), "quote.format"),
        ("bytes behind the quote", |e| e.quote.as_mut().unwrap().message.push(0), "quote.format"),
        (
            "a quote's endorsement of a TD",
            |e| {
                e.endorsement = Endorsement::Tdx { quote: vec![0; 700], collateral: None };
            },
            "hcl.hardware",
        ),
    ];
    for (what, bend, expected) in table {
        let mut evidence = made().evidence();
        bend(&mut evidence);
        let verdict = judged(&evidence, &rules());
        assert_eq!(decided(&verdict), expected, "{what}: {:#?}", verdict.deciding());
    }
}

#[test]
fn every_hash_of_the_runtime_data_binds() {
    for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
        let mut parts = made();
        parts.hash = hash;
        let verdict = judged(&parts.evidence(), &rules());
        assert_eq!(decided(&verdict), "verified", "{hash:?}");
    }
}

#[test]
fn rules_decide_by_their_own_names() {
    let table: [(&str, Bend<Rules>, &str); 20] = [
        ("measurement, listed", |r| r.snp.measurements = vec![[0x4d; 48]], "verified"),
        ("measurement", |r| r.snp.measurements = vec![[0; 48]], "snp.measurement"),
        ("host data", |r| r.snp.host_data = Some([0; 32]), "snp.host_data"),
        ("report data", |r| r.snp.report_data = Some([0; 64]), "snp.report_data"),
        ("chip, listed", |r| r.snp.chips = vec![[0xc1; 64]], "verified"),
        ("chip", |r| r.snp.chips = vec![[0; 64]], "snp.chip_allowed"),
        ("id key", |r| r.snp.id_keys = vec![[0; 48]], "snp.id_key"),
        ("author key", |r| r.snp.author_keys = vec![[0; 48]], "snp.author_key"),
        ("threads", |r| r.snp.guest.allow_smt = false, "snp.policy"),
        ("one socket", |r| r.snp.guest.require_single_socket = true, "snp.policy"),
        ("firmware interface, enough", |r| r.snp.guest.min_abi = Some((0, 31)), "verified"),
        ("firmware interface", |r| r.snp.guest.min_abi = Some((1, 0)), "snp.policy"),
        ("secure boot, on", |r| r.hcl.require_secure_boot = true, "verified"),
        ("console", |r| r.hcl.forbid_console = true, "hcl.console"),
        ("VM, in other letters", |r| r.hcl.vm_id = Some("11111111-2222-3333-4444-555555555555".into()), "verified"),
        ("VM", |r| r.hcl.vm_id = Some("another".into()), "hcl.vm_id"),
        ("user data", |r| r.hcl.user_data = Some([0; 64]), "hcl.user_data"),
        ("register, as it is", |r| _ = r.quote.pcrs.insert(1, [0; 32]), "verified"),
        ("register", |r| _ = r.quote.pcrs.insert(0, [0; 32]), "quote.pcrs"),
        ("register that does not exist", |r| r.quote.selection = vec![24], "quote.pcr_selection"),
    ];
    for (what, demand, expected) in table {
        let mut rules = rules();
        demand(&mut rules);
        let verdict = judged(&made().evidence(), &rules);
        assert_eq!(decided(&verdict), expected, "{what}: {:#?}", verdict.deciding());
    }
    let table: [(Bend<Made>, Bend<Rules>, &str); 5] = [
        (|m| m.vm.secure_boot = false, |r| r.hcl.require_secure_boot = true, "hcl.secure_boot"),
        (|m| m.vm.tpm_enabled = false, |_| {}, "hcl.tpm"),
        (|m| m.vm.tpm_persisted = Some(true), |r| r.hcl.forbid_persisted_tpm = true, "hcl.tpm"),
        (|m| m.report.policy = GuestPolicy(0xb_001f), |r| r.snp.guest.allow_debug = true, "verified"),
        (|m| m.report.policy = GuestPolicy(0x7_001f), |r| r.snp.guest.allow_migration_agent = true, "verified"),
    ];
    for (bend, demand, expected) in table {
        let (mut parts, mut rules) = (made(), rules());
        bend(&mut parts);
        demand(&mut rules);
        let verdict = judged(&parts.evidence(), &rules);
        assert_eq!(decided(&verdict), expected, "{:#?}", verdict.deciding());
    }
    let mut rules = rules();
    rules.snp.allow_vlek = false;
    let mut vlek = made();
    (vlek.key.kind, vlek.key.hwid, vlek.key.csp_id) = (SigningKey::Vlek, None, Some("provider".into()));
    vlek.report.key_flags = 1 << 2;
    assert_eq!(decided(&judged(&vlek.evidence(), &rules)), "snp.key");
}

#[test]
fn without_demands_a_check_says_that_it_was_not_made() {
    let verdict = judged(&made().evidence(), &Rules::default());
    for name in ["quote.nonce", "quote.pcrs", "snp.measurement", "hcl.secure_boot"] {
        let check = verdict.checks.iter().find(|check| check.name == name).unwrap();
        assert_eq!(check.outcome, Outcome::NotApplicable, "{name}");
    }
}

#[test]
fn turin_has_another_tcb_and_shorter_chips() {
    let tcb = Tcb { fmc: Some(1), bootloader: 2, tee: 3, snp: 4, microcode: 0x51 };
    let mut parts = made();
    parts.report.cpuid = Some((0x1a, 0x02, 1));
    let report = &mut parts.report;
    for field in [&mut report.current_tcb, &mut report.reported_tcb, &mut report.committed_tcb, &mut report.launch_tcb]
    {
        *field = tcb;
    }
    report.chip_id = [0; 64];
    report.chip_id[..8].copy_from_slice(&[0xd1; 8]);
    (parts.key.tcb, parts.key.hwid, parts.key.product_name) = (tcb, Some(vec![0xd1; 8]), "Turin-C1".into());
    let roots = Roots::none().with_test(
        "TRUSTED",
        sealbook_attestation::roots::Kind::Amd(Product::Turin),
        parts.world.ark.clone(),
        vec![],
    );
    let evidence = parts.evidence();
    let verdict = verify(&evidence, &rules(), &roots, NOW);
    assert!(verdict.passed(), "{:#?}", verdict.deciding());
    assert_eq!(verdict.facts["snp.reported_tcb"]["fmc"], 1);
    assert_eq!(decided(&judged(&evidence, &rules())), "snp.product", "Milan's root does not vouch for Turin");
}
