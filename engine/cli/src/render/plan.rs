//! The plan for people.

use sealbook_model::CloudName;
use sealbook_model::plan::Plan;

use super::text::{Line, Tone, command, line, usd};

/// The plan in lines; `detailed` adds grants and commands.
pub fn lines(plan: &Plan, detailed: bool) -> Vec<Line> {
    let place = if plan.cloud == CloudName::Azure {
        "Azure: real resources, real cost"
    } else {
        "the embedded Azure: no subscription, no cost"
    };
    let mut out = vec![
        line(Tone::Head, "", format!("{} ({}, about {} minutes)", plan.title, plan.level, plan.minutes)),
        line(Tone::Plain, "", plan.summary.clone()),
        line(Tone::Plain, "where", place),
    ];
    for choice in &plan.choices {
        out.push(line(Tone::Plain, "choice", format!("{} {} ({})", choice.question, choice.option, choice.path)));
    }
    let width = plan.steps.iter().map(|s| s.path.as_str().len()).max().unwrap_or(0);
    for step in &plan.steps {
        let place = if step.guest.is_some() { " (inside the confidential VM)" } else { "" };
        out.push(command(
            if step.index == 1 { "steps" } else { "" },
            format!("{:>2}  {:<width$}  {}{place}", step.index, step.path.as_str(), step.title),
        ));
        if detailed {
            out.extend(step.guest.iter().map(|vm| command("", format!("      inside the confidential VM {vm}"))));
            out.extend(step.grants.iter().map(|g| command("", format!("      may {g}"))));
            let there = if step.guest.is_some() { "in there: " } else { "" };
            out.extend(step.by_hand.iter().map(|b| command("", format!("      {there}{b}"))));
        }
    }
    let after = if plan.usd_after_undo > 0.0 {
        format!(", {} after clean-up", usd(plan.usd_after_undo))
    } else {
        String::new()
    };
    if plan.cloud == CloudName::Azure {
        out.push(line(Tone::Warn, "cost", format!("{} an hour while it stands{after}", usd(plan.usd_per_hour))));
    } else if plan.usd_per_hour > 0.0 || plan.usd_after_undo > 0.0 {
        let text = format!("nothing here; on Azure {} an hour while it stands{after}", usd(plan.usd_per_hour));
        out.push(line(Tone::Plain, "cost", text));
    }
    out.extend(plan.leaves.iter().map(|l| line(Tone::Warn, "stays", l.clone())));
    out
}
