//! Whatever a TD quote and Intel's collateral hold: no verdict passes under Intel's root for a quote that answers
//! something that no recorded quote answers; and within a bounded time. An input is a quote, then perhaps a line of dashes
//! and collateral, so that the seeds go all the way through chain, signatures and collateral.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sealbook_attestation::tdx::{Collateral, CollateralParts, Rules, verify};
use sealbook_attestation::{Roots, sniff};

#[path = "common/mod.rs"]
mod common;

/// Instants at which recorded collateral is in date; the last one is today's tests'.
const TIMES: [i64; 4] = [1_750_320_802, 1_761_955_200, 1_687_000_000, 1_767_225_600];

fn roots() -> &'static Roots {
    static ROOTS: OnceLock<Roots> = OnceLock::new();
    ROOTS.get_or_init(Roots::builtin)
}

fuzz_target!(|data: &[u8]| {
    let [quote, collateral, more] = common::parts(data);
    let one = Collateral::parse(collateral).ok();
    // As the service's answers: the same bytes stand for each.
    let parts = CollateralParts {
        root_ca_crl: more,
        pck_crl: more,
        pck_crl_issuer_chain: "",
        tcb_info: collateral,
        tcb_info_issuer_chain: "",
        qe_identity: collateral,
        qe_identity_issuer_chain: "",
    };
    let several = Collateral::from_parts(&parts).ok();
    let now = TIMES[data.len() % TIMES.len()];
    let rules = Rules { report_data: Some(common::NOBODYS), ..Rules::default() };
    for collateral in [one.as_ref(), several.as_ref()] {
        let verdict = verify(quote, collateral, &rules, roots(), now);
        assert!(!verdict.passed(), "a forged quote");
        assert!(verdict.checks.iter().any(|check| check.name.starts_with("tdx.")));
    }
    let recognised = sniff::look(quote).is_some_and(|seen| seen.kind == "A quote of Intel TDX");
    let format = verify(quote, None, &rules, roots(), now).checks.swap_remove(0);
    assert!(!recognised || format.outcome == sealbook_attestation::Outcome::Passed, "{format:?}");
});
