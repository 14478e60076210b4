//! What a policy that keeps to the grammar may still get wrong.

use std::fmt;

use serde::Serialize;

use super::{Authority, Clause, Condition, Operator, ReleasePolicy};
use crate::{https, line};

/// How much a warning matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Worth knowing; many good policies have it.
    Note,
    /// Probably not what was meant.
    Warning,
}

/// One remark about a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// Its stable name.
    pub name: &'static str,
    /// How much it matters.
    pub level: Level,
    /// JSON path in the policy.
    pub path: String,
    /// What it says and what to do.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Claims that say whether an environment can be debugged.
const DEBUG: [&str; 4] =
    ["x-ms-sevsnpvm-is-debuggable", "x-ms-sgx-is-debuggable", "tdx_td_attributes_debug", "is-debuggable"];
/// Claims that say which kind of environment it is, or that it complies with a baseline.
const KIND: [&str; 3] = ["x-ms-attestation-type", "x-ms-compliance-status", "x-ms-sgx-mrsigner"];
/// Claims that tie a policy to certain software or to a certain machine.
const IDENTITY: [&str; 12] = [
    "x-ms-sevsnpvm-launchmeasurement",
    "x-ms-sevsnpvm-hostdata",
    "x-ms-sevsnpvm-reportdata",
    "x-ms-sevsnpvm-idkeydigest",
    "tdx_mrtd",
    "tdx_report_data",
    "x-ms-sgx-mrenclave",
    "x-ms-sgx-mrsigner",
    "x-ms-sgx-report-data",
    "user-data",
    "vmUniqueId",
    "x-ms-azurevm-vmid",
];
/// Hosts of Microsoft Azure Attestation in the public cloud, Azure Government and Azure in China.
const HOSTS: [&str; 3] = [".attest.azure.net", ".attest.azure.us", ".attest.azure.cn"];

/// Looks for what usually goes wrong. `immutable` is what is known of the envelope (`None`: nothing).
#[must_use]
pub fn lint(policy: &ReleasePolicy, immutable: Option<bool>) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if immutable == Some(false) {
        warnings.push(Warning {
            name: "mutable",
            level: Level::Warning,
            path: "$".to_owned(),
            message: "the policy is not immutable: whoever may update the key can replace it and have the key \
                      released elsewhere; create the key with `immutable: true` once the policy is right"
                .to_owned(),
        });
    }
    for (i, authority) in policy.authorities.iter().enumerate() {
        let mut add = |name, level, message: String| {
            warnings.push(Warning { name, level, path: format!("$.anyOf[{i}]"), message });
        };
        issuer(authority, &mut add);
        conditions(authority, &mut add);
    }
    warnings
}

fn issuer(authority: &Authority, add: &mut impl FnMut(&'static str, Level, String)) {
    let name = line::shorten(&authority.issuer);
    let Some(place) = https::authority(&authority.issuer) else {
        return add(
            "authority_url",
            Level::Warning,
            format!(
                "the authority {name} is no https URL, and the issuer of an attestation token always is one: the \
                 statement never holds"
            ),
        );
    };
    let host = https::host(place);
    if !HOSTS.iter().any(|suffix| host.len() > suffix.len() && host.ends_with(suffix)) {
        add(
            "authority_host",
            Level::Warning,
            format!(
                "the authority {name} is no host of Microsoft Azure Attestation: whoever runs it decides who gets the \
                 key; the vault also demands OpenID metadata there, under a certificate that it trusts"
            ),
        );
    }
}

fn conditions(authority: &Authority, add: &mut impl FnMut(&'static str, Level, String)) {
    let clauses = clauses(&authority.condition);
    let has = |names: &[&str]| clauses.iter().any(|clause| names.contains(&last(&clause.claim)));
    if let Some(clause) = clauses.iter().find(|clause| only_nested(clause))
        && !clauses.iter().any(|clause| container(clause))
    {
        add(
            "top_level",
            Level::Warning,
            format!(
                "`{}` is asked at the top level, where tokens of a guest attestation (AzureGuest) do not have it: \
                 they nest it, so the statement never holds for them; write x-ms-isolation-tee.{}",
                line::shorten(&clause.claim),
                line::shorten(&clause.claim)
            ),
        );
    }
    if !has(&KIND) {
        add(
            "any_kind",
            Level::Warning,
            "nothing asks for the kind of environment (x-ms-attestation-type) or its compliance \
             (x-ms-compliance-status): tokens of other kinds may fulfil the statement"
                .to_owned(),
        );
    }
    if let Some(clause) = clauses.iter().find(|clause| {
        DEBUG.contains(&last(&clause.claim))
            && clause.operator == Operator::Equals
            && line::text(&clause.value).is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }) {
        add(
            "debug_wanted",
            Level::Warning,
            format!("`{}` is asked to be true: the key goes to environments that their host can read", clause.claim),
        );
    } else if !has(&DEBUG) {
        add(
            "no_debug_clause",
            Level::Note,
            "no clause says that the environment must not be debuggable; the statement leaves that to the \
             attestation service's own policy (x-ms-sevsnpvm-is-debuggable equals false says it here)"
                .to_owned(),
        );
    }
    if !has(&IDENTITY) {
        add(
            "any_software",
            Level::Note,
            "nothing ties the key to certain software or a certain machine: every compliant machine fulfils it, and \
             only the permission to release (Key Vault Crypto Service Release User) tells them apart"
                .to_owned(),
        );
    }
}

/// Whether a clause asks at the top level for what a guest attestation's token only has nested.
fn only_nested(clause: &Clause) -> bool {
    let wanted = line::text(&clause.value);
    let equals = |texts: &[&str]| {
        clause.operator == Operator::Equals && wanted.as_deref().is_some_and(|wanted| texts.contains(&wanted))
    };
    match clause.claim.as_str() {
        "x-ms-attestation-type" => equals(&["sevsnpvm", "tdxvm"]),
        "x-ms-compliance-status" => equals(&["azure-compliant-cvm"]),
        name => name.starts_with("x-ms-sevsnpvm-") || name.starts_with("tdx_"),
    }
}

/// Whether a clause belongs to confidential containers, whose tokens have these claims at the top level.
fn container(clause: &Clause) -> bool {
    let uvm = line::text(&clause.value).as_deref() == Some("azure-compliant-uvm");
    uvm || clause.claim == "x-ms-sevsnpvm-hostdata"
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

fn clauses(condition: &Condition) -> Vec<&Clause> {
    match condition {
        Condition::AnyOf(inner) | Condition::AllOf(inner) => inner.iter().flat_map(clauses).collect(),
        Condition::Clause(clause) => vec![clause],
    }
}
