//! Whose word counts: the trust anchors of a cloud, and verdicts under them.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use sealbook_attestation::{Roots, Verdict, document};
use sealbook_cloud::Cloud;
use sealbook_engine::host::Judge;
use serde_json::Value;

use crate::app::App;
use crate::connect::open_embedded;

/// Judges evidence documents under these roots, at the present instant.
pub fn judge(roots: Roots) -> Judge {
    Arc::new(move |document, rules| document::verify(document, rules, &roots, now()))
}

/// Judges under the test roots of the embedded Azure, and under no others. The cloud makes them when they are first
/// needed, which takes seconds. Its tokens and certificates go by the wall clock, however far its own was moved.
pub fn embedded_judge(cloud: Cloud) -> Judge {
    Arc::new(move |document: &Value, rules: &Value| {
        let roots = cloud.test_roots().map_err(|error| error.to_string());
        match roots.and_then(|pem| Roots::from_pem(&pem).map_err(|error| error.to_string())) {
            Ok(roots) => document::verify(document, rules, &roots, now()),
            Err(why) => {
                let mut verdict = Verdict::default();
                verdict.check("document.roots", false, format!("the embedded Azure gave no roots: {why}"));
                verdict
            }
        }
    })
}

/// The test roots of the home's embedded Azure, for what happened in this tenant and subscription of it.
///
/// # Errors
/// Why there are none, in words: among others, that it was reset since, and its roots with it.
pub fn test_roots(app: &App, tenant: &str, subscription: &str) -> Result<Roots, String> {
    let cloud = open_embedded(app).map_err(|problem| problem.to_string())?;
    let seed = cloud.seed().map_err(|error| error.to_string())?;
    if (seed.tenant.as_str(), seed.subscription.as_str()) != (tenant, subscription) {
        return Err("the embedded Azure that the run was on is gone, and its test roots with it".to_owned());
    }
    Roots::from_pem(&cloud.test_roots().map_err(|error| error.to_string())?).map_err(|error| error.to_string())
}

/// Unix seconds.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
