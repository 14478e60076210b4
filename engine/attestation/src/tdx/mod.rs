//! Intel TDX: a quote, the quoting enclave that signed it, the platform's certificate, and Intel's word on its TCB.
//!
//! Signatures and the chain to the pinned root are checked here, so that each has a name in the verdict. What Intel says
//! about the platform (TCB levels, the quoting enclave's identity, revocation lists) is judged by `dcap-qvl` over the
//! whole quote, under the same root and with this project's cryptography. Nothing is fetched: collateral is given.

mod collateral;
mod crypto;

pub use collateral::{Collateral, CollateralError, CollateralParts};

use dcap_qvl::quote::{Quote, TDReport10};
use dcap_qvl::verify::{QuoteVerifier, VerifiedReport};
use sealbook_crypto::Hash;
use sealbook_crypto::ec::{Curve, EcPublic};

use crate::bytes::all_zero;
use crate::roots::{Kind, Roots, anchors};
use crate::verdict::{Outcome, Verdict};
use crate::x509::{Certificate, ChainRules, PublicKey, verify_chain};

/// Quotes above this size are refused; real ones have some 5 KiB.
const LARGEST: usize = 64 * 1024;
/// SGX certificates in one quote.
const MOST_CERTIFICATES: usize = 8;

/// Demands on a TD. By default: no debugging, TCB up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The host may read and write the TD's memory.
    pub allow_debug: bool,
    /// Intel's words for TCBs that are accepted (`UpToDate`, `SWHardeningNeeded`, …).
    pub tcb_status: Vec<String>,
    /// Advisories (`INTEL-SA-…`) that the platform must not be open to.
    pub reject_advisories: Vec<String>,
    /// REPORTDATA must be this.
    pub report_data: Option<[u8; 64]>,
    /// MRTD must be one of these, when there are any.
    pub measurements: Vec<[u8; 48]>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            allow_debug: false,
            tcb_status: vec!["UpToDate".into()],
            reject_advisories: Vec::new(),
            report_data: None,
            measurements: Vec::new(),
        }
    }
}

/// What a quote says of the TD, as far as it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Td {
    report: TDReport10,
}

impl Td {
    /// Whether a TDREPORT (1024 bytes) speaks of the same TD at the same moment: report data, attributes, measurements.
    #[must_use]
    pub fn matches(&self, tdreport: &[u8]) -> bool {
        let report = &self.report;
        let fields: [(usize, &[u8]); 10] = [
            (128, &report.report_data),
            (512, &report.td_attributes),
            (520, &report.xfam),
            (528, &report.mr_td),
            (576, &report.mr_config_id),
            (624, &report.mr_owner),
            (672, &report.mr_owner_config),
            (720, &report.rt_mr0),
            (768, &report.rt_mr1),
            (816, &report.rt_mr2),
        ];
        fields.iter().all(|(at, field)| tdreport.get(*at..).is_some_and(|rest| rest.starts_with(field)))
            && tdreport.get(864..).is_some_and(|rest| rest.starts_with(&report.rt_mr3))
    }
}

/// Verifies a quote at `now` (unix seconds): `tdx.format`, `tdx.chain`, `tdx.root`, `tdx.validity`, `tdx.qe`,
/// `tdx.signature`, `tdx.debug`, `tdx.report_data`, `tdx.measurement`, `tdx.collateral`, `tdx.tcb`.
#[must_use]
pub fn verify(quote: &[u8], collateral: Option<&Collateral>, rules: &Rules, roots: &Roots, now: i64) -> Verdict {
    let mut verdict = Verdict::default();
    inspect(quote, collateral, rules, roots, now, &mut verdict);
    verdict
}

