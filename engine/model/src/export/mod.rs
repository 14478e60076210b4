//! A playbook as what a person would type: the `az` commands of its steps in order, with everything that only a run
//! can know as variables. Pure: nothing is looked up.
//!
//! A run's unknown values (an identity's id, a key's version) are put into the scope as marks. Where a mark comes out
//! in a command, a variable is used; how to get its value is what the plugin says of its output, in its schema:
//! `x-az` is the command that prints it (`x-az-last`: an address whose last segment it is), `x-is` a template that it
//! always equals, all over `inputs`. At the schema's root, `x-az` holds for every output, whose path is `${path}`.

mod line;
mod markdown;
mod shell;
mod symbols;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

pub use line::{Line, Piece, Token};
pub use markdown::markdown;
pub use shell::{Shell, script as shell_script};

use crate::expr::{Context, Me, Scope};
use crate::id::RunId;
use crate::inputs::InputKind;
use crate::plan::inside;
use crate::playbook::{Answers, Lab, LessonKind, Node, Quiz, Refusal, Step, Text, matching_leave};
use crate::plugin::Description;
use crate::problem::{Problem, codes};
use crate::{CloudName, expr};
use symbols::Symbols;

/// A playbook as commands.
#[derive(Debug, Clone)]
pub struct Script {
    /// The playbook's id.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// What it is about.
    pub summary: String,
    /// What remains afterwards.
    pub leaves: Vec<Vec<Piece>>,
    /// What the commands take for granted, in order.
    pub variables: Vec<Variable>,
    /// The steps.
    pub steps: Vec<Scripted>,
}

/// A name that commands use.
#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    /// Its name: lower case with underscores.
    pub name: String,
    /// Where its value comes from.
    pub value: Origin,
    /// What it is.
    pub note: String,
}

/// Where a variable's value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// A text that the reader may change.
    Text(String),
    /// A text that the reader must not show around, and has to give.
    Secret,
    /// A command prints it.
    Printed(Line),
    /// A command prints a path or address, and this is its last segment.
    LastOf(Line),
    /// Nobody says how to get it.
    Unknown,
}

/// One step as commands.
#[derive(Debug, Clone)]
pub struct Scripted {
    /// Its place in the run.
    pub path: String,
    /// Its name for people.
    pub title: String,
    /// What is told about it.
    pub text: Text,
    /// The confidential VM that it runs inside; none: it is typed here.
    pub guest: Option<Vec<Piece>>,
    /// What to type, one after the other; inside the VM, if it runs there. None: there is nothing to type.
    pub commands: Vec<Line>,
    /// How long to try again while rights are on their way.
    pub patience: Option<Duration>,
    /// What its last command, or what follows it, is to show.
    pub lesson: Option<Shown>,
    /// What later commands need from it.
    pub outputs: Vec<Variable>,
    /// A question to the learner.
    pub quiz: Option<Quiz>,
}

/// What a lesson shows.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// The step's own command is refused.
    Refused(Refusal),
    /// Reading a blob is refused.
    ReadRefused(Line, Refusal, Duration),
    /// Reading a blob works.
    Read(Line, Duration),
}

/// How long a lesson waits when the playbook does not say.
const LESSON: Duration = Duration::from_secs(600);

