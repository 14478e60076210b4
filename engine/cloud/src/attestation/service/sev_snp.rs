//! `Attestation_AttestSevSnpVm`: a bare report with its certificates.

use sealbook_attestation::snp::{self, Endorsements, Report};
use serde_json::{Value, json};

use super::{authorize, body, bytes, claims, invalid, policies, require, roots};
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;

/// The service attests what it finds, also a guest that may be debugged, and says so in the token: to judge that is for
/// whoever relies on it.
pub(super) fn rules() -> snp::Rules {
    let mut rules = snp::Rules::default();
    rules.guest.allow_debug = true;
    rules.guest.allow_migration_agent = true;
    rules
}

/// Data that a report must be bound to, with the JSON that they are.
struct Bound {
    bytes: Vec<u8>,
    json: Option<Value>,
}

fn bound(given: &Value, name: &str) -> Result<Option<Bound>, Refusal> {
    if given.is_null() {
        return Ok(None);
    }
    let bytes = bytes(&given["data"], &format!("{name}.data"))?;
    let json = match given["dataType"].as_str() {
        Some("JSON") => Some(
            serde_json::from_slice(&bytes)
                .map_err(|error| invalid(format!("The data of '{name}' is said to be JSON and is not: {error}.")))?,
        ),
        Some("Binary") => None,
        _ => return Err(invalid(format!("The member '{name}.dataType' must be 'JSON' or 'Binary'."))),
    };
    Ok(Some(Bound { bytes, json }))
}

/// `Attestation_AttestSevSnpVm`.
pub(super) fn attest(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    authorize(cx, false)?;
    let body = body(cx.request)?;
    if !body["draftPolicyForAttestation"].is_null() {
        return Err(invalid("Draft policies are not supported.").gap("attestation: draft policies"));
    }
    let document = bytes(&body["report"], "report")?;
    // A bare report is a quote in the wrong place, and the service says so.
    let document: Value = serde_json::from_slice(&document).map_err(|_| {
        Refusal::new(400, "InvalidQuote", "The report is no JSON document with SnpReport and VcekCertChain.")
    })?;
    let report = bytes(&document["SnpReport"], "SnpReport")?;
    let chain = bytes(&document["VcekCertChain"], "VcekCertChain")?;
    let endorsements = Endorsements::parse(&chain)
        .map_err(|error| invalid(format!("The member 'VcekCertChain' can't be read: {error}.")))?;
    let verdict = snp::verify(&report, &endorsements, &rules(), &roots(cx)?, cx.wall.timestamp());
    require(&verdict)?;
    let report = Report::parse(&report).map_err(|error| invalid(error.to_string()))?;
    let runtime = bound(&body["runtimeData"], "runtimeData")?;
    let digest = |data: &Bound| sealbook_crypto::sha256(&data.bytes);
    if runtime.as_ref().is_some_and(|data| !report.report_data.starts_with(&digest(data))) {
        return Err(Refusal::new(400, "AttestationFailed", "The report is not bound to the runtime data."));
    }
    let init = bound(&body["initTimeData"], "initTimeData")?;
    if init.as_ref().is_some_and(|data| report.host_data != digest(data)) {
        return Err(Refusal::new(400, "AttestationFailed", "The report is not bound to the data of its launch."));
    }
    let mut claims = claims::sev_snp(&report, runtime.and_then(|data| data.json).as_ref());
    if let Some(init) = init.and_then(|data| data.json) {
        claims.insert("x-ms-inittime".to_owned(), init);
    }
    if !body["nonce"].is_null() {
        claims.insert("nonce".to_owned(), body["nonce"].clone());
    }
    let token = claims::token(cx, claims, policies::SEV_SNP_VM)?;
    Ok(Answer::ok(&json!({ "token": token })))
}
