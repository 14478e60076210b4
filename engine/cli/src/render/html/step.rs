//! One step on the page.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealbook_attestation::Outcome;
use sealbook_engine::run::report::{Judged, Picture, Quiz, Retry, StepReport};
use sealbook_model::journal::Stage;
use serde_json::Value;

use super::dom::{Html, el, plain, table, void};
use super::markdown::markdown;
use super::{Pictures, badge as tag, lasted, note, time};

/// The place of a step on the page.
pub fn id(step: &StepReport) -> String {
    format!("step-{}", step.index)
}

/// What became of a step, in a word.
pub fn badge(step: &StepReport) -> Html {
    let (tone, word) = match step.phase {
        "succeeded" => ("good", "succeeded"),
        "failed" => ("bad", "failed"),
        "skipped" => ("none", "skipped"),
        "undone" => ("calm", "taken back"),
        "pending" => ("none", "not reached"),
        "started" | "satisfied" | "needed" => ("warn", "begun"),
        other => ("none", other),
    };
    tag(tone, word)
}

/// The step.
pub fn step(step: &StepReport, pictures: &Pictures) -> Html {
    let place = id(step);
    let heading = format!("{place}-title");
    let no = el("span", &[("class", "no")], step.index.to_string());
    let title = el("h3", &[("id", &heading)], [no, plain("span", &step.title), badge(step)]);
    let mut inner = plain("header", [title, meta(step)]);
    inner.add(markdown(&step.what));
    if !step.why.trim().is_empty() {
        inner.add([plain("h4", "Why"), markdown(&step.why)]);
    }
    inner.add(plan(step));
    inner.add(retries(&step.retries));
    for again in &step.again {
        inner.add(note("calm", Some("Ran again"), plain("p", [time(again.at), format!(": {}", again.why).into()])));
    }
    if let Some(lesson) = &step.lesson {
        inner.add(note("calm", Some("Seen"), plain("p", lesson)));
    }
    if let Some(fault) = &step.fault {
        let mut text = plain("p", &fault.message);
        if let Some(fix) = &fault.fix {
            text.add(plain("p", "What to do:"));
            text.add(plain("pre", fix));
        }
        inner.add(note("bad", Some(&format!("Failed {}", at(fault.stage))), text));
    }
    inner.add(evidence(step));
    inner.add(step.judged.iter().map(judged).collect::<Html>());
    if !step.proved.trim().is_empty() {
        inner.add(note("good", Some("Proved"), markdown(&step.proved)));
    }
    inner.add(step.pictures.iter().map(|picture| figure(picture, pictures)).collect::<Html>());
    inner.add(outputs(&step.outputs));
    inner.add(step.quiz.as_ref().map(quiz).unwrap_or_default());
    el("section", &[("class", "step"), ("id", &place), ("aria-labelledby", &heading)], inner)
}

fn meta(step: &StepReport) -> Html {
    let mut meta = plain("code", step.step.as_str());
    let mut add = |part: Html| {
        meta.add(" · ");
        meta.add(part);
    };
    if let Some(plugin) = &step.plugin {
        add([Html::from("plugin "), plain("code", plugin)].into());
    }
    if step.guest {
        add("inside the confidential VM".into());
    }
    if let Some(began) = step.began {
        add(time(began));
        add(lasted(step.worked_ms).into());
    }
    match step.by_learner {
        Some(true) => add("done by hand".into()),
        Some(false) => add("done by Sealbook at the learner's word".into()),
        None => {}
    }
    if step.hints > 0 {
        add(format!("{} {}", step.hints, if step.hints == 1 { "hint" } else { "hints" }).into());
    }
    el("p", &[("class", "meta")], meta)
}

fn plan(step: &StepReport) -> Html {
    let mut inner = Html::default();
    if !step.changes.is_empty() {
        inner.add(plain("h4", "What there was to do"));
        inner.add(plain("ul", step.changes.iter().map(|change| plain("li", change)).collect::<Html>()));
    }
    if let Some(az) = &step.az {
        if step.changes.is_empty() {
            inner.add(plain("h4", "By hand"));
        }
        inner.add(plain("pre", plain("code", az)));
    }
    inner
}

/// Waits, those for the same reason together.
fn retries(retries: &[Retry]) -> Html {
    if retries.is_empty() {
        return Html::default();
    }
    let mut grouped: Vec<(&str, usize, u64)> = Vec::new();
    for retry in retries {
        let why = first_line(&retry.why);
        match grouped.last_mut().filter(|(last, ..)| *last == why) {
            Some((_, times, ms)) => (*times, *ms) = (*times + 1, ms.saturating_add(retry.millis)),
            None => grouped.push((why, 1, retry.millis)),
        }
    }
    let rows =
        grouped.into_iter().map(|(why, times, ms)| vec![why.into(), times.to_string().into(), lasted(ms).into()]);
    table("Waits before another try", &["What was in the way", "Times", "Waited"], &[1, 2], rows)
}

