//! Writes a policy that a given token fulfils.

use serde_json::{Value, json};

use super::claim::{self, Found};
use super::{PolicyError, ReleasePolicy};
use crate::line;

/// What a policy made from a token demands beyond the kind of machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Selection {
    /// The launch measurement: only this firmware, as the processor measured it.
    pub measurement: bool,
    /// The 64 bytes that the guest put into its evidence.
    pub user_data: bool,
}

/// Why no policy was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// The token is of no confidential machine.
    #[error(
        "the token names no confidential machine: neither x-ms-isolation-tee.x-ms-attestation-type nor \
         x-ms-attestation-type is sevsnpvm, tdxvm or sgx"
    )]
    NoTee,
    /// The token says that it can be looked into.
    #[error("`{0}` is true in the token: a key released to such a machine can be read by its host")]
    Debuggable(String),
    /// A claim that was asked for is not in the token.
    #[error("{0} is not in the token; it has no {1} that the policy could demand")]
    Missing(String, &'static str),
    /// What was put together breaks the grammar: an issuer that no authority can be.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// Where a token has the claims of its trusted execution environment: nested for a guest attestation, else on top.
const PLACES: [&str; 2] = ["x-ms-isolation-tee.", ""];

/// One kind of environment: the value of `x-ms-attestation-type`, the claims that say "can be debugged", the launch
/// measurement, and where user data may be.
struct Tee {
    kind: &'static str,
    debug: &'static str,
    measurement: &'static str,
    user_data: &'static [&'static str],
}

const TEES: [Tee; 3] = [
    Tee {
        kind: "sevsnpvm",
        debug: "x-ms-sevsnpvm-is-debuggable",
        measurement: "x-ms-sevsnpvm-launchmeasurement",
        user_data: &["x-ms-runtime.user-data", "x-ms-sevsnpvm-reportdata"],
    },
    Tee {
        kind: "tdxvm",
        debug: "tdx_td_attributes_debug",
        measurement: "tdx_mrtd",
        user_data: &["x-ms-runtime.user-data", "tdx_report_data"],
    },
    Tee {
        kind: "sgx",
        debug: "x-ms-sgx-is-debuggable",
        measurement: "x-ms-sgx-mrenclave",
        user_data: &["x-ms-sgx-report-data"],
    },
];

/// Writes the policy that asks of a token what matters in this one: the kind of environment, that it complies with
/// Azure's baseline, that it cannot be debugged, and what is selected.
///
/// # Errors
/// [`ComposeError`] when the token is of no confidential machine, of one that can be debugged, or lacks what was
/// selected.
pub fn from_claims(issuer: &str, claims: &Value, selection: Selection) -> Result<ReleasePolicy, ComposeError> {
    let text = |path: &str| match claim::find(claims, path) {
        Found::Value(value) => line::text(value),
        Found::Absent | Found::Hidden => None,
    };
    let (place, tee) = PLACES
        .into_iter()
        .find_map(|place| {
            let kind = text(&format!("{place}x-ms-attestation-type"))?;
            TEES.iter().find(|tee| tee.kind == kind).map(|tee| (place, tee))
        })
        .ok_or(ComposeError::NoTee)?;
    let mut conditions = vec![json!({"claim": format!("{place}x-ms-attestation-type"), "equals": tee.kind})];
    let mut demand = |path: String, value: String| conditions.push(json!({"claim": path, "equals": value}));
    let compliance = format!("{place}x-ms-compliance-status");
    if let Some(status) = text(&compliance) {
        demand(compliance, status);
    }
    let debug = format!("{place}{}", tee.debug);
    match text(&debug).as_deref() {
        Some("true") => return Err(ComposeError::Debuggable(debug)),
        Some(value) => demand(debug, value.to_owned()),
        None => {}
    }
    let mut selected = |paths: &[&str], what| {
        let paths: Vec<String> = paths.iter().map(|path| format!("{place}{path}")).collect();
        let found = paths.iter().find_map(|path| Some((path.clone(), text(path)?)));
        match found {
            Some((path, value)) => {
                demand(path, value);
                Ok(())
            }
            None => Err(ComposeError::Missing(paths.join(" or "), what)),
        }
    };
    if selection.measurement {
        selected(&[tee.measurement], "launch measurement")?;
    }
    if selection.user_data {
        selected(tee.user_data, "user data")?;
    }
    let document = json!({"version": "1.0.0", "anyOf": [{"authority": issuer, "allOf": conditions}]});
    Ok(ReleasePolicy::parse(document.to_string().as_bytes())?)
}
