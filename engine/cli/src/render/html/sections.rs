//! What frames the steps: where and by whom, what it costs, what stays, and how to check all of it.

use sealbook_engine::run::Status;
use sealbook_engine::run::report::Report;
use sealbook_model::CloudName;
use sealbook_model::journal::{Goal, Leftover, Mode};
use serde_json::Value;

use super::dom::{Html, el, plain, table};
use super::{attempts as times, lasted, note, section, time};
use crate::render::text::usd;

/// Where, when, by whom, with what.
pub fn about(report: &Report) -> Html {
    let code = |text: &str| plain("code", text);
    let mut facts: Vec<(&str, Html)> = vec![
        ("Run", code(report.run.as_str())),
        ("Playbook", [code(&report.playbook), level(report)].into()),
        ("Cloud", cloud(report.cloud).into()),
        ("Subscription", [Html::from(format!("{} ", report.subscription_name)), code(&report.subscription)].into()),
        ("Tenant", code(&report.tenant)),
        ("Signed in as", format!("{} ({})", report.me, report.me_kind).into()),
        ("Work done by", mode(report.mode).into()),
    ];
    facts.extend(report.began.map(|at| ("Began", time(at))));
    facts.extend(report.last.map(|at| ("Last record", time(at))));
    facts.push(("Engine", format!("Sealbook {}", report.engine).into()));
    facts.push(("Playbook digest", code(&report.bundle.to_string())));
    let mut inner = definitions(facts);
    if !report.inputs.is_empty() {
        let value = |value: &Option<Value>| match value {
            None => Html::from("secret: sealed, and not shown"),
            Some(Value::String(text)) if text.is_empty() => Html::from("empty"),
            Some(Value::String(text)) => code(text),
            Some(value) => code(&value.to_string()),
        };
        let rows = report.inputs.iter().map(|input| {
            vec![code(&input.name), value(&input.value), input.prompt.as_deref().unwrap_or_default().into()]
        });
        inner.add(plain("h3", "Inputs"));
        inner.add(table("What the run was given", &["Name", "Value", "Asked as"], &[], rows));
    }
    if !report.choices.is_empty() {
        let rows = report
            .choices
            .iter()
            .map(|choice| vec![code(choice.path.as_str()), (&choice.question).into(), code(&choice.option)]);
        inner.add(plain("h3", "Choices"));
        inner.add(table("What was chosen", &["Choice", "Question", "Taken"], &[], rows));
    }
    if !report.consents.is_empty() {
        let rows = report.consents.iter().map(|consent| vec![code(&consent.subject), (&consent.text).into()]);
        inner.add(plain("h3", "Consent"));
        inner.add(table("What the learner agreed to", &["To", "In these words"], &[], rows));
    }
    inner.add(plain("h3", "Attempts"));
    let last = report.attempts.len();
    let rows = report.attempts.iter().map(|attempt| {
        let at_work = report.status == Status::Running && usize::try_from(attempt.number).is_ok_and(|n| n == last);
        let way = if attempt.goal == Goal::Undo { "back" } else { "forward" };
        vec![
            attempt.number.to_string().into(),
            way.into(),
            time(attempt.began),
            lasted(attempt.worked_ms).into(),
            end(attempt.end, at_work).into(),
        ]
    });
    inner.add(table(&times(report.attempts.len()), &["No.", "Way", "Began", "Worked", "Ended"], &[], rows));
    section("about", "The run", inner)
}

/// What things cost, and what still does.
pub fn costs(report: &Report) -> Html {
    let mut inner = Html::default();
    if report.cloud == CloudName::Embedded {
        inner.add(plain(
            "p",
            "The run was on the embedded Azure, where nothing costs. These are Azure's prices for the same things.",
        ));
    }
    if report.costs.is_empty() {
        inner.add(plain("p", "No step named anything that costs by the hour."));
        return section("costs", "Costs", inner);
    }
    let rows = report.costs.iter().map(|cost| {
        vec![
            (&cost.item).into(),
            plain("code", cost.step.as_str()),
            usd(cost.usd_per_hour).into(),
            usd(cost.usd_after_undo).into(),
            if cost.stands { "stands" } else { "taken back" }.into(),
        ]
    });
    let header = ["Item", "Step", "An hour", "After clean-up", "Now"];
    inner.add(table("What the steps said before they acted", &header, &[2, 3], rows));
    let hourly: f64 = report.live.iter().map(|live| live.usd_per_hour).sum();
    inner.add(plain(
        "p",
        match hourly > 0.0 {
            true => format!("What stands costs {} an hour.", usd(hourly)),
            false => "Nothing that stands costs by the hour.".to_owned(),
        },
    ));
    section("costs", "Costs", inner)
}

