//! A plugin step by itself.

use std::time::Duration;

use super::{File, See, Words};
use crate::document::At;
use crate::expr::Template;
use crate::grant::{Capability, Grant, Head, Reach, shown};
use crate::id::StepPath;
use crate::playbook::authored::{ExpectSpec, LessonSpec, QuizSpec, StepSpec, Text, WhereSpec};
use crate::playbook::step::{Expect, Lesson, LessonKind, Place, Quiz, Refusal, Step, Text as Told};
use crate::playbook::versioned;
use crate::plugin::{Limits, PluginRef};
use crate::policy::duration;
use crate::problem::{Problem, Span, codes};

/// Builds the step; what the plugin itself says is added by the next stage.
pub(super) fn step(
    file: &mut File<'_>,
    spec: &StepSpec,
    path: StepPath,
    plugin: &Text,
    words: &mut Words,
) -> Option<Step> {
    let reference = plugin.parse::<PluginRef>().ok();
    if reference.is_none() {
        let (what, fix) =
            versioned::refusal("plugin", plugin, "storage-account@0.1", &|text| text.parse::<PluginRef>().is_ok());
        file.say(codes::UNKNOWN_PLUGIN, what, plugin.span(), Some(fix));
    }
    let timeout = time(file, "timeout", &spec.timeout);
    let retry_within = spec.retry.as_ref().and_then(|retry| time(file, "retry.within", &retry.within));
    let place = place(file, spec, words);
    let with = words.with(file, &spec.with);
    let grants = spec.grants.as_ref().map(|g| g.value().as_slice()).unwrap_or_default();
    let grants = grants.iter().filter_map(|text| grant(file, text, words)).collect();
    let by_hand = spec.by_hand.as_ref().and_then(|text| words.template(file, text, See::Before));
    let hints = spec.hints.iter().filter_map(|text| words.template(file, text, See::Before)).collect();
    let expect = spec.expect.iter().filter_map(|e| expect(file, e, words)).collect();
    let lesson = spec.lesson.as_ref().and_then(|l| lesson(file, l, words));
    let quiz = spec.quiz.as_ref().and_then(|q| quiz(file, q));
    Some(Step {
        span: file.source.span(spec.name.as_ref().map_or_else(|| plugin.span(), At::span)),
        path,
        title: String::new(),
        text: Told::default(),
        plugin: reference?,
        with,
        when: None,
        place: place?,
        adopt: spec.adopt.as_ref().is_some_and(|a| *a.value()),
        retry_within,
        timeout,
        cost: spec.cost.as_ref().map(|cost| cost.value().price()),
        by_hand,
        hints,
        expect,
        lesson,
        quiz,
        pause: spec.pause.as_ref().map(|p| p.value().clone()),
        needs: Vec::new(),
        uses: Vec::new(),
        limits: Limits::default(),
        grants,
        asks: Vec::new(),
        defaults: serde_json::Map::new(),
    })
}

/// Where it runs. None: it runs in a confidential VM, but which one can't be told.
fn place(file: &mut File<'_>, spec: &StepSpec, words: &mut Words) -> Option<Place> {
    match (spec.place.as_ref().map(|place| (*place.value(), place.span())), &spec.guest) {
        (Some((WhereSpec::Guest, at)), own) => {
            let Some(guest) = own.as_ref().or(file.guest) else {
                let what = "a guest step needs a confidential VM to run in";
                let fix = "add [guest] with vm = \"${vm.id}\" and mailbox = \"${account.blob_uri}guest\" to the file";
                file.say(codes::BAD_VALUE, what, at, Some(fix.into()));
                return None;
            };
            let vm = guest.vm.as_ref().and_then(|text| words.template(file, text, See::Before));
            let mailbox = guest.mailbox.as_ref().and_then(|text| words.template(file, text, See::Before));
            Some(Place::Guest { vm: vm?, mailbox: mailbox? })
        }
        (_, Some(guest)) => {
            let what = "`guest` says which confidential VM a guest step runs in; this step runs on this machine";
            file.say(codes::KEY_NOT_HERE, what, guest.span(), Some("add where = \"guest\", or take it away".into()));
            None
        }
        (_, None) => Some(Place::Host),
    }
}

/// A time that a step may take. Whoever waits longer than a week waits for nothing.
fn time(file: &mut File<'_>, key: &str, text: &Option<Text>) -> Option<Duration> {
    let text = text.as_ref()?;
    let time = duration(text)?;
    let bounds = Duration::from_secs(1)..=Duration::from_hours(168);
    if !bounds.contains(&time) {
        let what = format!("`{key}` can't be `{}`", shown(text));
        file.say(codes::BAD_VALUE, what, text.span(), Some("it goes from 1s to 168h".into()));
    }
    Some(time)
}

