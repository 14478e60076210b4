//! What a run would do, told before anything is done. Pure: nothing is looked up.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::CloudName;
use crate::expr::{Context, Scope};
use crate::id::StepPath;
use crate::inputs::InputDefault;
use crate::playbook::{Answers, Enter, Lab, Node, Step};
use crate::problem::Problem;

/// A preview of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The playbook's id.
    pub playbook: String,
    /// Its name for people.
    pub title: String,
    /// What it is about.
    pub summary: String,
    /// How much it takes for granted.
    pub level: String,
    /// Where it would run.
    pub cloud: CloudName,
    /// How long it takes there.
    pub minutes: u32,
    /// The steps in order of execution.
    pub steps: Vec<PlannedStep>,
    /// The choices as they are answered.
    pub choices: Vec<PlannedChoice>,
    /// What the chosen options and the steps cost while they stand, in US dollars per hour.
    pub usd_per_hour: f64,
    /// What undo can't stop, in US dollars.
    pub usd_after_undo: f64,
    /// What remains after undo.
    pub leaves: Vec<String>,
}

/// One step of a plan. Texts are rendered as far as they are known; the rest stays `${…}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedStep {
    /// Its number, from 1.
    pub index: usize,
    /// How many there are.
    pub of: usize,
    /// Its place in the run.
    pub path: StepPath,
    /// Its name for people.
    pub title: String,
    /// What happens, in Markdown.
    pub what: String,
    /// The confidential VM that it runs inside; none: it runs on this machine.
    pub guest: Option<String>,
    /// The plugin.
    pub plugin: String,
    /// What it is granted.
    pub grants: Vec<String>,
    /// What a person would type: inside the VM, if it runs there.
    pub by_hand: Option<String>,
    /// The condition under which it runs.
    pub when: Option<String>,
    /// Whether there is a lesson in it.
    pub lesson: bool,
    /// Whether it may build on things that it did not make.
    pub adopt: bool,
    /// Whether it waits for the learner.
    pub pause: bool,
}

/// One choice of a plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedChoice {
    /// Its place in the run.
    pub path: StepPath,
    /// What is asked.
    pub question: String,
    /// The option that is taken.
    pub option: String,
    /// What it costs: US dollars per hour, and what undo can't stop.
    pub cost: Option<(f64, f64)>,
    /// What the learner has to type.
    pub confirm: Option<String>,
}

/// Says what a run would do under these answers and inputs. Inputs without a value stay `${inputs.…}`.
///
/// # Errors
/// Choices that have no valid answer.
pub fn plan(
    lab: &Lab,
    answers: &Answers,
    inputs: &BTreeMap<String, Value>,
    context: &Context,
) -> Result<Plan, Vec<Problem>> {
    let nodes = lab.flatten(answers)?;
    let mut frames = vec![Scope::new(context, inputs)];
    let mut steps = Vec::new();
    for node in &nodes {
        match node {
            Node::Enter(enter) => {
                let inner = frames.last().map(|outer| inside(outer, enter)).unwrap_or_default();
                frames.push(inner);
            }
            Node::Leave(leave) => {
                let inner = frames.pop().unwrap_or_default();
                // Exports that are made of inputs alone are known before anything runs.
                let known = leave.exports.iter().filter_map(|(name, t)| Some((name.clone(), t.render(&inner).ok()?)));
                let chosen = leave.chosen.iter().map(|id| ("chosen".to_owned(), Value::String(id.clone())));
                if let Some(outer) = frames.last_mut() {
                    outer.set(leave.path.own_name(), known.chain(chosen).collect());
                }
            }
            Node::Step(step) => {
                if let Some(scope) = frames.last() {
                    steps.push(planned(step, scope));
                }
            }
        }
    }
    let of = steps.len();
    steps.iter_mut().enumerate().for_each(|(i, step)| (step.index, step.of) = (i + 1, of));
    let choices: Vec<PlannedChoice> = lab
        .choices(answers)
        .into_iter()
        .filter_map(|choice| {
            let taken = answers.get(&choice.path).or(choice.default.as_ref())?;
            let option = choice.options.iter().find(|o| o.id == *taken)?;
            Some(PlannedChoice {
                question: choice.question.clone(),
                option: option.id.clone(),
                cost: option.cost.map(|c| (c.usd_per_hour, c.usd_after_undo)),
                confirm: option.confirm.clone(),
                path: choice.path,
            })
        })
        .collect();
    let of_steps = nodes.iter().filter_map(|node| match node {
        Node::Step(step) => step.cost.map(|cost| (cost.usd_per_hour, cost.usd_after_undo)),
        Node::Enter(_) | Node::Leave(_) => None,
    });
    let costs: Vec<(f64, f64)> = choices.iter().filter_map(|c| c.cost).chain(of_steps).collect();
    let embedded = context.cloud == CloudName::Embedded;
    Ok(Plan {
        playbook: lab.id.clone(),
        title: lab.title.clone(),
        summary: lab.summary.clone(),
        level: lab.level.clone(),
        cloud: context.cloud,
        minutes: if embedded { lab.minutes.embedded } else { lab.minutes.azure },
        steps,
        usd_per_hour: costs.iter().map(|c| c.0).sum(),
        usd_after_undo: costs.iter().map(|c| c.1).sum(),
        leaves: frames.last().map(|scope| lab.leaves.iter().map(|t| t.preview(scope)).collect()).unwrap_or_default(),
        choices,
    })
}

/// The scope inside a part. An input that is not known yet stands for itself as the caller wrote it (`${rg.name}`),
/// since the names inside the part would tell a reader of the plan nothing.
pub(crate) fn inside(outer: &Scope, enter: &Enter) -> Scope {
    let mut inputs = Map::new();
    for spec in &enter.inputs {
        let default = || match spec.default.as_ref()? {
            InputDefault::Plain(value) => Some(value.clone()),
            InputDefault::Template(template) => template.render(outer).ok(),
        };
        let given = enter.with.get(&spec.name).map(|with| with.preview(outer));
        if let Some(value) = given.or_else(default) {
            inputs.insert(spec.name.clone(), value);
        }
    }
    outer.inside(Value::Object(inputs))
}

fn planned(step: &Step, scope: &Scope) -> PlannedStep {
    PlannedStep {
        index: 0,
        of: 0,
        path: step.path.clone(),
        title: step.title.clone(),
        what: step.text.what.clone(),
        guest: step.vm().map(|vm| vm.preview(scope)),
        plugin: step.plugin.to_string(),
        grants: step.grants.iter().map(|(template, _)| template.preview(scope)).collect(),
        by_hand: step.by_hand.as_ref().map(|t| t.preview(scope)),
        when: step.when.as_ref().map(|w| w.source().to_owned()),
        lesson: step.lesson.is_some(),
        adopt: step.adopt,
        pause: step.pause.is_some(),
    }
}