/// Makes commands of a playbook under these answers and inputs. Inputs that are texts become variables.
///
/// # Errors
/// Choices without a valid answer; a command that is no list of words.
pub fn export(
    lab: &Lab,
    descriptions: &BTreeMap<String, Description>,
    answers: &Answers,
    inputs: &BTreeMap<String, Value>,
    run: RunId,
) -> Result<Script, Vec<Problem>> {
    let nodes = lab.flatten(answers)?;
    let mut symbols = Symbols::default();
    let context = context(&mut symbols, run);
    let outermost = Scope::new(&context, &variables(lab, inputs, &mut symbols));
    let mut frames = vec![outermost];
    // What is mentioned of each step, frame by frame, must stand in the scope before it is evaluated.
    let mentioned = symbols::mentioned(&nodes);
    let mut frame_ids = vec![0_usize];
    let mut next_frame = 0;
    let mut steps = Vec::new();
    let mut problems = Vec::new();
    // Up to where a part is passed over whose condition does not hold.
    let mut skip_to = 0;
    for (position, node) in nodes.iter().enumerate() {
        let holds = |scope: &Scope| !node.when().is_some_and(|when| matches!(when.holds(scope), Ok(false)));
        if position < skip_to || !frames.last().is_some_and(holds) {
            if position >= skip_to {
                skip_to = matching_leave(&nodes, position) + 1;
                // As in a run: its name is there, and has no fields.
                if let Some(scope) = frames.last_mut() {
                    scope.set(node.path().own_name(), json!({}));
                }
            }
            if let Node::Enter(_) = node {
                next_frame += 1;
            }
            continue;
        }
        match node {
            Node::Enter(enter) => {
                let inner = frames.last().map(|outer| inside(outer, enter)).unwrap_or_default();
                next_frame += 1;
                frame_ids.push(next_frame);
                frames.push(inner);
            }
            Node::Leave(leave) => {
                let inner = frames.pop().unwrap_or_default();
                frame_ids.pop();
                let exports = leave.exports.iter().map(|(name, t)| (name.clone(), Value::String(t.preview(&inner))));
                let chosen = leave.chosen.iter().map(|id| ("chosen".to_owned(), Value::String(id.clone())));
                if let Some(outer) = frames.last_mut() {
                    outer.set(leave.path.own_name(), exports.chain(chosen).collect());
                }
            }
            Node::Step(step) => {
                let (Some(scope), Some(frame)) = (frames.last_mut(), frame_ids.last()) else { continue };
                let asked = mentioned.get(&(*frame, step.name().to_owned())).map(Vec::as_slice).unwrap_or_default();
                let description = descriptions.get(&step.plugin.to_string());
                match scripted(step, description, asked, scope, &mut symbols) {
                    Ok(one) => steps.push(one),
                    Err(problem) => problems.push(problem),
                }
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let top = frames.into_iter().next().unwrap_or_default();
    let leaves = lab.leaves.iter().map(|t| line::pieces(&t.preview(&top), &symbols)).collect();
    let variables = used(symbols, &mut steps);
    Ok(Script { id: lab.id.clone(), title: lab.title.clone(), summary: lab.summary.clone(), leaves, variables, steps })
}

/// Who and where: looked up by the script.
fn context(symbols: &mut Symbols, run: RunId) -> Context {
    let mut az = |name: &str, command: &str, note: &str| {
        symbols.add(name, Origin::Printed(line::words(command)), note.to_owned())
    };
    Context {
        run,
        cloud: CloudName::Azure,
        subscription: az("subscription", "az account show --query id --output tsv", "where all of it happens"),
        subscription_name: az("subscription_name", "az account show --query name --output tsv", "its name"),
        tenant: az("tenant", "az account show --query tenantId --output tsv", "its tenant"),
        me: Me {
            id: az("me_id", "az ad signed-in-user show --query id --output tsv", "your object id"),
            name: az("me_name", "az ad signed-in-user show --query userPrincipalName --output tsv", "your name"),
            kind: "User".into(),
        },
    }
}

/// The inputs as the scope sees them: texts as marks, the rest as it is.
fn variables(lab: &Lab, inputs: &BTreeMap<String, Value>, symbols: &mut Symbols) -> BTreeMap<String, Value> {
    let mut seen = BTreeMap::new();
    for spec in &lab.inputs {
        let given = inputs.get(&spec.name);
        let note = spec.prompt.clone().unwrap_or_else(|| spec.name.clone());
        let value = match (spec.kind, given) {
            (InputKind::String, _) if spec.secret => Value::String(symbols.add(&spec.name, Origin::Secret, note)),
            (InputKind::String, given) => {
                let text = given.and_then(Value::as_str).map_or(Origin::Unknown, |t| Origin::Text(t.to_owned()));
                Value::String(symbols.add(&spec.name, text, note))
            }
            (_, Some(value)) => value.clone(),
            (_, None) => continue,
        };
        seen.insert(spec.name.clone(), value);
    }
    seen
}

fn scripted(
    step: &Step,
    description: Option<&Description>,
    asked: &[Vec<String>],
    scope: &mut Scope,
    symbols: &mut Symbols,
) -> Result<Scripted, Problem> {
    let given = step.with.preview(scope);
    let mut all = step.defaults.clone();
    all.extend(given.as_object().cloned().unwrap_or_default());
    let mut own = Scope::empty();
    own.set("inputs", Value::Object(all));
    let text = step.by_hand.as_ref().map(|t| t.preview(scope)).unwrap_or_default();
    let commands = line::commands(&text, symbols).map_err(|why| {
        Problem::new(codes::CANNOT_EXPORT, format!("step `{}` can't be exported", step.path))
            .because(why)
            .fix("write `by_hand` as plain commands, one after the other")
    })?;
    let guest = step.vm().map(|vm| line::pieces(&vm.preview(scope), symbols));
    let lesson = step.lesson.as_ref().map(|lesson| {
        let within = lesson.within.unwrap_or(LESSON);
        let read = |uri: &expr::Template, symbols: &Symbols| {
            let uri = uri.preview(scope);
            let text = format!("az storage blob download --auth-mode login --blob-url '{uri}' --file /dev/null");
            line::commands(&text, symbols).ok().and_then(|mut lines| lines.pop()).unwrap_or_default()
        };
        match &lesson.kind {
            LessonKind::ApplyFails(refusal) => Shown::Refused(refusal.clone()),
            LessonKind::ReadFails { uri, refusal } => Shown::ReadRefused(read(uri, symbols), refusal.clone(), within),
            LessonKind::ReadHolds { uri, .. } => Shown::Read(read(uri, symbols), within),
        }
    });
    let mut outputs = Vec::new();
    let mut values = Value::Object(Map::new());
    for path in asked {
        let value = match told(description, path, &own) {
            Told::Is(text) => text,
            Told::Az(command, origin) => {
                let lines = line::commands(&command, symbols).unwrap_or_default();
                let origin = lines.into_iter().next().map_or(Origin::Unknown, origin);
                output(step, path, origin, &mut outputs, symbols)
            }
            Told::Nothing => output(step, path, Origin::Unknown, &mut outputs, symbols),
        };
        put(&mut values, path, value);
    }
    scope.set(step.name(), values);
    Ok(Scripted {
        path: step.path.to_string(),
        title: step.title.clone(),
        text: step.text.clone(),
        guest,
        commands,
        patience: step.retry_within,
        lesson,
        outputs,
        quiz: step.quiz.clone(),
    })
}

/// What a plugin says of one of its outputs.
enum Told {
    /// Its value.
    Is(String),
    /// The command that prints it, or something whose last segment it is.
    Az(String, fn(Line) -> Origin),
    Nothing,
}

fn told(description: Option<&Description>, path: &[String], own: &Scope) -> Told {
    let Some(schema) = description.map(|d| &d.outputs) else { return Told::Nothing };
    let mut scope = own.clone();
    scope.set("path", path.join(".").into());
    let render = |text: &Value| expr::Template::parse(text.as_str()?).ok()?.text(&scope).ok();
    let output = path.first().map(|name| &schema["properties"][name]).unwrap_or(&Value::Null);
    if let Some(text) = render(&output["x-is"]) {
        return Told::Is(text);
    }
    if let Some(command) = render(&output["x-az-last"]) {
        return Told::Az(command, Origin::LastOf);
    }
    match render(&output["x-az"]).or_else(|| render(&schema["x-az"])) {
        Some(command) => Told::Az(command, Origin::Printed),
        None => Told::Nothing,
    }
}

/// Makes a variable of an output; returns its mark.
fn output(step: &Step, path: &[String], origin: Origin, outputs: &mut Vec<Variable>, symbols: &mut Symbols) -> String {
    let (name, note) = (variable_name(step, path), format!("{} of {}", path.join("."), step.path));
    outputs.push(Variable { name: name.clone(), value: origin.clone(), note: note.clone() });
    symbols.add(&name, origin, note)
}

/// `des.identity.principalId` as `des_identity_principal_id`.
fn variable_name(step: &Step, path: &[String]) -> String {
    let mut name = String::new();
    for c in format!("{}.{}", step.path, path.join(".")).chars() {
        if c.is_ascii_uppercase() && !name.ends_with('_') {
            name.push('_');
        }
        name.push(if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
    }
    name
}

/// Sets a value at a path, making the objects on the way.
fn put(values: &mut Value, path: &[String], value: String) {
    let mut here = values;
    for field in path {
        if !here.is_object() {
            *here = json!({});
        }
        here = &mut here[field.as_str()];
    }
    if !here.is_object() {
        *here = Value::String(value);
    }
}

/// Keeps the variables that some command uses: the outputs with their steps, the rest at the top.
fn used(symbols: Symbols, steps: &mut [Scripted]) -> Vec<Variable> {
    let mut names = Vec::new();
    // Backwards: what only an unused output needs is not used either.
    for step in steps.iter_mut().rev() {
        let lesson = match &step.lesson {
            Some(Shown::ReadRefused(line, ..) | Shown::Read(line, _)) => Some(line),
            _ => None,
        };
        names.extend(step.commands.iter().chain(lesson).flat_map(Line::names).map(str::to_owned));
        names.extend(step.guest.iter().flatten().filter_map(|piece| match piece {
            Piece::Variable(name) => Some(name.clone()),
            Piece::Text(_) => None,
        }));
        step.outputs.retain(|output| names.contains(&output.name));
        for output in &step.outputs {
            if let Origin::Printed(line) | Origin::LastOf(line) = &output.value {
                names.extend(line.names().map(str::to_owned));
            }
        }
    }
    let outputs: Vec<&str> = steps.iter().flat_map(|s| &s.outputs).map(|o| o.name.as_str()).collect();
    symbols.into_variables().filter(|v| names.contains(&v.name) && !outputs.contains(&v.name.as_str())).collect()
}
