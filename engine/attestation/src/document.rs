//! The evidence document: what a confidential VM presented to an attestation provider, and the token that it got. It is
//! kept with the run, so that anybody can verify it again, offline.
//!
//! The hardware's evidence proves itself by the trust anchors. The token is held against the provider's keys that lie
//! beside it: whose keys those are is for the reader of the document to know, so what a reader may rely on is the
//! evidence, and that the token says the same.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::azure_vm::{self, Evidence};
use crate::maa::{self, SigningKeys, TokenRules};
use crate::roots::Roots;
use crate::{Verdict, event_log, hcl, json};

/// What a document of this kind calls itself.
pub const TYPE: &str = "azure-guest";
/// The version that is written, and the newest that is read.
const VERSION: u64 = 1;
/// Longest document in bytes.
const MAX: usize = 1 << 21;
/// Deepest nesting.
const DEPTH: usize = 24;

/// What is demanded of a VM beyond that its evidence is genuine. Unknown demands are refused.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Demands {
    /// Secure boot is on.
    pub secure_boot: bool,
    /// The host may not look into the memory, unless this is set.
    pub allow_debug: bool,
    /// The launch measurement is one of these, hex.
    pub measurements: Vec<String>,
    /// The user data, hex.
    pub user_data: Option<String>,
    /// The VM's id (`vmUniqueId`).
    pub vm_id: Option<String>,
    /// The past instant as of which dates are judged, unix seconds: when the document was judged first.
    pub as_of: Option<i64>,
}

/// Writes a document. `vcek` holds the certificates as the host handed them out.
#[must_use]
pub fn write(parts: &Parts<'_>) -> Value {
    use base64::Engine as _;
    let text = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let registers: Vec<String> = parts.registers.iter().map(hex::encode).collect();
    let mut document = json!({
        "type": TYPE,
        "version": VERSION,
        "provider": parts.provider,
        "nonce": hex::encode(parts.nonce),
        "evidence": {
            "hcl_report": text(parts.hcl_report),
            "vcek": parts.vcek,
            "tpm_quote": { "message": hex::encode(parts.quote), "signature": hex::encode(parts.signature), "pcrs": registers },
        },
        "token": parts.token,
        "signing_keys": parts.signing_keys,
    });
    if let Some(log) = parts.event_log {
        document["evidence"]["event_log"] = text(log).into();
    }
    document
}

/// What a document is made of.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// The provider's URI.
    pub provider: &'a str,
    /// The nonce that the quote and the token answer.
    pub nonce: &'a [u8],
    /// The paravisor's report.
    pub hcl_report: &'a [u8],
    /// The processor's certificates, PEM.
    pub vcek: &'a str,
    /// The quote (`TPMS_ATTEST`).
    pub quote: &'a [u8],
    /// Its signature.
    pub signature: &'a [u8],
    /// The values of the registers, from number 0.
    pub registers: &'a [Vec<u8>],
    /// The firmware's event log.
    pub event_log: Option<&'a [u8]>,
    /// The provider's token.
    pub token: &'a str,
    /// The provider's keys.
    pub signing_keys: &'a Value,
}

/// Verifies a document at `now` (unix seconds): the evidence, the token, and that both speak of the same machine. The
/// checks are those of [`azure_vm::verify`] and [`maa::verify`], and `document.format`, `document.rules`,
/// `document.nonce`, `document.runtime`, `document.measurement`. The fact `judged_at` says as of when.
#[must_use]
pub fn verify(document: &Value, rules: &Value, roots: &Roots, now: i64) -> Verdict {
    let mut verdict = Verdict::default();
    let demands = serde_json::from_value::<Demands>(if rules.is_null() { json!({}) } else { rules.clone() });
    let known = verdict.demand("document.rules", demands, |_| "every demand is known".to_owned());
    let now = known.as_ref().and_then(|demands| demands.as_of).map_or(now, |then| then.min(now));
    verdict.fact("judged_at", now);
    let rules = known.and_then(|demands| {
        let rules = demands.rules(document);
        verdict.demand("document.rules", rules, |_| "every demand can be read".to_owned())
    });
    let format = format(document);
    let Some(evidence) = verdict.demand("document.format", format, |_| format!("{TYPE}, version {VERSION}")) else {
        return verdict;
    };
    let Some(rules) = rules else { return verdict };
    verdict.absorb(azure_vm::verify(&evidence, &rules, roots, now));
    token(document, &evidence, &mut verdict, now);
    verdict
}

