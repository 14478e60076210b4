//! Steps among each other: who mentions whom, in which order they run, and whether plugins get what they need.

mod coverage;
mod names;
mod order;
mod registry;
mod signature;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(crate) use names::{Fields, Names};
pub(crate) use registry::{Part, Registry};

use super::authored::Text;
use super::checked::{Checked, CheckedOption, File, Kind, See};
use super::lab::{Block, Choice, ChoiceItem, ChoiceOption, Item, PartItem};
use super::step::Step;
use crate::document::snake;
use crate::grant::shown;
use crate::id::StepPath;
use crate::plugin::Description;
use crate::problem::{codes, did_you_mean};

/// What is known of a step's plugin or part.
enum Known<'a> {
    Plugin(Option<&'a Description>),
    Part(Option<Arc<Part>>),
    Choice(Vec<Option<Arc<Part>>>),
    Nothing,
}

impl Known<'_> {
    fn fields(&self) -> Fields {
        match self {
            Self::Plugin(Some(description)) => signature::fields(&description.outputs),
            Self::Part(Some(part)) => part.fields(),
            Self::Choice(options) => {
                let all: Option<Vec<_>> = options.iter().map(|o| o.as_ref().map(|p| p.fields())).collect();
                let mut shared = all.and_then(|all| all.into_iter().reduce(Fields::shared)).unwrap_or(Fields::Open);
                if let Fields::Closed(fields) = &mut shared {
                    fields.insert("chosen".into());
                }
                shared
            }
            Self::Plugin(None) | Self::Part(None) | Self::Nothing => Fields::Open,
        }
    }
}

impl Known<'_> {
    /// Fields that some options of a choice have and others lack, with one that lacks it.
    fn partial(&self, step: &Checked<'_>) -> BTreeMap<String, String> {
        let (Self::Choice(parts), Some(Kind::Choice { options, .. })) = (self, &step.kind) else {
            return BTreeMap::new();
        };
        let mut sets: Vec<(&str, BTreeSet<String>)> = Vec::new();
        for (part, option) in parts.iter().zip(options) {
            if let (Some(Fields::Closed(fields)), Some(id)) = (part.as_ref().map(|p| p.fields()), &option.spec.id) {
                sets.push((id.as_str(), fields));
            }
        }
        let all: BTreeSet<String> = sets.iter().flat_map(|(_, fields)| fields.iter().cloned()).collect();
        let lacking =
            |field: &String| sets.iter().find(|(_, fields)| !fields.contains(field)).map(|(id, _)| (*id).to_owned());
        all.iter().filter_map(|field| Some((field.clone(), lacking(field)?))).collect()
    }
}

