//! Each step by itself: its kind, its name, its templates and conditions, its grants and texts.
//!
//! What a step says about others is collected as [`Mention`]s, for the next stage to judge.

mod plugin;
mod text;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

pub(crate) use text::title_of;
pub(crate) use words::{Mention, Role, See, Words};

use super::authored::{GuestSpec, OptionSpec, StepSpec, Text};
use super::bundle::Bundle;
use super::step::Text as Told;
use super::{Step, bundle};
use crate::document::{self, At, LooseAt, Source};
use crate::expr::{BUILT_IN, Expr, RESERVED, With};
use crate::id::StepPath;
use crate::problem::{Problem, Span, codes};

/// The file whose steps are being checked.
pub(crate) struct File<'a> {
    pub(crate) source: Source<'a>,
    pub(crate) bundle: &'a Bundle,
    /// Folder of its texts, when it names one.
    pub(crate) texts: Option<&'a str>,
    /// The confidential VM of its guest steps, when it names one.
    pub(crate) guest: Option<&'a At<GuestSpec>>,
    /// What was wrong with the file so far.
    pub(crate) problems: Vec<Problem>,
}

/// A step that has been looked at by itself.
pub(crate) struct Checked<'a> {
    pub(crate) spec: &'a StepSpec,
    pub(crate) span: Range<usize>,
    /// None: it has no name that can be used; it can't be referred to.
    pub(crate) path: Option<StepPath>,
    pub(crate) title: String,
    pub(crate) told: Option<Told>,
    pub(crate) when: Option<Expr>,
    pub(crate) mentions: Vec<Mention>,
    /// None: it can't be told what it is.
    pub(crate) kind: Option<Kind<'a>>,
}

/// What a step is.
pub(crate) enum Kind<'a> {
    Plugin(Box<Step>),
    Part { part: &'a Text, with: With },
    Choice { question: String, default: Option<&'a Text>, options: Vec<CheckedOption<'a>> },
}

/// One option of a choice.
pub(crate) struct CheckedOption<'a> {
    pub(crate) spec: &'a OptionSpec,
    pub(crate) span: Range<usize>,
    pub(crate) with: With,
}

impl Checked<'_> {
    /// The name that others refer to it by.
    pub(crate) fn name(&self) -> Option<&str> {
        self.path.as_ref().map(StepPath::as_str)
    }
}

impl<'a> File<'a> {
    pub(crate) fn say(&mut self, code: &'static str, what: impl Into<String>, at: Range<usize>, fix: Option<String>) {
        self.problems.push(Problem::new(code, what).at(self.source.span(at)).maybe_fix(fix));
    }

    /// Whether something in these bytes has been complained about.
    fn spoilt(&self, range: &Range<usize>) -> bool {
        let inside = |span: &Span| span.file == self.source.file && range.contains(&span.start);
        self.problems.iter().any(|p| p.span.as_ref().is_some_and(inside))
    }

