//! What a learner made by hand: clean-up leaves it to him, and tells him how.

use serde_json::Value;

use super::{Leftover, Preview};
use crate::id::StepPath;

/// What stays of a step that the learner did himself. `wanted` is what was missing before he did it.
pub(super) fn leftover(step: &StepPath, outputs: Option<&Value>, wanted: Option<&Preview>) -> Leftover {
    let of = |name: &str| outputs.and_then(|outputs| outputs[name].as_str()).filter(|text| !text.is_empty());
    let thing = ["id", "uri", "kid", "name"].into_iter().find_map(of);
    let mut why = "made by hand, so it is yours to take away if it still stands".to_owned();
    if let Some(id) = of("id").filter(|id| id.starts_with("/subscriptions/")) {
        why.push_str(": ");
        why.push_str(&removal(id));
    }
    for leaves in wanted.into_iter().flat_map(|preview| &preview.leaves) {
        why.push_str("; then ");
        why.push_str(leaves);
    }
    Leftover {
        what: thing.map_or_else(|| format!("step {step}"), |thing| format!("{thing} (step {step})")),
        why,
        until: None,
        usd: 0.0,
        usd_per_hour: wanted.map_or(0.0, |preview| preview.costs.iter().map(|cost| cost.usd_per_hour).sum()),
    }
}

/// The command that deletes an Azure resource.
fn removal(id: &str) -> String {
    let parts: Vec<&str> = id.split('/').collect();
    match parts[..] {
        ["", "subscriptions", subscription, "resourceGroups", group] => {
            format!("az group delete --name {group} --subscription {subscription}")
        }
        _ => format!("az resource delete --ids {id}"),
    }
}
