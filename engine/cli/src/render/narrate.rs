//! Tells a run's events in lines. Pure, so that the words are tested.

use sealbook_engine::event::Event;
use sealbook_engine::step::{Evidence, Leftover, StepError};

use super::text::{Line, Tone, command, line, span, usd};

/// The lines of one event; none for what only a live display shows.
pub fn lines(event: &Event) -> Vec<Line> {
    match event {
        Event::RunStarted { run, title, attempt, undo } => {
            let what = match (undo, attempt) {
                (true, _) => format!("Undoing run {run}: {title}"),
                (false, 1) => format!("{title}. Run {run}"),
                (false, n) => format!("{title}. Run {run}, attempt {n}"),
            };
            vec![line(Tone::Head, "", what)]
        }
        Event::StepStarted { step, index, of, title, guest, what, why } => {
            let mut out = vec![line(Tone::Head, "", format!("\nStep {index} of {of}, {step}: {title}"))];
            out.extend(guest.iter().map(|vm| {
                let name = vm.rsplit('/').next().unwrap_or(vm);
                let text = format!("inside the confidential VM {name}: Sealbook does it there, with --hands-on too");
                line(Tone::Plain, "where", text)
            }));
            out.extend(text("", what));
            out.extend(text("why", why));
            out
        }
        Event::StepPlanned { preview, .. } => {
            let mut out: Vec<Line> = preview.changes.iter().map(|c| line(Tone::Plain, "will", c.clone())).collect();
            for cost in preview.costs.iter().filter(|c| c.usd_per_hour > 0.0 || c.usd_after_undo > 0.0) {
                let after = if cost.usd_after_undo > 0.0 {
                    format!(", {} after clean-up", usd(cost.usd_after_undo))
                } else {
                    String::new()
                };
                let text = format!("{}: on Azure {} an hour{after}", cost.item, usd(cost.usd_per_hour));
                out.push(line(Tone::Warn, "cost", text));
            }
            out.extend(preview.az.iter().map(|az| command("az", az.clone())));
            out
        }
        Event::StepSatisfied { .. } => {
            vec![line(Tone::Good, "ok", "Already as it should be: nothing to do, nothing to undo.")]
        }
        Event::StepAgain { step, why } => {
            vec![line(Tone::Warn, "again", format!("{step} runs again: {}", sentence(why)))]
        }
        Event::StepSkipped { step } => {
            vec![line(Tone::Dim, "skipped", format!("{step}: its condition does not hold."))]
        }
        Event::Waiting { why, delay, elapsed, .. } => {
            let so_far = if elapsed.as_secs() > 0 { format!(", {} so far", span(*elapsed)) } else { String::new() };
            // Azure's refusals go on for pages; the journal has all of it.
            let why = why.split(['\n', '\r']).next().unwrap_or(why);
            let why = why.split("\\u{").next().unwrap_or(why);
            vec![line(Tone::Dim, "wait", format!("{} Next try in {}{so_far}.", sentence(why), span(*delay)))]
        }
        Event::Log { level, message, .. } if level != "debug" => vec![line(Tone::Dim, "log", message.clone())],
        Event::StepSucceeded { evidence, proved, .. } => {
            let mut out: Vec<Line> = evidence.iter().map(seen).collect();
            out.push(line(
                Tone::Good,
                "ok",
                if proved.is_empty() { "Done.".to_owned() } else { proved.trim().to_owned() },
            ));
            out
        }
        Event::LessonSeen { detail, .. } => vec![line(Tone::Good, "seen", detail.clone())],
        Event::StepFailed { step, error } => failure(&format!("Step {step} failed."), error),
        Event::StepUndone { step, leftovers } => {
            let mut out = vec![line(Tone::Good, "undone", step.to_string())];
            out.extend(leftovers.iter().map(leftover));
            out
        }
        _ => Vec::new(),
    }
}

/// What stays, why, until when, and what it costs.
pub fn leftover(left: &Leftover) -> Line {
    let until = left.until.as_ref().map_or_else(|| "until somebody removes it".to_owned(), |t| format!("until {t}"));
    let price =
        if left.usd_per_hour > 0.0 { format!("{} an hour on Azure", usd(left.usd_per_hour)) } else { usd(left.usd) };
    line(Tone::Warn, "stays", format!("{}, {until}, at {price}: {}", left.what, left.why))
}

/// An error with its cure.
pub fn failure(head: &str, error: &StepError) -> Vec<Line> {
    let mut out = vec![line(Tone::Bad, "failed", format!("{head} {}", sentence(&error.to_string())))];
    match error {
        StepError::Precondition { fix, .. } => out.push(line(Tone::Plain, "fix", fix.clone())),
        // No line allows what is no target of the capability.
        StepError::Denied { line: toml, .. } if !toml.is_empty() => {
            out.push(line(Tone::Plain, "fix", "If this is what you want, add to the step in the playbook:"));
            out.push(command("", toml.clone()));
        }
        StepError::Conflict { candidates, .. } => out.extend(candidates.iter().map(|c| command("found", c.clone()))),
        StepError::Component { code, .. } => out.push(command("more", format!("sealbook explain {code}"))),
        _ => {}
    }
    out
}

pub fn seen(evidence: &Evidence) -> Line {
    let (tone, label) = if evidence.passed { (Tone::Plain, "checked") } else { (Tone::Bad, "not so") };
    let detail = if evidence.detail.is_empty() { String::new() } else { format!(": {}", evidence.detail) };
    line(tone, label, format!("{}{detail}", evidence.check))
}

/// The paragraphs of a text.
fn text(label: &'static str, text: &str) -> Option<Line> {
    let text = text.trim();
    // Emphasis is for the web page that the same text may become.
    (!text.is_empty()).then(|| line(Tone::Plain, label, text.replace("**", "")))
}

/// A message as a sentence.
fn sentence(message: &str) -> String {
    let message = message.trim().to_owned();
    if message.ends_with(['.', '!', '?']) { message } else { format!("{message}.") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(event: &Event) -> String {
        lines(event).iter().map(|line| line.layout(100, false)).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_step_says_where_it_runs_and_why_it_runs_again() {
        let started = |guest: Option<&str>| Event::StepStarted {
            step: "trained".parse().unwrap(),
            index: 3,
            of: 4,
            title: "Train".into(),
            guest: guest.map(str::to_owned),
            what: "A model.".into(),
            why: String::new(),
        };
        insta::assert_snapshot!(told(&started(Some("/subscriptions/1/virtualMachines/cvm"))), @r"

        Step 3 of 4, trained: Train
          where   inside the confidential VM cvm: Sealbook does it there, with --hands-on too
                  A model.
        ");
        assert!(!told(&started(None)).contains("confidential VM"));
        let again = Event::StepAgain { step: "opened".parse().unwrap(), why: "cvm was restarted".into() };
        insta::assert_snapshot!(told(&again), @"  again   opened runs again: cvm was restarted.");
    }
}
