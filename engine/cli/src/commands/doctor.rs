//! `doctor`: looks for what would stand in a lab's way on this machine, and names the cure. Changes nothing.

use sealbook_cloud::Cloud;
use sealbook_model::policy::Policy;
use serde_json::json;

use super::bills::Bills;
use crate::app::{App, Failure, policy_file, read_policy};
use crate::args::{Global, Output};
use crate::render::text::{Tone, line};
use crate::{assets, connect, library, out};

/// One thing looked at.
struct Finding {
    what: String,
    seen: String,
    cure: Option<String>,
}

/// Looks at home, policy, WebAssembly, plugins and the embedded Azure. Exit code 2 when something needs a cure.
pub async fn doctor(global: Global) -> Result<u8, Failure> {
    let (policy, refused) = match read_policy() {
        Ok(policy) => (policy, None),
        // Looking does nothing that a policy could forbid.
        Err(failure) => (Policy::default(), Some(failure)),
    };
    let app = &App::open_with(global, policy)?;
    let home = app.home();
    let file = policy_file().map_or_else(|| "policy.toml".into(), |path| path.display().to_string());
    let mut findings = vec![good("home", home.root().display().to_string())];
    findings.push(match &refused {
        None if policy_file().is_some_and(|path| path.exists()) => good("policy", file),
        None => good("policy", format!("none, so the defaults hold; it would stand in {file}")),
        Some(failure) => bad(
            "policy",
            format!("{file} can't be used: {}", failure.problem()),
            "mend it: nothing else runs until then",
        ),
    });
    findings.push(match app.runtime() {
        Err(problem) => bad(
            "WebAssembly",
            problem.to_string(),
            "this machine can't run plugins; report it with its kernel and memory settings",
        ),
        Ok(runtime) => {
            let mut broken = Vec::new();
            let all: Vec<String> = assets::plugins().collect();
            for reference in &all {
                let component = reference.parse().ok().and_then(|r| assets::plugin(&r));
                if let Some(component) = component
                    && library::describe(&runtime, &component).await.is_err()
                {
                    broken.push(reference.clone());
                }
            }
            if broken.is_empty() {
                good("plugins", all.join(", "))
            } else {
                bad("plugins", format!("these do not load: {}", broken.join(", ")), "build Sealbook again")
            }
        }
    });
    match connect::open_embedded(app).map_err(|problem| problem.to_string()).and_then(|cloud| look(&cloud)) {
        Ok(found) => findings.extend(found),
        Err(why) => findings.push(bad("embedded Azure", why, "sealbook cloud reset")),
    }
    for variable in ["SEALBOOK_USER", "SEALBOOK_PASSWORD"] {
        if std::env::var_os(variable).is_some() {
            findings.push(bad(
                "environment",
                format!("{variable} is set"),
                "this shell points at the embedded Azure: use a fresh one for --cloud azure",
            ));
        }
    }
    match app.output() {
        Output::Json => out::json(
            &findings.iter().map(|f| json!({ "what": f.what, "seen": f.seen, "cure": f.cure })).collect::<Vec<_>>(),
        ),
        Output::Human => {
            let mut lines = Vec::new();
            for finding in &findings {
                let tone = if finding.cure.is_some() { Tone::Bad } else { Tone::Good };
                lines.push(line(
                    tone,
                    if finding.cure.is_some() { "mend" } else { "ok" },
                    format!("{}: {}", finding.what, finding.seen),
                ));
                lines.extend(finding.cure.iter().map(|c| line(Tone::Plain, "cure", c.clone())));
            }
            app.data(&lines);
        }
    }
    Ok(if findings.iter().any(|f| f.cure.is_some()) { 2 } else { 0 })
}

/// What the embedded Azure is, and what in it would still cost on Azure though it was deleted.
fn look(cloud: &Cloud) -> Result<Vec<Finding>, String> {
    let seed = cloud.seed().map_err(|e| e.to_string())?;
    let bills = Bills::of(cloud).map_err(|e| e.to_string())?;
    let subscription = good("embedded Azure", format!("subscription {}", seed.subscription));
    Ok([subscription].into_iter().chain(bills.of_deleted().map(|told| good("costs", told))).collect())
}

fn good(what: &str, seen: String) -> Finding {
    Finding { what: what.into(), seen, cure: None }
}

fn bad(what: &str, seen: String, cure: &str) -> Finding {
    Finding { what: what.into(), seen, cure: Some(cure.into()) }
}