/// As [`verify`]; also returns what the quote says, whatever failed, when it can be read.
pub(crate) fn inspect(
    bytes: &[u8],
    collateral: Option<&Collateral>,
    rules: &Rules,
    roots: &Roots,
    now: i64,
    verdict: &mut Verdict,
) -> Option<Td> {
    let parsed = parse(bytes);
    let (quote, report) = verdict.demand("tdx.format", parsed, |(quote, _)| {
        format!("a TD quote of version {}, {} bytes", quote.header.version, bytes.len())
    })?;
    facts(&report, verdict);
    let trusted = roots.of(|kind| kind == Kind::Intel);
    let root = signatures(bytes, &quote, &trusted, now, verdict).and_then(|root| trusted.get(root).copied());
    rules.judge(&report, verdict);
    match (collateral, root) {
        (None, _) => {
            let why = "no collateral was given: what Intel says of this platform's TCB, and what it has revoked";
            verdict.check("tdx.collateral", false, why);
        }
        (Some(_), None) => {
            verdict.check("tdx.collateral", false, "the platform's chain leads to no root that is trusted here");
        }
        (Some(collateral), Some(root)) => {
            // Debugging has been judged, by its own name.
            let seconds = u64::try_from(now).unwrap_or(0);
            let verifier = QuoteVerifier::<crypto::Backend>::new_with_config(root.certificate.der().to_vec());
            let result = verifier.allow_debug(true).verify(bytes, &collateral.0, seconds);
            let result = result.map_err(|error| format!("{error:#}"));
            let found = verdict.demand("tdx.collateral", result, |found| {
                format!("Intel's collateral covers this platform; its TCB is {}", found.status)
            });
            if let Some(found) = found {
                tcb(&found, rules, verdict);
            }
        }
    }
    Some(Td { report })
}

/// What a quote states, unverified.
pub(crate) fn states(bytes: &[u8], verdict: &mut Verdict) -> bool {
    parse(bytes).map(|(_, report)| facts(&report, verdict)).is_ok()
}

fn parse(bytes: &[u8]) -> Result<(Quote, TDReport10), String> {
    if bytes.len() > LARGEST {
        return Err(format!("{} bytes are too many for a quote", bytes.len()));
    }
    let quote = Quote::parse(bytes).map_err(|error| error.to_string())?;
    match quote.report.as_td10().copied() {
        Some(report) if matches!(quote.header.version, 4 | 5) => Ok((quote, report)),
        Some(_) => Err(format!("a TD quote of version {} is not understood; 4 and 5 are", quote.header.version)),
        None => Err("it is the quote of an SGX enclave, not of a TD".into()),
    }
}

/// Notes `tdx.chain`, `tdx.root`, `tdx.validity`, `tdx.qe` and `tdx.signature`; returns which root it is.
fn signatures(
    bytes: &[u8],
    quote: &Quote,
    trusted: &[&crate::roots::Root],
    now: i64,
    verdict: &mut Verdict,
) -> Option<usize> {
    let bundle = quote.raw_cert_chain().map_err(|error| error.to_string());
    let bundle = bundle.and_then(|bundle| Certificate::bundle(bundle).map_err(|error| error.to_string()));
    let bundle = bundle.and_then(|bundle| match bundle.split_first() {
        Some((leaf, above)) if bundle.len() <= MOST_CERTIFICATES => Ok((leaf.clone(), above.to_vec())),
        _ => Err(format!("{} certificates are not a chain", bundle.len())),
    });
    let (root, leaf) = match bundle {
        Ok((leaf, above)) => {
            let root = verify_chain("tdx", &leaf, &above, &anchors(trusted), ChainRules::default(), now, verdict);
            (root, leaf)
        }
        Err(why) => {
            verdict.check("tdx.chain", false, format!("the platform's certificates (PCK): {why}"));
            return None;
        }
    };
    let auth = quote.auth_data.clone().into_v3();
    let enclave = (|| {
        let Ok(PublicKey::Ec(key)) = leaf.public_key() else {
            return Err("the platform's key is no elliptic key".to_owned());
        };
        if key.curve != Curve::P256 {
            return Err("the platform's key is not on P-256".to_owned());
        }
        key.verify(&Hash::Sha256.digest(&auth.qe_report), &auth.qe_report_signature)
            .map_err(|_| "the platform's key (PCK) did not sign the quoting enclave's report".to_owned())?;
        let keyed = [&auth.ecdsa_attestation_key[..], &auth.qe_auth_data.data].concat();
        // REPORTDATA of an SGX report: its last 64 bytes (Intel SDM 3D, table 38-21).
        let (hash, rest) = auth.qe_report.get(320..).and_then(|data| data.split_at_checked(32)).unwrap_or_default();
        if hash == sealbook_crypto::sha256(&keyed) && all_zero(rest) {
            Ok(())
        } else {
            Err("the quoting enclave's report does not name the key that signed the quote".to_owned())
        }
    })();
    verdict.demand("tdx.qe", enclave, |()| "the quoting enclave on this platform holds the attestation key".to_owned());
    let signed = bytes.get(..quote.signed_length()).unwrap_or_default();
    let (x, y) = auth.ecdsa_attestation_key.split_at_checked(32).unwrap_or_default();
    let key = EcPublic { curve: Curve::P256, x: x.to_vec(), y: y.to_vec() };
    let result = key.verify(&Hash::Sha256.digest(signed), &auth.ecdsa_signature);
    let result = result.map_err(|_| "the attestation key did not sign this quote");
    verdict.demand("tdx.signature", result, |()| {
        format!("ECDSA P-256 with SHA-256 over the first {} bytes", signed.len())
    });
    root
}

