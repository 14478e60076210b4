//! What tokens say, in the layouts of Azure's.
//!
//! Source: <https://learn.microsoft.com/azure/attestation/claim-sets>.

use sealbook_attestation::maa;
use sealbook_attestation::snp::Report;
use serde_json::{Map, Value, json};

use super::issuer;
use crate::attestation::issuers;
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::tee;

/// How long a token is valid, in seconds.
const LIFE: i64 = 8 * 60 * 60;

/// Claims that the metadata names.
pub(super) const SUPPORTED: &[&str] = &[
    "iat",
    "exp",
    "iss",
    "jti",
    "nbf",
    "nonce",
    "secureboot",
    "x-ms-attestation-type",
    "x-ms-compliance-status",
    "x-ms-isolation-tee",
    "x-ms-policy-hash",
    "x-ms-runtime",
    "x-ms-sevsnpvm-is-debuggable",
    "x-ms-sevsnpvm-launchmeasurement",
    "x-ms-ver",
];

/// What a verified report says. `runtime`: the runtime data that it is bound to, when they are JSON. The status of
/// compliance is there when Azure stands for what runs: its paravisor, which nobody can look into.
pub(super) fn sev_snp(report: &Report, runtime: Option<&Value>) -> Map<String, Value> {
    let mut claims = Map::new();
    let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    put("x-ms-attestation-type", "sevsnpvm".into());
    let sealed =
        !report.policy.has("debug_allowed") && !report.policy.has("migration_agent_allowed") && report.vmpl == 0;
    let paravisor = runtime.is_some_and(|runtime| runtime["vm-configuration"].is_object());
    if sealed && paravisor && report.id_key_digest == tee::id_key_digest() {
        put("x-ms-compliance-status", "azure-compliant-cvm".into());
    }
    if let Some(runtime) = runtime {
        put("x-ms-runtime", runtime.clone());
    }
    let tcb = report.reported_tcb;
    for (name, value) in [
        ("authorkeydigest", hex::encode(report.author_key_digest).into()),
        ("bootloader-svn", tcb.bootloader.into()),
        ("familyId", hex::encode(report.family_id).into()),
        ("guestsvn", report.guest_svn.into()),
        ("hostdata", hex::encode(report.host_data).into()),
        ("idkeydigest", hex::encode(report.id_key_digest).into()),
        ("imageId", hex::encode(report.image_id).into()),
        ("is-debuggable", report.policy.has("debug_allowed").into()),
        ("launchmeasurement", hex::encode(report.measurement).into()),
        ("microcode-svn", tcb.microcode.into()),
        ("migration-allowed", report.policy.has("migration_agent_allowed").into()),
        ("reportdata", hex::encode(report.report_data).into()),
        ("reportid", hex::encode(report.report_id).into()),
        ("smt-allowed", report.policy.has("smt_allowed").into()),
        ("snpfw-svn", tcb.snp.into()),
        ("tee-svn", tcb.tee.into()),
        ("vmpl", report.vmpl.into()),
    ] {
        put(&format!("x-ms-sevsnpvm-{name}"), value);
    }
    claims
}

/// Adds what every token has, sorts, and signs.
pub(super) fn token(cx: &Cx<'_>, mut claims: Map<String, Value>, policy: &str) -> Result<String, Refusal> {
    let now = cx.wall.timestamp();
    let issuer = issuer(cx);
    let common = json!({
        "iss": issuer,
        "iat": now,
        "nbf": now,
        "exp": now.saturating_add(LIFE),
        "jti": hex::encode(cx.random::<32>()),
        "x-ms-policy-hash": maa::policy_hash(policy),
        "x-ms-ver": "1.0",
    });
    claims.extend(common.as_object().cloned().unwrap_or_default());
    claims.sort_keys();
    issuers::sign(cx, &issuer, &Value::Object(claims))
}
