//! What `list`, `show`, `runs` and `status` print for people.

use sealbook_engine::run::RunInfo;
use sealbook_model::CloudName;
use sealbook_model::inputs::InputDefault;
use sealbook_model::playbook::{Answers, Lab};
use sealbook_model::problem::codes;

use super::narrate;
use super::table::table;
use super::text::{Line, Tone, command, line, usd};

/// The table of runs.
pub fn runs(infos: &[RunInfo]) -> String {
    let rows: Vec<Vec<String>> = infos
        .iter()
        .map(|i| {
            let unreadable = [codes::JOURNAL_DAMAGED, codes::JOURNAL_NEWER, codes::JOURNAL_FOREIGN];
            let damaged = i.problem.as_ref().is_some_and(|p| unreadable.contains(&p.code));
            let state = if damaged { "damaged" } else { i.status.word() };
            let steps = done(i);
            vec![
                i.run.to_string(),
                state.into(),
                steps,
                i.cloud.map_or("", CloudName::as_str).into(),
                i.started.map_or_else(String::new, |t| t.format("%Y-%m-%d %H:%M").to_string()),
                i.playbook.clone(),
            ]
        })
        .collect();
    table(&["RUN", "STATUS", "DONE", "CLOUD", "STARTED", "PLAYBOOK"], &rows)
}

/// How many steps have their verdict, of how many.
fn done(info: &RunInfo) -> String {
    let done = info.steps.iter().filter(|s| matches!(s.phase, "satisfied" | "succeeded" | "skipped" | "undone"));
    format!("{} of {}", done.count(), info.of)
}

/// Where one run stands.
pub fn run(info: &RunInfo) -> Vec<Line> {
    let mut out = vec![
        line(Tone::Head, "", format!("{} ({})", info.title, info.playbook)),
        line(
            Tone::Plain,
            "run",
            format!(
                "{}, {}, {} steps done, on the {} cloud",
                info.run,
                info.status.word(),
                done(info),
                info.cloud.map_or("unknown", CloudName::as_str)
            ),
        ),
    ];
    if let Some(pid) = info.holder {
        out.push(line(Tone::Plain, "held by", format!("process {pid}")));
    }
    for live in &info.live {
        out.push(line(
            Tone::Warn,
            "stands",
            format!("{} ({}), on Azure {} an hour", live.item, live.step, usd(live.usd_per_hour)),
        ));
    }
    out.extend(info.leftovers.iter().map(narrate::leftover));
    if let Some(next) = &info.next {
        out.push(line(Tone::Plain, "next", ""));
        out.push(command("", next.clone()));
    }
    out
}

/// What a playbook is, its inputs and its choices.
pub fn lab(lab: &Lab) -> Vec<Line> {
    let mut out = vec![
        line(Tone::Head, "", lab.title.clone()),
        line(Tone::Plain, "", lab.summary.clone()),
        line(
            Tone::Plain,
            "level",
            format!("{}; about {} minutes embedded, {} on Azure", lab.level, lab.minutes.embedded, lab.minutes.azure),
        ),
    ];
    for input in &lab.inputs {
        let secret = if input.secret { " (secret)" } else { "" };
        let prompt = input.prompt.as_deref().unwrap_or("");
        let default = match &input.default {
            Some(InputDefault::Template(template)) if !input.secret => format!(" [{}]", template.source()),
            Some(InputDefault::Plain(value)) if !input.secret => format!(" [{value}]"),
            _ => String::new(),
        };
        out.push(line(Tone::Plain, "input", format!("{}{secret}: {prompt}{default}", input.name)));
    }
    for choice in lab.choices(&Answers::new()) {
        out.push(line(Tone::Plain, "choice", format!("{}: {}", choice.path, choice.question)));
        for option in &choice.options {
            let when = option.when.as_deref().unwrap_or("");
            let cost = option.cost.as_ref().map_or_else(String::new, |c| {
                format!(" {} an hour, {} after clean-up.", usd(c.usd_per_hour), usd(c.usd_after_undo))
            });
            out.push(line(Tone::Plain, "", format!("- {}: {when}{cost}", option.id)));
        }
    }
    if let Ok(nodes) = lab.flatten(&Answers::new()) {
        let steps = nodes.iter().filter_map(|n| match n {
            sealbook_model::playbook::Node::Step(s) => Some(s),
            _ => None,
        });
        let steps: Vec<_> = steps.collect();
        let width = steps.iter().map(|s| s.path.as_str().len()).max().unwrap_or(0);
        for (n, step) in steps.into_iter().enumerate() {
            out.push(command(
                if n == 0 { "steps" } else { "" },
                format!("{:>2}  {:<width$}  {}", n + 1, step.path.as_str(), step.title),
            ));
        }
    }
    out
}