/// Puts the steps of one file together. Returns them in execution order, and the names they define.
pub(crate) fn block<'a>(
    file: &mut File<'_>,
    steps: Vec<Checked<'_>>,
    inputs: &[crate::inputs::InputSpec],
    registry: &mut Registry<'a>,
) -> (Vec<Item>, Names) {
    let known: Vec<Known<'a>> = steps.iter().map(|step| look_up(file, step, registry)).collect();
    let mut names = Names::new(inputs);
    for (step, known) in steps.iter().zip(&known) {
        match (step.name(), &step.spec.name) {
            (Some(name), _) => {
                names.define(name, known.fields());
                names.define_partial(name, known.partial(step));
            }
            // A misspelt name has been complained about; whoever uses it, either way, is not at fault.
            (None, Some(text)) => [Some(text.value().clone()), snake(text)]
                .into_iter()
                .flatten()
                .for_each(|n| names.define(&n, Fields::Open)),
            (None, None) => {}
        }
    }
    let positions: BTreeMap<&str, usize> =
        steps.iter().enumerate().rev().filter_map(|(i, s)| Some((s.name()?, i))).collect();
    let mut before: Vec<BTreeSet<usize>> = Vec::new();
    let mut uses: Vec<BTreeSet<usize>> = Vec::new();
    for (i, step) in steps.iter().enumerate() {
        let out = match &known[i] {
            Known::Plugin(Some(description)) => signature::fields(&description.outputs),
            _ => Fields::Open,
        };
        let mentioned = mentions(file, step, &names, &out, &positions);
        before.push(needs(file, step, &names, &positions).union(&mentioned).copied().collect());
        uses.push(mentioned);
        inputs_fit(file, step, &known[i]);
        options_are_given(file, step, inputs);
        if let (Some(Kind::Plugin(plugin)), Known::Plugin(Some(description))) = (&step.kind, &known[i]) {
            let asks = registry.asks(file, &plugin.plugin, description);
            coverage::check(file, plugin, &asks, step.spec, description);
        }
    }
    let order = order::of(&before);
    for cycle in &order.cycles {
        let walk: Vec<&str> = cycle.iter().chain(cycle.first()).filter_map(|i| steps[*i].name()).collect();
        let at = cycle.first().map(|i| steps[*i].span.clone()).unwrap_or(0..0);
        let what = format!("steps wait for each other: {}", walk.join(" → "));
        file.say(codes::CYCLE, what, at, Some("let one of them do without the other's outputs".into()));
    }
    let paths: Vec<Option<StepPath>> = steps.iter().map(|s| s.path.clone()).collect();
    let path_of = |set: &BTreeSet<usize>| set.iter().filter_map(|i| paths[*i].clone()).collect::<Vec<_>>();
    let mut items: Vec<Option<Item>> = Vec::new();
    for (i, (step, known)) in steps.into_iter().zip(known).enumerate() {
        let asks = match (&step.kind, &known) {
            (Some(Kind::Plugin(plugin)), Known::Plugin(Some(d))) => registry.asks(file, &plugin.plugin, d),
            _ => Arc::default(),
        };
        items.push(item(file, step, known).map(|item| match item {
            Item::Step(step) => {
                let (needs, uses) = (path_of(&before[i]), path_of(&uses[i]));
                Item::Step(Box::new(Step { needs, uses, asks: asks.to_vec(), ..*step }))
            }
            other => other,
        }));
    }
    (order.order.into_iter().filter_map(|i| items[i].take()).collect(), names)
}

fn look_up<'a>(file: &mut File<'_>, step: &Checked<'_>, registry: &mut Registry<'a>) -> Known<'a> {
    match &step.kind {
        Some(Kind::Plugin(plugin)) => {
            let text = step.spec.uses.as_ref();
            Known::Plugin(text.and_then(|text| registry.plugin(file, &plugin.plugin, text.span())))
        }
        Some(Kind::Part { part, .. }) => Known::Part(registry.part(file, part)),
        Some(Kind::Choice { options, .. }) => {
            let mut part = |text: &Option<Text>| text.as_ref().and_then(|part| registry.part(file, part));
            Known::Choice(options.iter().map(|option| part(&option.spec.part)).collect())
        }
        None => Known::Nothing,
    }
}

/// Judges what a step mentions. Returns the steps whose outputs it uses.
fn mentions(
    file: &mut File<'_>,
    step: &Checked<'_>,
    names: &Names,
    out: &Fields,
    positions: &BTreeMap<&str, usize>,
) -> BTreeSet<usize> {
    let mut used = BTreeSet::new();
    for mention in &step.mentions {
        let root = mention.reference.root.as_str();
        if Some(root) == step.name() {
            let fix = match mention.see {
                See::Outputs | See::Read => "its outputs are called `out` here",
                _ => "use an earlier step's, or an input",
            };
            let what = format!("step `{root}` can't use its own outputs");
            file.say(codes::UNDEFINED_NAME, what, mention.at.clone(), Some(fix.into()));
            continue;
        }
        if let Some(problem) = names.judge(mention, out) {
            file.problems.push(problem.at(file.source.span(mention.at.clone())));
        } else if let Some(i) = positions.get(root) {
            used.insert(*i);
        }
    }
    used
}

