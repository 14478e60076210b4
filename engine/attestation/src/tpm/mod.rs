//! A quote of a TPM 2.0: TPMS_ATTEST (TPM 2.0 library, part 2, §10.12) and its signature (§11.3).

mod attest;
mod signature;

pub use attest::{Attest, AttestError, Bank, Selection};
pub use signature::{QuoteSignature, SignatureError};

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::verdict::{Outcome, Verdict};
use crate::x509::PublicKey;

/// Number of platform configuration registers.
pub const PCRS: u8 = 24;

/// Values of registers in the SHA-256 bank, by number.
pub type Pcrs = BTreeMap<u8, [u8; 32]>;

/// A quote as evidence carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// TPMS_ATTEST, as it was signed.
    pub message: Vec<u8>,
    /// The signature: TPMT_SIGNATURE, or the bytes of an RSASSA-PKCS1-v1_5 signature with SHA-256 alone.
    pub signature: Vec<u8>,
    /// The registers' values, which the quote vouches for by their digest.
    pub pcrs: Pcrs,
}

/// Demands on a quote.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// The challenge that the quote must answer. Without one nothing tells it from an old one.
    pub nonce: Option<Vec<u8>>,
    /// Values that registers must have.
    pub pcrs: Pcrs,
    /// Registers that must be quoted.
    pub selection: Vec<u8>,
}

/// Verifies a quote under the key that must have signed it: `quote.format`, `quote.signature`, `quote.nonce`,
/// `quote.pcr_selection`, `quote.pcr_digest`, `quote.pcrs`.
///
/// Returns the registers that it vouches for, when everything holds.
pub fn verify(quote: &Quote, key: &PublicKey, rules: &Rules, verdict: &mut Verdict) -> Option<Pcrs> {
    let attest = verdict.demand("quote.format", Attest::parse(&quote.message), |attest| {
        format!("TPMS_ATTEST of a quote, {} bytes", attest.encode().len())
    })?;
    facts(&attest, verdict);
    let signature = QuoteSignature::parse(&quote.signature, key);
    let signed = signature.and_then(|signature| signature.verify(key, &quote.message).map(|()| signature.to_string()));
    let signed = verdict.demand("quote.signature", signed, |name| format!("{name}, by the attestation key")).is_some();
    nonce(&attest, rules, verdict);
    let quoted = registers(&attest, quote, rules, verdict);
    if signed { quoted } else { None }
}

fn nonce(attest: &Attest, rules: &Rules, verdict: &mut Verdict) {
    let seen = hex::encode(&attest.extra_data);
    match &rules.nonce {
        None => {
            let detail = format!("it answers {seen}; nothing was demanded, so it may be an old quote");
            verdict.note("quote.nonce", Outcome::NotApplicable, detail);
        }
        Some(nonce) if *nonce == attest.extra_data => verdict.note("quote.nonce", Outcome::Passed, seen),
        Some(nonce) => {
            let detail = format!("it answers {seen}, demanded was {}", hex::encode(nonce));
            verdict.note("quote.nonce", Outcome::Failed, detail);
        }
    }
}

fn registers(attest: &Attest, quote: &Quote, rules: &Rules, verdict: &mut Verdict) -> Option<Pcrs> {
    let numbers = |list: &[u8]| list.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    let selected = match attest.selections.as_slice() {
        [Selection { bank: Bank::Sha256, pcrs }] if !pcrs.is_empty() => Ok(pcrs.clone()),
        [one] => Err(format!("it quotes {} registers of the bank {}; SHA-256 was expected", one.pcrs.len(), one.bank)),
        several => Err(format!("it quotes {} banks; SHA-256 alone was expected", several.len())),
    };
    let selected = selected.and_then(|selected| {
        let demanded = rules.selection.iter().chain(rules.pcrs.keys());
        let missing: Vec<u8> = demanded.filter(|pcr| !selected.contains(pcr)).copied().collect();
        if missing.is_empty() { Ok(selected) } else { Err(format!("it does not quote {}", numbers(&missing))) }
    });
    let selected = verdict.demand("quote.pcr_selection", selected, |list| format!("SHA-256: {}", numbers(list)))?;
    let values = selected.iter().map(|pcr| quote.pcrs.get(pcr).map(|value| (*pcr, *value)).ok_or(pcr));
    let values: Result<Pcrs, _> = values.collect();
    let values = values.map_err(|pcr| format!("the value of register {pcr} is missing")).and_then(|values| {
        // In the order of the numbers, which is that of the map.
        let joined: Vec<u8> = values.values().flatten().copied().collect();
        let digest = sealbook_crypto::sha256(&joined);
        if attest.pcr_digest == digest {
            Ok(values)
        } else {
            let (quoted, given) = (hex::encode(&attest.pcr_digest), hex::encode(digest));
            Err(format!("the quote vouches for {quoted}, the values give {given}"))
        }
    });
    let values = verdict.demand("quote.pcr_digest", values, |values| format!("of {} registers", values.len()))?;
    let shown = values.iter().map(|(pcr, value)| (pcr.to_string(), Value::String(hex::encode(value))));
    verdict.fact("quote.pcrs", shown.collect::<Map<_, _>>());
    let wrong = rules.pcrs.iter().filter(|(pcr, demanded)| values.get(pcr) != Some(demanded));
    let wrong: Vec<u8> = wrong.map(|(pcr, _)| *pcr).collect();
    if rules.pcrs.is_empty() {
        verdict.note("quote.pcrs", Outcome::NotApplicable, "no values were demanded");
    } else if wrong.is_empty() {
        verdict.note("quote.pcrs", Outcome::Passed, "as demanded");
    } else {
        verdict.note("quote.pcrs", Outcome::Failed, format!("other values than demanded: {}", numbers(&wrong)));
        return None;
    }
    Some(values)
}

pub(crate) fn facts(attest: &Attest, verdict: &mut Verdict) {
    verdict.fact("quote.nonce", hex::encode(&attest.extra_data));
    verdict.fact("quote.clock_ms", attest.clock);
    verdict.fact("quote.resets", attest.reset_count);
    verdict.fact("quote.restarts", attest.restart_count);
    verdict.fact("quote.firmware_version", format!("{:#x}", attest.firmware_version));
}