fn evidence(step: &StepReport) -> Html {
    if step.evidence.is_empty() {
        return Html::default();
    }
    let rows = step.evidence.iter().map(|check| {
        let word = if check.passed { tag("good", "passed") } else { tag("bad", "not so") };
        vec![(&check.check).into(), word, (&check.detail).into()]
    });
    table("Evidence: what was looked at afterwards", &["Check", "Result", "Seen"], &[], rows)
}

/// An evidence document, judged again for the page.
fn judged(judged: &Judged) -> Html {
    let word = |outcome: Outcome| match outcome {
        Outcome::Passed => tag("good", "passed"),
        Outcome::Failed => tag("bad", "failed"),
        Outcome::NotApplicable => tag("none", "not asked"),
    };
    let checks = &judged.verdict.checks;
    let passed = checks.iter().filter(|check| check.outcome == Outcome::Passed).count();
    let said = match judged.verdict.deciding() {
        Some(check) => format!("does not hold. {}: {}", check.name, check.detail),
        None if passed == 0 => "could not be judged".to_owned(),
        None => format!("holds: {passed} checks passed"),
    };
    let tone = if judged.verdict.passed() { "good" } else { "bad" };
    let mut text = plain(
        "p",
        [format!("Evidence of type {}, as of ", judged.kind).into(), time(judged.at), format!(", {said}.").into()],
    );
    if !judged.test.is_empty() {
        let worlds = judged.test.join(", ");
        text.add(plain(
            "p",
            format!("It was judged under TEST roots ({worlds}): it shows nothing about real hardware."),
        ));
    }
    let rows = checks.iter().map(|check| vec![(&check.name).into(), word(check.outcome), (&check.detail).into()]);
    let table = table("Every check of it", &["Check", "Result", "Seen"], &[], rows);
    text.add(plain("details", [plain("summary", format!("Checks ({})", checks.len())), table]));
    note(tone, Some("Judged again, offline"), text)
}

/// A picture as an image: what is in an SVG then never runs and never loads anything.
fn figure(picture: &Picture, pictures: &Pictures) -> Html {
    let missing = |why: &str| note("none", None, plain("p", format!("The picture {} {why}.", picture.name)));
    let Some(Some(bytes)) = pictures.get(&picture.artifact) else {
        return missing("is not here: it is gone, too large, or made of a secret");
    };
    let kind = match picture.name.rsplit('.').next() {
        Some("png") if bytes.starts_with(b"\x89PNG\r\n\x1a\n") => "image/png",
        Some("svg") if std::str::from_utf8(bytes).is_ok() => "image/svg+xml",
        _ => return missing("is not what its name says"),
    };
    let source = format!("data:{kind};base64,{}", STANDARD.encode(bytes));
    let image = void("img", &[("alt", &picture.name), ("src", &source)]);
    plain("figure", [image, plain("figcaption", &picture.name)])
}

/// What the step handed on, by name.
fn outputs(outputs: &Value) -> Html {
    let Some(members) = outputs.as_object().filter(|members| !members.is_empty()) else { return Html::default() };
    let rows = members.iter().map(|(name, value)| vec![plain("code", name), plain("code", shown(value))]);
    let table = table("Outputs of the step", &["Name", "Value"], &[], rows);
    plain("details", [plain("summary", format!("Outputs ({})", members.len())), table])
}

/// A value, as much of it as is for reading.
fn shown(value: &Value) -> String {
    const MOST: usize = 600;
    let text = match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    match text.char_indices().nth(MOST) {
        None => text,
        Some((at, _)) => {
            let kept = text.get(..at).unwrap_or_default();
            format!("{kept}… ({} characters)", text.chars().count())
        }
    }
}

fn quiz(quiz: &Quiz) -> Html {
    let choice = quiz.choice.and_then(|choice| usize::try_from(choice).ok());
    let option = |(n, text): (usize, &String)| {
        let mark = match (n == quiz.answer, Some(n) == choice) {
            (true, true) => tag("good", "taken, right"),
            (true, false) => tag("good", "right"),
            (false, true) => tag("bad", "taken"),
            (false, false) => Html::default(),
        };
        plain("li", [text.into(), " ".into(), mark])
    };
    let options: Html = quiz.options.iter().enumerate().map(option).collect();
    let passed_over = if choice.is_none() { plain("p", "It was passed over.") } else { Html::default() };
    let inner = [plain("p", &quiz.ask), plain("ul", options), passed_over, plain("p", &quiz.why)];
    note("calm", Some("Question"), Html::from(inner))
}

fn at(stage: Stage) -> &'static str {
    match stage {
        Stage::Inputs => "before it began",
        Stage::Check => "when it looked what there was to do",
        Stage::Apply => "when it did it",
        Stage::Verdict => "by what it came to",
        Stage::Verify => "when it was looked at again",
        Stage::Lesson => "to show its lesson",
    }
}

/// Refusals of Azure go on for pages; the journal has all of it.
fn first_line(text: &str) -> &str {
    text.split(['\n', '\r']).next().unwrap_or(text)
}