/// What was taken back, and what stays.
pub fn clean_up(report: &Report) -> Html {
    let mut inner = Html::default();
    match &report.undo {
        None => inner.add(plain("p", "Nothing has been taken back.")),
        Some(undo) => {
            let how = match (undo.finished, undo.open.is_empty()) {
                (true, true) => "went through: every step was taken back",
                (true, false) => "went through, but not every step could be taken back",
                (false, _) => "has not gone through yet",
            };
            let text = [Html::from("Clean-up began "), time(undo.at), format!(" and {how}. ").into()];
            inner.add(plain("p", text));
            inner.add(paths("Taken back", &undo.undone));
            inner.add(paths("Still to take back", &undo.open));
            if !undo.failed.is_empty() {
                let rows = undo.failed.iter().map(|(step, why)| vec![plain("code", step.as_str()), why.into()]);
                inner.add(table("Steps that could not be taken back", &["Step", "Why"], &[], rows));
            }
        }
    }
    if !report.leftovers.is_empty() {
        let rows = report.leftovers.iter().map(|left| {
            let until = left.until.as_deref().unwrap_or("somebody removes it");
            vec![(&left.what).into(), (&left.why).into(), until.into(), price(left).into()]
        });
        inner.add(table("What stays", &["What", "Why", "Until", "At"], &[3], rows));
    }
    if !report.leaves.is_empty() {
        let label = if report.undo.is_some() {
            "What the playbook says of what stays"
        } else {
            "What would stay after clean-up"
        };
        inner.add(plain("h3", label));
        inner.add(plain("ul", report.leaves.iter().map(|text| plain("li", text)).collect::<Html>()));
    }
    if let Some(next) = &report.next {
        inner.add(plain("h3", "What to do next"));
        inner.add(plain("pre", plain("code", next)));
    }
    section("clean-up", "Clean-up", inner)
}

/// What vouches for all this, and how to check it.
pub fn transcript(report: &Report) -> Html {
    let head = &report.head;
    let run = &report.run;
    let signed = match head.signed {
        Some(signed) if signed == head.records => "all of them".to_owned(),
        Some(signed) => format!("up to record {signed}: the later ones came after the last signature"),
        None => "none yet: the home signs when an attempt ends".to_owned(),
    };
    let facts = vec![
        ("Records", head.records.to_string().into()),
        ("Signed", signed.into()),
        ("Last hash", plain("code", &head.hash)),
        ("Home", plain("code", &head.home)),
        ("Home's public key", plain("code", &head.public_key)),
    ];
    let commands = format!(
        "sealbook transcript {run} --out {run}.ndjson\nsealbook verify-transcript {run}.ndjson --key {}",
        head.public_key
    );
    let inner = [
        plain(
            "p",
            "This page is made from the run's journal and proves nothing by itself. The transcript does: it has every record, chained by hashes, and the home's signature over the chain. Anybody can check it, without this home and without a network:",
        ),
        plain("pre", plain("code", commands)),
        note(
            "none",
            None,
            plain(
                "p",
                "Take the key from somebody you trust, not from this page alone. A transcript shows what this home recorded, no more; evidence that others signed is verified by itself.",
            ),
        ),
        definitions(facts),
    ];
    section("transcript", "Transcript", Html::from(inner))
}

fn definitions(facts: Vec<(&str, Html)>) -> Html {
    let rows = facts.into_iter().map(|(name, value)| [plain("dt", name), plain("dd", value)].into());
    el("dl", &[("class", "facts")], rows.collect::<Html>())
}

fn paths(label: &str, paths: &[sealbook_model::id::StepPath]) -> Html {
    if paths.is_empty() {
        return Html::default();
    }
    let mut text = Html::from(format!("{label}: "));
    for (n, path) in paths.iter().enumerate() {
        if n > 0 {
            text.add(", ");
        }
        text.add(plain("code", path.as_str()));
    }
    plain("p", text)
}

fn price(left: &Leftover) -> String {
    if left.usd_per_hour > 0.0 { format!("{} an hour", usd(left.usd_per_hour)) } else { usd(left.usd) }
}

fn level(report: &Report) -> Html {
    if report.level.is_empty() { Html::default() } else { format!(", {}", report.level).into() }
}

fn cloud(cloud: CloudName) -> &'static str {
    match cloud {
        CloudName::Embedded => "the embedded Azure, on this machine",
        CloudName::Azure => "Azure",
    }
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Auto => "Sealbook",
        Mode::HandsOn => "the learner; Sealbook judges",
    }
}

/// How an attempt ended. One without an end is at work, or its process died.
fn end(end: Option<&'static str>, at_work: bool) -> &'static str {
    match end {
        Some("undone") => "taken back",
        Some("undo-incomplete") => "not all taken back",
        Some(end) => end,
        None if at_work => "at work",
        None => "its process died",
    }
}