impl Demands {
    fn rules(&self, document: &Value) -> Result<azure_vm::Rules, String> {
        let bytes = |what: &str, text: &str| hex::decode(text).map_err(|_| format!("{what} is no hex"));
        let mut rules = azure_vm::Rules::default();
        rules.snp.guest.allow_debug = self.allow_debug;
        for measurement in &self.measurements {
            let measurement = bytes("a measurement", measurement)?;
            rules.snp.measurements.push(measurement.try_into().map_err(|_| "a measurement has 48 bytes")?);
        }
        let user_data = self
            .user_data
            .as_deref()
            .map(|text| bytes("the user data", text)?.try_into().map_err(|_| "user data have 64 bytes".to_owned()));
        rules.hcl = hcl::Rules {
            require_secure_boot: self.secure_boot,
            vm_id: self.vm_id.clone(),
            user_data: user_data.transpose()?,
            ..hcl::Rules::default()
        };
        rules.quote.nonce = document["nonce"].as_str().map(|text| bytes("the nonce", text)).transpose()?;
        Ok(rules)
    }
}

fn format(document: &Value) -> Result<Evidence, String> {
    let text = document.to_string();
    json::read(text.as_bytes(), MAX, DEPTH).map_err(|error| error.to_string())?;
    if document["type"] != TYPE {
        return Err(format!("it is no document of type {TYPE}"));
    }
    match document["version"].as_u64() {
        Some(VERSION) => {}
        Some(newer) => return Err(format!("it is of version {newer}; this Sealbook reads version {VERSION}")),
        None => return Err("it names no version".into()),
    }
    let inner = document["evidence"].to_string();
    let mut evidence = Evidence::from_json(inner.as_bytes()).map_err(|error| error.to_string())?;
    if let Some(log) = document["evidence"]["event_log"].as_str() {
        use base64::Engine as _;
        let log =
            base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(log).map_err(|_| "the event log is no base64")?;
        event_log::parse(&log).map_err(|error| error.to_string())?;
        evidence.event_log = Some(log);
    }
    Ok(evidence)
}

/// Holds the token against the provider's keys and against the evidence.
fn token(document: &Value, evidence: &Evidence, verdict: &mut Verdict, now: i64) {
    let keys = SigningKeys::parse(document["signing_keys"].to_string().as_bytes()).map_err(|error| error.to_string());
    let Some(keys) = verdict.demand("token.keys", keys, |keys| format!("{} keys lie beside it", keys.usable().count()))
    else {
        return;
    };
    let rules = TokenRules { issuer: document["provider"].as_str(), keys: &keys, now, leeway: 300 };
    let (judged, claims) = maa::verify(document["token"].as_str().unwrap_or_default(), &rules);
    verdict.absorb(judged);
    let Some(claims) = claims else { return };
    let claims = claims.value();
    let nonce = document["nonce"].as_str().and_then(|text| hex::decode(text).ok()).unwrap_or_default();
    let answered = claims.pointer("/x-ms-runtime/client-payload/nonce").and_then(Value::as_str).unwrap_or_default();
    use base64::Engine as _;
    let answered = base64::engine::general_purpose::STANDARD.decode(answered).unwrap_or_default();
    verdict.check(
        "document.nonce",
        !nonce.is_empty() && answered == nonce,
        "the token answers the nonce that the quote answers",
    );
    let runtime = hcl::HclReport::parse(&evidence.hcl_report).ok();
    let stated: Value = runtime.and_then(|report| serde_json::from_slice(&report.runtime).ok()).unwrap_or_default();
    let tee = claims.get("x-ms-isolation-tee").cloned().unwrap_or_default();
    let same = tee["x-ms-runtime"].as_object().is_some_and(|claimed: &Map<String, Value>| {
        claimed.iter().all(|(name, value)| stated.get(name) == Some(value)) && claimed.contains_key("keys")
    });
    verdict.check("document.runtime", same, "the token carries the runtime data of the evidence");
    let measured = verdict.facts.get("snp.measurement").and_then(Value::as_str).map(str::to_owned);
    let claimed = tee["x-ms-sevsnpvm-launchmeasurement"].as_str();
    let same = claimed.is_some() && claimed == measured.as_deref();
    verdict.check("document.measurement", same, "the token carries the launch measurement of the evidence");
}