    /// Checks every step by itself.
    pub(crate) fn steps(&mut self, specs: &'a [At<StepSpec>]) -> Vec<Checked<'a>> {
        let starts: Vec<usize> = specs.iter().map(|s| s.span().start).chain([self.source.text.len()]).collect();
        let mut names = BTreeSet::new();
        let mut first = |spec: &'a StepSpec| spec.name.as_ref().is_none_or(|name| names.insert(name.as_str()));
        let checked: Vec<Checked<'a>> =
            specs.iter().zip(starts.windows(2)).map(|(s, w)| self.step(s, w[0]..w[1], first(s))).collect();
        self.duplicates(&checked);
        checked
    }

    /// Checks one step. `first`: no step before it has its name, and so its text.
    fn step(&mut self, spec: &'a At<StepSpec>, region: Range<usize>, first: bool) -> Checked<'a> {
        let at = spec.name.as_ref().map_or_else(|| spec.span(), At::span);
        let path = spec.name.as_ref().and_then(|name| self.name(name));
        let mut words = Words::default();
        let when = spec.when.as_ref().and_then(|text| words.expr(self, text, See::Before));
        let kind = self.kind(spec, &path, &at, &region, &mut words);
        let plugin = matches!(kind, Some(Kind::Plugin(_)));
        let told = path.as_ref().and_then(|path| {
            let file = bundle::text_path(self.source.file, self.texts, path.as_str());
            let known = self.problems.len();
            let told = text::read(self, &file, plugin, &at);
            if !first {
                // What is wrong with the text has been said with the step that had the name before.
                self.problems.truncate(known);
            }
            told
        });
        let (title, told) = match told {
            Some((title, told)) => (title, Some(told)),
            None => (None, None),
        };
        let title = title.unwrap_or_else(|| path.as_ref().map(|p| title_of(p.as_str())).unwrap_or_default());
        let kind = kind.map(|kind| match kind {
            Kind::Plugin(step) => {
                let text = told.clone().unwrap_or_default();
                Kind::Plugin(Box::new(Step { title: title.clone(), text, when: when.clone(), ..*step }))
            }
            other => other,
        });
        Checked { spec: spec.value(), span: at, path, title, told, when, mentions: words.mentions, kind }
    }

    /// A step's name as a path; what is wrong with its spelling has been said by shape.
    fn name(&mut self, name: &Text) -> Option<StepPath> {
        let taken = RESERVED.contains(&name.as_str()) || ["inputs", "out", "undo"].contains(&name.as_str());
        if taken || BUILT_IN.iter().any(|(built_in, _)| *built_in == name.as_str()) {
            let what =
                format!("a step can't be called `{}`: the name means something else in expressions", name.as_str());
            self.say(codes::BAD_NAME, what, name.span(), Some(format!("call it `the_{}`", name.as_str())));
        }
        name.parse().ok()
    }

    fn kind(
        &mut self,
        spec: &'a StepSpec,
        path: &Option<StepPath>,
        at: &Range<usize>,
        region: &Range<usize>,
        words: &mut Words,
    ) -> Option<Kind<'a>> {
        let given = [("use", &spec.uses), ("part", &spec.part), ("choose", &spec.choose)];
        let given: Vec<(&str, &Text)> =
            given.iter().filter_map(|(key, value)| value.as_ref().map(|v| (*key, v))).collect();
        match given.as_slice() {
            [] => {
                // A misspelt `use` has been complained about already.
                let inside = |p: &Problem| {
                    matches!(p.code, codes::UNKNOWN_KEY | codes::WRONG_TYPE)
                        && p.span.as_ref().is_some_and(|s| s.file == self.source.file && region.contains(&s.start))
                };
                if !self.problems.iter().any(inside) {
                    let what = "a step is a plugin, a part or a choice; this one is none";
                    self.say(codes::STEP_KIND, what, at.clone(), Some("add `use`, `part` or `choose`".into()));
                }
                None
            }
            [("use", plugin)] => {
                self.foreign(spec, "a plugin", &["default", "option"]);
                // A bad name has been complained about; what else is wrong can be said at once.
                let named = || document::snake(spec.name.as_ref()?)?.parse().ok();
                let path = path.clone().or_else(named).or_else(|| "unnamed".parse().ok())?;
                plugin::step(self, spec, path, plugin, words).map(|step| Kind::Plugin(Box::new(step)))
            }
            [("part", part)] => {
                self.foreign(spec, "a part", &[PLUGIN_KEYS, &["default", "option"]].concat());
                Some(Kind::Part { part, with: words.with(self, &spec.with) })
            }
            [(_, question)] => {
                self.foreign(spec, "a choice", &[PLUGIN_KEYS, &["with"]].concat());
                Some(Kind::Choice {
                    question: question.value().clone(),
                    default: spec.default.as_ref(),
                    options: self.options(spec, question, words),
                })
            }
            [first, .., (key, second)] => {
                let what = format!("a step is one of plugin, part and choice; this one has `{}` and `{key}`", first.0);
                self.say(codes::STEP_KIND, what, second.span(), Some("make two steps of it".into()));
                None
            }
        }
    }

    fn options(&mut self, spec: &'a StepSpec, question: &Text, words: &mut Words) -> Vec<CheckedOption<'a>> {
        if spec.option.is_empty() {
            let fix = Some("add [[step.option]] tables with `id` and `part`".into());
            self.say(codes::BAD_CHOICE, "a choice without options", question.span(), fix);
        }
        let mut seen: BTreeMap<&str, ()> = BTreeMap::new();
        for id in spec.option.iter().filter_map(|o| o.id.as_ref()) {
            if seen.insert(id.as_str(), ()).is_some() {
                self.say(codes::DUPLICATE, format!("two options are called `{}`", id.as_str()), id.span(), None);
            }
        }
        if let Some(default) = spec.default.as_ref().filter(|d| !seen.contains_key(d.as_str())) {
            let fix = crate::problem::did_you_mean(default, seen.keys().copied());
            let what = format!("the default `{}` is not one of the options", default.as_str());
            self.say(codes::BAD_CHOICE, what, default.span(), fix);
        }
        let option = |option: &'a At<OptionSpec>| {
            let span = option.id.as_ref().map_or_else(|| option.span(), At::span);
            CheckedOption { spec: option.value(), span, with: words.with(self, &option.with) }
        };
        spec.option.iter().map(option).collect()
    }

    /// Complains about keys that this kind of step does not have.
    fn foreign(&mut self, spec: &StepSpec, kind: &str, keys: &[&str]) {
        for (key, at) in keys.iter().filter_map(|key| Some((*key, place(spec, key)?))) {
            let what = format!("`{key}` does not belong to {kind}");
            let fix = match key {
                "with" => Some("give `with` to each option".into()),
                "default" | "option" => Some("only a choice (`choose`) has it".into()),
                _ => Some("only a plugin step (`use`) has it; put it into the part's own steps".into()),
            };
            self.say(codes::KEY_NOT_HERE, what, at, fix);
        }
    }

    fn duplicates(&mut self, steps: &[Checked<'_>]) {
        let mut seen: BTreeMap<&str, &Range<usize>> = BTreeMap::new();
        for step in steps {
            let Some(name) = step.name() else { continue };
            if let Some(first) = seen.get(name) {
                let (line, _) = crate::problem::line_col(self.source.text, first.start);
                let what = format!("two steps are called `{name}`, the first on line {line}");
                self.say(codes::DUPLICATE, what, step.span.clone(), Some("give this one another name".into()));
            } else {
                seen.insert(name, &step.span);
            }
        }
    }
}

/// Keys that only a plugin step has.
const PLUGIN_KEYS: &[&str] = &[
    "where", "guest", "grants", "adopt", "retry", "timeout", "cost", "by_hand", "hints", "expect", "lesson", "quiz",
    "pause",
];

/// Where a key's value stands; none: the key is not given.
fn place(spec: &StepSpec, key: &str) -> Option<Range<usize>> {
    fn of<T>(value: &Option<At<T>>) -> Option<Range<usize>> {
        value.as_ref().map(At::span)
    }
    fn first<T>(values: &[At<T>]) -> Option<Range<usize>> {
        values.first().map(At::span)
    }
    match key {
        "default" => of(&spec.default),
        "option" => first(&spec.option),
        "with" => spec.with.keys().next().map(At::span),
        "where" => of(&spec.place),
        "guest" => of(&spec.guest),
        "grants" => of(&spec.grants),
        "adopt" => of(&spec.adopt),
        "retry" => of(&spec.retry),
        "timeout" => of(&spec.timeout),
        "cost" => of(&spec.cost),
        "by_hand" => of(&spec.by_hand),
        "hints" => first(&spec.hints),
        "expect" => first(&spec.expect),
        "lesson" => of(&spec.lesson),
        "quiz" => of(&spec.quiz),
        "pause" => of(&spec.pause),
        _ => None,
    }
}

/// A step's inputs in source order.
pub(crate) fn in_order(with: &BTreeMap<Text, LooseAt>) -> Vec<(&Text, &LooseAt)> {
    let mut fields: Vec<_> = with.iter().collect();
    fields.sort_by_key(|(key, _)| key.span().start);
    fields
}
