//! Marks: what stands in the scope for values that only a run can know.

use std::collections::BTreeMap;

use super::{Origin, Variable};
use crate::expr::Template;
use crate::playbook::{LessonKind, Node};

/// Frame a mark, around the number of a variable. Private-use characters: no playbook's text has them.
const OPEN: char = '\u{E000}';
const CLOSE: char = '\u{E001}';

/// The variables, in order of their numbers.
#[derive(Debug, Default)]
pub(super) struct Symbols(Vec<Variable>);

impl Symbols {
    /// Adds a variable and returns its mark.
    pub fn add(&mut self, name: &str, value: Origin, note: String) -> String {
        let number = self.0.len();
        self.0.push(Variable { name: name.to_owned(), value, note });
        format!("{OPEN}{number}{CLOSE}")
    }

    /// Name of the variable with a number.
    pub fn name(&self, number: usize) -> Option<&str> {
        self.0.get(number).map(|variable| variable.name.as_str())
    }

    pub fn into_variables(self) -> impl Iterator<Item = Variable> {
        self.0.into_iter()
    }
}

/// Splits a text at its marks: plain texts, and the numbers of variables.
pub(super) fn marked(text: &str) -> Vec<Result<usize, String>> {
    let mut parts = Vec::new();
    for (position, part) in text.split(OPEN).enumerate() {
        let plain = match part.split_once(CLOSE) {
            Some((number, rest)) if position > 0 => match number.parse() {
                Ok(number) => {
                    parts.push(Ok(number));
                    rest
                }
                Err(_) => part,
            },
            _ => part,
        };
        if !plain.is_empty() {
            parts.push(Err(plain.to_owned()));
        }
    }
    parts
}

/// What is mentioned of each step: its frame (numbered as they are entered) and name, the fields.
pub(super) fn mentioned(nodes: &[Node]) -> BTreeMap<(usize, String), Vec<Vec<String>>> {
    let mut found: BTreeMap<_, Vec<Vec<String>>> = BTreeMap::new();
    let (mut frames, mut entered) = (vec![0_usize], 0);
    let mut see = |frame: usize, templates: &[&Template]| {
        for reference in templates.iter().flat_map(|t| t.exprs()).flat_map(|(e, _)| e.references()) {
            let fields = found.entry((frame, reference.root.clone())).or_default();
            if !reference.fields.is_empty() && !fields.contains(&reference.fields) {
                fields.push(reference.fields.clone());
            }
        }
    };
    for node in nodes {
        let here = frames.last().copied().unwrap_or_default();
        match node {
            Node::Enter(enter) => {
                see(here, &enter.with.templates());
                entered += 1;
                frames.push(entered);
            }
            Node::Step(step) => {
                see(here, &step.with.templates());
                see(here, &step.by_hand.iter().chain(step.vm()).collect::<Vec<_>>());
                if let Some(LessonKind::ReadFails { uri, .. } | LessonKind::ReadHolds { uri, .. }) =
                    step.lesson.as_ref().map(|lesson| &lesson.kind)
                {
                    see(here, &[uri]);
                }
            }
            Node::Leave(leave) => {
                see(here, &leave.exports.values().collect::<Vec<_>>());
                frames.pop();
            }
        }
    }
    found
}