fn grant(file: &mut File<'_>, text: &Text, words: &mut Words) -> Option<(Template, Span)> {
    let template = words.template(file, text, See::Before)?;
    let result = match template.as_literal() {
        Some(literal) => Grant::parse(literal).map(drop),
        None => Head::parse(text).and_then(|head| begins_well(&head)),
    };
    match result {
        Ok(()) => Some((template, file.source.span(text.span()))),
        Err(e) => {
            let span = file.source.span(text.span());
            file.problems.push(Problem::new(codes::BAD_GRANT, e.what).maybe_fix(e.fix).at(span));
            None
        }
    }
}

/// A scope that is not known yet can still begin wrongly.
fn begins_well(head: &Head<'_>) -> Result<(), crate::grant::GrantError> {
    let start = match head.capability {
        Capability::Azure => "/",
        Capability::Keyvault | Capability::Blob | Capability::Hsm | Capability::Attestation => "https://",
        Capability::Artifacts | Capability::Crypto | Capability::Directory => return Ok(()),
    };
    let scope = head.scope.unwrap_or_default();
    if scope.starts_with("${")
        || scope.starts_with(start)
        || start.starts_with(scope.split("${").next().unwrap_or_default())
    {
        return Ok(());
    }
    Err(crate::grant::GrantError {
        what: format!("`{}` is not a scope of {}", shown(scope), head.capability),
        fix: Some(format!("it starts with {start} or with an expression")),
    })
}

fn expect(file: &mut File<'_>, spec: &ExpectSpec, words: &mut Words) -> Option<Expect> {
    let that = spec.that.as_ref().and_then(|text| words.expr(file, text, See::Outputs));
    let otherwise = spec.otherwise.as_ref().and_then(|text| words.template(file, text, See::Outputs));
    Some(Expect { that: that?, otherwise: otherwise? })
}

fn lesson(file: &mut File<'_>, spec: &At<LessonSpec>, words: &mut Words) -> Option<Lesson> {
    // A piece that did not fit its key is gone, and has been complained about.
    let spoilt = file.spoilt(&spec.span());
    let within = time(file, "lesson.within", &spec.within);
    let uri = spec.read.as_ref().map(|text| blob(file, text, words));
    let that = spec.that.as_ref().map(|text| words.expr(file, text, See::Read));
    let refusal = spec.fails.as_ref().map(|fails| Refusal {
        status: fails.status,
        code: fails.code.clone(),
        not: fails.not.clone(),
    });
    let mut say = |what: &str, fix: &str| {
        file.say(codes::BAD_VALUE, what.to_owned(), spec.span(), Some(fix.to_owned()));
        None
    };
    if spoilt {
        return None;
    }
    if refusal.as_ref().is_some_and(|r| r.status.is_none() && r.code.is_none()) {
        return say(
            "a failure names neither status nor code",
            "write fails = { status = 403 } or fails = { code = \"…\" }",
        );
    }
    let kind = match (uri, refusal, that) {
        (_, Some(_), Some(_)) => {
            return say("a lesson that fails reads nothing that `that` could look at", "take `that` or `fails` away");
        }
        (None, None, _) => {
            return say("a lesson has `read`, or `fails`, or both", "say what is read, or how the step fails");
        }
        (None, Some(refusal), None) => LessonKind::ApplyFails(refusal),
        (Some(uri), Some(refusal), None) => LessonKind::ReadFails { uri: uri?, refusal },
        (Some(uri), None, None) => LessonKind::ReadHolds { uri: uri?, that: None },
        (Some(uri), None, Some(that)) => LessonKind::ReadHolds { uri: uri?, that: Some(that?) },
    };
    Some(Lesson { kind, within })
}

/// The address of a blob to read. One that is known must be a blob's.
fn blob(file: &mut File<'_>, text: &Text, words: &mut Words) -> Option<Template> {
    let template = words.template(file, text, See::Before)?;
    let Some(Err(why)) = template.as_literal().map(|uri| Reach::parse(Capability::Blob, uri, false)) else {
        return Some(template);
    };
    let what = format!("`{}` is not a blob: {why}", shown(text));
    let fix = "write it like https://….blob.core.windows.net/container/blob";
    file.say(codes::BAD_VALUE, what, text.span(), Some(fix.into()));
    None
}

fn quiz(file: &mut File<'_>, spec: &At<QuizSpec>) -> Option<Quiz> {
    let answer = spec.answer.as_ref()?;
    let options = spec.options.as_ref()?;
    let (given, count) = (*answer.value(), options.len());
    let index = usize::try_from(given).ok().filter(|i| *i < count);
    if index.is_none() {
        let what = format!("the quiz has no option {given}");
        file.say(codes::BAD_VALUE, what, answer.span(), Some(format!("options are counted from 0 to {}", count - 1)));
    }
    for (i, option) in options.iter().enumerate().filter(|(i, option)| options[..*i].contains(option)) {
        let first = options[..i].iter().position(|earlier| earlier == option).unwrap_or_default();
        let what = format!("options {first} and {i} of the quiz are the same");
        file.say(codes::DUPLICATE, what, option.span(), Some("write another answer, or take one away".into()));
    }
    let options = options.iter().map(|option| option.value().clone()).collect();
    Some(Quiz { ask: spec.ask.clone()?, options, answer: index?, why: spec.why.clone()? })
}
