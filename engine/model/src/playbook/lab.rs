//! A compiled playbook, and the flat program that its answers make of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::step::{Step, Text};
use crate::expr::{Expr, Template, With};
use crate::grant::shown;
use crate::id::StepPath;
use crate::inputs::InputSpec;
use crate::plugin::PluginRef;
use crate::problem::{Problem, Span, codes, did_you_mean, either, listed};

/// Answers to choices: a choice's path and the option's id.
pub type Answers = BTreeMap<StepPath, String>;

/// A playbook that can be run: all of its options are compiled.
#[derive(Debug, Clone)]
pub struct Lab {
    /// Its id.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// What it is about.
    pub summary: String,
    /// `beginner`, `intermediate` or `advanced`.
    pub level: String,
    /// How long it takes.
    pub minutes: Minutes,
    /// What the learner is asked.
    pub inputs: Vec<InputSpec>,
    /// What remains after undo; rendered over [`crate::expr::Scope::with_undo`].
    pub leaves: Vec<Template>,
    pub(crate) block: Arc<Block>,
}

/// How long a lab takes, in minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Minutes {
    /// On the embedded Azure.
    pub embedded: u32,
    /// On Azure.
    pub azure: u32,
}

/// A list of steps in execution order: the playbook's, or a part's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Block {
    pub(crate) inputs: Vec<InputSpec>,
    pub(crate) items: Vec<Item>,
    pub(crate) exports: BTreeMap<String, Template>,
}

/// One entry of a block. Paths are relative to it.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    Step(Box<Step>),
    Part(PartItem),
    Choice(ChoiceItem),
}

#[derive(Debug, Clone)]
pub(crate) struct PartItem {
    pub(crate) path: StepPath,
    pub(crate) title: String,
    pub(crate) part: String,
    pub(crate) with: With,
    pub(crate) when: Option<Expr>,
    pub(crate) block: Arc<Block>,
    pub(crate) span: Span,
}

#[derive(Debug, Clone)]
pub(crate) struct ChoiceItem {
    pub(crate) choice: Choice,
    pub(crate) title: String,
    pub(crate) when: Option<Expr>,
    /// As many as the choice has options.
    pub(crate) inner: Vec<(With, Arc<Block>)>,
    pub(crate) span: Span,
}

/// A choice that the learner makes before the run.
#[derive(Debug, Clone)]
pub struct Choice {
    /// Its place in the run: the key of its answer.
    pub path: StepPath,
    /// What to ask.
    pub question: String,
    /// The option taken when nobody answers.
    pub default: Option<String>,
    /// What there is to choose from.
    pub options: Vec<ChoiceOption>,
    /// What is told about it.
    pub text: Option<Text>,
}

/// One option.
#[derive(Debug, Clone, PartialEq)]
pub struct ChoiceOption {
    /// Its id.
    pub id: String,
    /// When a person should choose it.
    pub when: Option<String>,
    /// The input that takes it, once it is given.
    pub given: Option<String>,
    /// What it costs.
    pub cost: Option<Price>,
    /// What the learner types before it is taken; `--yes` does not answer it.
    pub confirm: Option<String>,
    /// The part it runs.
    pub part: String,
}

/// What an option or a step costs, in US dollars.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// Per hour while it stands.
    pub usd_per_hour: f64,
    /// What undo can't stop.
    pub usd_after_undo: f64,
}

/// One instruction of the flat program. Frames nest: every `Enter` has its `Leave`.
#[derive(Debug, Clone)]
pub enum Node {
    /// A part begins.
    Enter(Arc<Enter>),
    /// A step.
    Step(Arc<Step>),
    /// A part ends: its exports become the outputs of its path, one frame out.
    Leave(Arc<Leave>),
}