/// Notes `tdx.tcb`.
fn tcb(found: &VerifiedReport, rules: &Rules, verdict: &mut Verdict) {
    verdict.fact("tdx.tcb_status", found.status.as_str());
    verdict.fact("tdx.advisories", found.advisory_ids.clone());
    let open: Vec<_> = rules.reject_advisories.iter().filter(|id| found.advisory_ids.contains(id)).cloned().collect();
    let accepted = rules.tcb_status.contains(&found.status);
    let detail = match (accepted, open.is_empty()) {
        (true, true) => found.status.clone(),
        (false, _) => {
            let advisories = found.advisory_ids.join(", ");
            format!("{} ({advisories}); accepted: {}", found.status, rules.tcb_status.join(", "))
        }
        (true, false) => format!("{}, but open to {}", found.status, open.join(", ")),
    };
    verdict.check("tdx.tcb", accepted && open.is_empty(), detail);
}

impl Rules {
    /// Notes `tdx.debug`, `tdx.report_data` and `tdx.measurement`.
    fn judge(&self, report: &TDReport10, verdict: &mut Verdict) {
        let [under_debug, ..] = report.td_attributes;
        let detail = if under_debug == 0 {
            "the TD is not under debug".to_owned()
        } else {
            format!("attributes {under_debug:#04x}: the host may read and write the TD's memory")
        };
        verdict.check("tdx.debug", under_debug == 0 || self.allow_debug, detail);
        let seen = hex::encode(report.report_data);
        match self.report_data {
            None => verdict.note("tdx.report_data", Outcome::NotApplicable, "nothing was demanded"),
            Some(demanded) => {
                let detail = format!("it is {seen}, demanded was {}", hex::encode(demanded));
                verdict.check("tdx.report_data", report.report_data == demanded, detail);
            }
        }
        if self.measurements.is_empty() {
            verdict.note("tdx.measurement", Outcome::NotApplicable, "no list was given");
        } else {
            let holds = self.measurements.contains(&report.mr_td);
            let listed = if holds { "one of those listed" } else { "none of those listed" };
            verdict.check("tdx.measurement", holds, format!("{} is {listed}", hex::encode(report.mr_td)));
        }
    }
}

fn facts(report: &TDReport10, verdict: &mut Verdict) {
    for (name, bytes) in [
        ("tdx.mr_td", &report.mr_td[..]),
        ("tdx.mr_seam", &report.mr_seam),
        ("tdx.mr_config_id", &report.mr_config_id),
        ("tdx.mr_owner", &report.mr_owner),
        ("tdx.rt_mr0", &report.rt_mr0),
        ("tdx.rt_mr1", &report.rt_mr1),
        ("tdx.rt_mr2", &report.rt_mr2),
        ("tdx.rt_mr3", &report.rt_mr3),
        ("tdx.td_attributes", &report.td_attributes),
        ("tdx.xfam", &report.xfam),
        ("tdx.tee_tcb_svn", &report.tee_tcb_svn),
        ("tdx.report_data", &report.report_data),
    ] {
        verdict.fact(name, hex::encode(bytes));
    }
}