fn needs(file: &mut File<'_>, step: &Checked<'_>, names: &Names, positions: &BTreeMap<&str, usize>) -> BTreeSet<usize> {
    let mut needed = BTreeSet::new();
    for need in &step.spec.needs {
        match positions.get(need.as_str()) {
            Some(_) if Some(need.as_str()) == step.name() => {
                file.say(codes::CYCLE, format!("step `{}` needs itself", need.as_str()), need.span(), None);
            }
            Some(i) => _ = needed.insert(*i),
            None if names.steps().any(|name| name == need.as_str()) => {}
            None => {
                let fix = did_you_mean(need, names.steps());
                let what = format!("there is no step `{}` to wait for", shown(need));
                file.say(codes::UNDEFINED_NAME, what, need.span(), fix);
            }
        }
    }
    needed
}

/// An option that an input takes names one of the playbook's.
fn options_are_given(file: &mut File<'_>, step: &Checked<'_>, inputs: &[crate::inputs::InputSpec]) {
    let Some(Kind::Choice { options, .. }) = &step.kind else { return };
    for given in options.iter().filter_map(|option| option.spec.given.as_ref()) {
        let names = || inputs.iter().map(|input| input.name.as_str());
        if !names().any(|name| name == given.as_str()) {
            let what = format!("there is no input `{}` to take the option with", shown(given.as_str()));
            file.say(codes::UNDEFINED_NAME, what, given.span(), did_you_mean(given.as_str(), names()));
        }
    }
}

fn inputs_fit(file: &mut File<'_>, step: &Checked<'_>, known: &Known<'_>) {
    match (&step.kind, known) {
        (Some(Kind::Plugin(plugin)), Known::Plugin(Some(description))) => {
            let owner = format!("plugin {}", plugin.plugin);
            signature::check(file, &owner, &description.inputs, &step.spec.with, &step.span);
        }
        (Some(Kind::Part { part, .. }), Known::Part(Some(found))) => {
            signature::check(file, &format!("part {}", part.as_str()), &found.signature, &step.spec.with, &step.span);
        }
        (Some(Kind::Choice { options, .. }), Known::Choice(found)) => {
            for (option, found) in options.iter().zip(found) {
                if let (Some(found), Some(part)) = (found, &option.spec.part) {
                    let owner = format!("part {}", part.as_str());
                    signature::check(file, &owner, &found.signature, &option.spec.with, &option.span);
                }
            }
        }
        _ => {}
    }
}

fn item(file: &File<'_>, step: Checked<'_>, known: Known<'_>) -> Option<Item> {
    let (path, span) = (step.path?, file.source.span(step.span));
    match (step.kind?, known) {
        (Kind::Plugin(plugin), Known::Plugin(Some(description))) => Some(Item::Step(Box::new(Step {
            limits: description.limits,
            defaults: signature::defaults(&description.inputs),
            ..*plugin
        }))),
        (Kind::Part { part, with }, Known::Part(Some(found))) => Some(Item::Part(PartItem {
            path,
            title: step.title,
            part: part.value().clone(),
            with,
            when: step.when,
            block: Arc::clone(&found.block),
            span,
        })),
        (Kind::Choice { question, default, options }, Known::Choice(found)) => {
            let inner =
                options.iter().zip(found).map(|(option, found)| Some((option.with.clone(), Arc::clone(&found?.block))));
            let inner: Option<Vec<(crate::expr::With, Arc<Block>)>> = inner.collect();
            let choice = Choice {
                path,
                question,
                default: default.map(|d| d.value().clone()),
                options: options.iter().map(choice_option).collect::<Option<_>>()?,
                text: step.told,
            };
            Some(Item::Choice(ChoiceItem { choice, title: step.title, when: step.when, inner: inner?, span }))
        }
        _ => None,
    }
}

fn choice_option(option: &CheckedOption<'_>) -> Option<ChoiceOption> {
    let spec = option.spec;
    Some(ChoiceOption {
        id: spec.id.as_ref()?.value().clone(),
        when: spec.when.clone(),
        given: spec.given.as_ref().map(|given| given.value().clone()),
        cost: spec.cost.map(|cost| cost.price()),
        confirm: spec.confirm.clone(),
        part: spec.part.as_ref()?.value().clone(),
    })
}