/// The beginning of a part.
#[derive(Debug, Clone)]
pub struct Enter {
    /// Its place in the run.
    pub path: StepPath,
    /// Its name for people.
    pub title: String,
    /// The part, `key-vault-premium@1`.
    pub part: String,
    /// Its inputs, over the frame outside.
    pub with: With,
    /// When it is false, everything up to the matching `Leave` is skipped.
    pub when: Option<Expr>,
    /// The option that led here.
    pub chosen: Option<String>,
    pub(crate) inputs: Vec<InputSpec>,
    pub(crate) span: Span,
}

/// The end of a part.
#[derive(Debug, Clone)]
pub struct Leave {
    /// Its place in the run.
    pub path: StepPath,
    /// What it exports, over the frame inside.
    pub exports: BTreeMap<String, Template>,
    /// The option that led here.
    pub chosen: Option<String>,
    pub(crate) span: Span,
}

impl Node {
    /// Its place in the run.
    #[must_use]
    pub fn path(&self) -> &StepPath {
        match self {
            Self::Enter(enter) => &enter.path,
            Self::Step(step) => &step.path,
            Self::Leave(leave) => &leave.path,
        }
    }

    /// Its condition.
    #[must_use]
    pub fn when(&self) -> Option<&Expr> {
        match self {
            Self::Enter(enter) => enter.when.as_ref(),
            Self::Step(step) => step.when.as_ref(),
            Self::Leave(_) => None,
        }
    }
}

/// Index of the `Leave` that ends what begins at `enter`; `enter` itself when nothing begins there.
#[must_use]
pub fn matching_leave(nodes: &[Node], enter: usize) -> usize {
    let mut depth = 0_usize;
    for (i, node) in nodes.iter().enumerate().skip(enter) {
        match node {
            Node::Enter(_) => depth += 1,
            Node::Leave(_) => depth = depth.saturating_sub(1),
            Node::Step(_) => {}
        }
        if depth == 0 {
            return i;
        }
    }
    enter
}

impl Lab {
    /// The choices that are reached under these answers, outer ones first. Ask the first one that has no answer yet,
    /// then look again: an answer can open further choices.
    #[must_use]
    pub fn choices(&self, answers: &Answers) -> Vec<Choice> {
        let mut found = Vec::new();
        choices(&self.block, None, answers, &mut found);
        found
    }

    /// Every plugin that some option uses.
    #[must_use]
    pub fn plugins(&self) -> BTreeSet<&PluginRef> {
        let (mut seen, mut found) = (BTreeSet::new(), BTreeSet::new());
        plugins(&self.block, &mut seen, &mut found);
        found
    }

    /// The program under these answers. A choice without an answer takes its default.
    ///
    /// # Errors
    /// Choices without answer and default, answers that are no option, answers to what is no choice.
    pub fn flatten(&self, answers: &Answers) -> Result<Vec<Node>, Vec<Problem>> {
        let mut flat = Flat { answers, nodes: Vec::new(), problems: Vec::new(), met: BTreeSet::new() };
        flat.block(&self.block, None);
        for path in answers.keys().filter(|path| !flat.met.contains(*path)) {
            let names = || flat.met.iter().map(StepPath::as_str);
            let fix =
                did_you_mean(path.as_str(), names()).unwrap_or_else(|| format!("the choices are {}", listed(names())));
            let problem = Problem::new(codes::BAD_CHOICE, format!("there is no choice `{path}`")).fix(fix);
            flat.problems.push(problem);
        }
        if flat.problems.is_empty() { Ok(flat.nodes) } else { Err(flat.problems) }
    }
}

fn inside(prefix: Option<&StepPath>, path: &StepPath) -> StepPath {
    prefix.map_or_else(|| path.clone(), |prefix| prefix.join(path.as_str()))
}

fn choices(block: &Block, prefix: Option<&StepPath>, answers: &Answers, found: &mut Vec<Choice>) {
    for item in &block.items {
        match item {
            Item::Step(_) => {}
            Item::Part(part) => choices(&part.block, Some(&inside(prefix, &part.path)), answers, found),
            Item::Choice(item) => {
                let path = inside(prefix, &item.choice.path);
                let answer = answers.get(&path).or(item.choice.default.as_ref());
                let taken = item.choice.options.iter().position(|o| Some(&o.id) == answer);
                found.push(Choice { path: path.clone(), ..item.choice.clone() });
                if let Some((_, inner)) = taken.and_then(|i| item.inner.get(i)) {
                    choices(inner, Some(&path), answers, found);
                }
            }
        }
    }
}

fn plugins<'b>(block: &'b Arc<Block>, seen: &mut BTreeSet<*const Block>, found: &mut BTreeSet<&'b PluginRef>) {
    // Blocks are shared: each is looked at once.
    if !seen.insert(Arc::as_ptr(block)) {
        return;
    }
    for item in &block.items {
        match item {
            Item::Step(step) => _ = found.insert(&step.plugin),
            Item::Part(part) => plugins(&part.block, seen, found),
            Item::Choice(choice) => choice.inner.iter().for_each(|(_, block)| plugins(block, seen, found)),
        }
    }
}

struct Flat<'a> {
    answers: &'a Answers,
    nodes: Vec<Node>,
    problems: Vec<Problem>,
    met: BTreeSet<StepPath>,
}

impl Flat<'_> {
    fn block(&mut self, block: &Block, prefix: Option<&StepPath>) {
        for item in &block.items {
            match item {
                Item::Step(step) => self.step(step, prefix),
                Item::Part(part) => {
                    let enter = Enter {
                        path: inside(prefix, &part.path),
                        title: part.title.clone(),
                        part: part.part.clone(),
                        with: part.with.clone(),
                        when: part.when.clone(),
                        chosen: None,
                        inputs: part.block.inputs.clone(),
                        span: part.span.clone(),
                    };
                    self.part(enter, &part.block);
                }
                Item::Choice(item) => self.choice(item, inside(prefix, &item.choice.path)),
            }
        }
    }

    fn step(&mut self, step: &Step, prefix: Option<&StepPath>) {
        let mut step = step.clone();
        step.path = inside(prefix, &step.path);
        for path in step.needs.iter_mut().chain(&mut step.uses) {
            *path = inside(prefix, path);
        }
        self.nodes.push(Node::Step(Arc::new(step)));
    }

    fn part(&mut self, enter: Enter, block: &Block) {
        let path = enter.path.clone();
        let leave = Leave {
            path: path.clone(),
            exports: block.exports.clone(),
            chosen: enter.chosen.clone(),
            span: enter.span.clone(),
        };
        self.nodes.push(Node::Enter(Arc::new(enter)));
        self.block(block, Some(&path));
        self.nodes.push(Node::Leave(Arc::new(leave)));
    }

    fn choice(&mut self, item: &ChoiceItem, path: StepPath) {
        self.met.insert(path.clone());
        let options = || item.choice.options.iter().map(|o| o.id.as_str());
        let Some(answer) = self.answers.get(&path).or(item.choice.default.as_ref()) else {
            let what = format!("the choice `{path}` has no answer");
            self.problems.push(Problem::new(codes::BAD_CHOICE, what).fix(format!("choose {}", either(options()))));
            return;
        };
        let taken = item.choice.options.iter().zip(&item.inner).find(|(option, _)| option.id == *answer);
        let Some((option, (with, block))) = taken else {
            let fix =
                did_you_mean(answer, options()).unwrap_or_else(|| format!("its options are {}", listed(options())));
            let what = format!("the choice `{path}` has no option `{}`", shown(answer));
            self.problems.push(Problem::new(codes::BAD_CHOICE, what).fix(fix));
            return;
        };
        let enter = Enter {
            path,
            title: item.title.clone(),
            part: option.part.clone(),
            with: with.clone(),
            when: item.when.clone(),
            chosen: Some(option.id.clone()),
            inputs: block.inputs.clone(),
            span: item.span.clone(),
        };
        self.part(enter, block);
    }
}
