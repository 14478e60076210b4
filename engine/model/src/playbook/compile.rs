//! The pipeline: from a bundle to a lab, or to all of its problems.

use std::collections::BTreeMap;

use super::authored::{InputSpec as InputAuthored, KindSpec, LevelSpec, PART, PLAYBOOK, PartSpec, PlaybookSpec, Text};
use super::bundle::Bundle;
use super::checked::{File, See, Words};
use super::lab::{Block, Lab, Minutes};
use super::resolved::{self, Fields, Names, Part, Registry};
use crate::document::{self, Loose, Source};
use crate::expr::Template;
use crate::inputs::{InputDefault, InputKind, InputSpec, regex};
use crate::plugin::Description;
use crate::problem::{Problem, codes};

/// Bytes of all files together.
const MAX_BUNDLE: usize = 8 * 1024 * 1024;

/// Compiles a playbook with all its parts and options. `plugins` holds what each plugin says of itself, by
/// `name@version`.
///
/// # Errors
/// All problems of all files: the playbook's first, each file's in source order.
pub fn compile(bundle: &Bundle, plugins: &BTreeMap<String, Description>) -> Result<Lab, Vec<Problem>> {
    let size: usize = bundle.files.values().map(String::len).sum();
    if size > MAX_BUNDLE {
        let what = format!("the playbook and its parts have {size} bytes, at most {MAX_BUNDLE} are read");
        return Err(vec![Problem::new(codes::TOO_LARGE, what)]);
    }
    let Some(text) = bundle.files.get(&bundle.root) else {
        let problem = Problem::new(codes::MISSING_FILE, format!("there is no file {}", bundle.root));
        return Err(vec![problem.fix("name a folder with a playbook.toml, or the file itself")]);
    };
    let mut registry = Registry::new(bundle, plugins);
    let lab = playbook(&mut registry, Source { file: &bundle.root, text });
    let mut problems = registry.problems;
    problems.sort_by_key(|p| {
        let span = p.span.clone();
        let file = span.as_ref().map(|s| s.file.clone()).unwrap_or_default();
        (file != bundle.root, file, span.map_or(0, |s| s.start))
    });
    problems.dedup();
    match lab {
        Some(lab) if problems.is_empty() => Ok(lab),
        _ => Err(problems),
    }
}

fn playbook(registry: &mut Registry<'_>, source: Source<'_>) -> Option<Lab> {
    let mut file = File { source, bundle: registry.bundle, texts: None, guest: None, problems: Vec::new() };
    let spec: Option<PlaybookSpec> = document::read(source, &PLAYBOOK, &mut file.problems);
    let spec = version(&mut file, spec);
    let lab = spec.as_ref().and_then(|spec| {
        file.texts = spec.texts.as_deref();
        file.guest = spec.guest.as_ref();
        let inputs = inputs(&mut file, &spec.inputs, true);
        let steps = file.steps(spec.step.as_deref().unwrap_or_default());
        let (items, names) = resolved::block(&mut file, steps, &inputs, registry);
        let leaves = templates(&mut file, &spec.leaves, See::Undo, &names);
        let block = Block { inputs: inputs.clone(), items, exports: BTreeMap::new() };
        folder(&mut file, spec.id.as_ref());
        let minutes = spec.minutes?;
        Some(Lab {
            id: spec.id.as_ref()?.value().clone(),
            title: spec.title.clone()?,
            summary: spec.summary.clone()?,
            level: level(spec.level?).to_owned(),
            minutes: Minutes { embedded: minutes.embedded?, azure: minutes.azure? },
            inputs,
            leaves,
            block: block.into(),
        })
    });
    registry.problems.append(&mut file.problems);
    lab
}

/// Compiles a part. None: not even a piece of it is usable.
pub(crate) fn part(registry: &mut Registry<'_>, id: &str, path: &str) -> Option<Part> {
    let bundle = registry.bundle;
    let source = Source { file: path, text: bundle.files.get(path)? };
    let mut file = File { source, bundle, texts: None, guest: None, problems: Vec::new() };
    let before = registry.problems.len();
    let spec: Option<PartSpec> = document::read(source, &PART, &mut file.problems);
    let spec = version(&mut file, spec);
    let part = spec.as_ref().and_then(|spec| {
        file.texts = spec.texts.as_deref();
        file.guest = spec.guest.as_ref();
        if let Some(given) = spec.id.as_ref().filter(|given| given.as_str() != id) {
            let what = format!("the part in {path} is called `{}`", given.as_str());
            file.say(codes::BAD_NAME, what, given.span(), Some(format!("write id = \"{id}\", its folder's name")));
        }
        let inputs = inputs(&mut file, &spec.inputs, false);
        let steps = file.steps(spec.step.as_deref().unwrap_or_default());
        let (items, names) = resolved::block(&mut file, steps, &inputs, registry);
        let exports = exports(&mut file, &spec.exports, &names);
        let whole = file.problems.is_empty() && registry.problems.len() == before;
        Some(Part::new(*spec.version.as_ref()?.value(), Block { inputs, items, exports }, whole))
    });
    registry.problems.append(&mut file.problems);
    part
}

/// A file of another format version is not judged by this version's rules: that it is one is all there is to say.
fn version<T>(file: &mut File<'_>, spec: Option<T>) -> Option<T> {
    let other = |p: &Problem| p.code == codes::BAD_VALUE && p.what.starts_with("`schema` ");
    let Some(found) = file.problems.iter().find(|p| other(p)) else { return spec };
    let problem = Problem {
        code: codes::FORMAT_VERSION,
        what: "the file is of another version of the format".into(),
        why: vec!["this Sealbook reads version 1".into()],
        fix: Some("write schema = 1, or use the Sealbook that the file was written for".into()),
        span: found.span.clone(),
    };
    file.problems = vec![problem];
    None
}

fn level(level: LevelSpec) -> &'static str {
    match level {
        LevelSpec::Beginner => "beginner",
        LevelSpec::Intermediate => "intermediate",
        LevelSpec::Advanced => "advanced",
    }
}

/// A playbook is found by its folder's name, so the two must agree.
fn folder(file: &mut File<'_>, id: Option<&Text>) {
    let folder = file.source.file.rsplit('/').nth(1);
    if let (Some(id), Some(folder)) = (id, folder)
        && id.as_str() != folder
    {
        let what = format!("the playbook in the folder `{folder}` is called `{}`", id.as_str());
        file.say(codes::BAD_NAME, what, id.span(), Some(format!("write id = \"{folder}\", or rename the folder")));
    }
}

fn templates(file: &mut File<'_>, texts: &[Text], see: See, names: &Names) -> Vec<Template> {
    let mut words = Words::default();
    let templates = texts.iter().filter_map(|text| words.template(file, text, see)).collect();
    judge(file, &words, names);
    templates
}

fn judge(file: &mut File<'_>, words: &Words, names: &Names) {
    for mention in &words.mentions {
        if let Some(problem) = names.judge(mention, &Fields::Open) {
            file.problems.push(problem.at(file.source.span(mention.at.clone())));
        }
    }
}

fn exports(file: &mut File<'_>, exports: &BTreeMap<Text, Text>, names: &Names) -> BTreeMap<String, Template> {
    let mut words = Words::default();
    let mut out = BTreeMap::new();
    for (name, text) in exports {
        own_name(file, name, "an export");
        if name.as_str() == "chosen" {
            file.say(codes::BAD_NAME, "an export can't be called `chosen`: it is the option's id", name.span(), None);
        }
        if let Some(template) = words.template(file, text, See::Before) {
            out.insert(name.value().clone(), template);
        }
    }
    judge(file, &words, names);
    out
}

/// Names that expressions select as fields.
fn own_name(file: &mut File<'_>, name: &Text, what: &str) {
    let ok = name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    if !ok {
        let fix = document::snake(name).map(|s| format!("write `{s}`: expressions read a hyphen as minus"));
        let what = format!("{what} can't be called `{}`", crate::grant::shown(name));
        file.say(codes::BAD_NAME, what, name.span(), fix);
    }
}

/// Inputs in source order. Those of a part come from its caller: they are neither asked for nor secret.
fn inputs(file: &mut File<'_>, specs: &BTreeMap<Text, InputAuthored>, asked: bool) -> Vec<InputSpec> {
    let mut specs: Vec<_> = specs.iter().collect();
    specs.sort_by_key(|(name, _)| name.span().start);
    let mut words = Words::default();
    let mut out = Vec::new();
    for (name, spec) in specs {
        own_name(file, name, "an input");
        let prompt = spec.prompt.as_ref().map(|p| ("prompt", p.span()));
        let secret = spec.secret.as_ref().map(|s| ("secret", s.span()));
        if !asked {
            for (key, at) in prompt.into_iter().chain(secret) {
                file.say(
                    codes::KEY_NOT_HERE,
                    format!("`{key}` does not belong to a part's input"),
                    at,
                    Some("the caller gives its value".into()),
                );
            }
        }
        let pattern = spec.pattern.as_ref().filter(|pattern| match regex(pattern) {
            Ok(_) => true,
            Err(why) => {
                file.say(
                    codes::BAD_VALUE,
                    format!("the pattern of `{}` can't be read: {why}", name.as_str()),
                    pattern.span(),
                    None,
                );
                false
            }
        });
        let default = spec.default.as_ref().and_then(|value| match value.value() {
            Loose::Text(text) => words.text(file, text, value.span(), See::Start).map(InputDefault::Template),
            Loose::Plain(plain) => Some(InputDefault::Plain(plain.clone())),
            Loose::List(_) | Loose::Table(_) => {
                file.say(
                    codes::WRONG_TYPE,
                    format!("the default of `{}` is a text, a whole number, true or false", name.as_str()),
                    value.span(),
                    None,
                );
                None
            }
        });
        let input = InputSpec {
            name: name.value().clone(),
            kind: match spec.kind {
                Some(KindSpec::Int) => InputKind::Int,
                Some(KindSpec::Bool) => InputKind::Bool,
                Some(KindSpec::String) | None => InputKind::String,
            },
            default,
            prompt: spec.prompt.as_ref().map(|p| p.value().clone()),
            pattern: pattern.map(|p| p.value().clone()),
            from: spec.from.as_ref().map(|from| from.value().clone()),
            secret: spec.secret.as_ref().is_some_and(|s| *s.value()),
        };
        let plain = match &input.default {
            Some(InputDefault::Plain(value)) => Some(value.clone()),
            Some(InputDefault::Template(t)) => t.as_literal().map(Into::into),
            None => None,
        };
        if let (Some(value), Some(at), Some(_)) = (plain, spec.default.as_ref(), spec.kind)
            && let Err(problem) = input.admit(&value)
        {
            let what = format!("the default of `{}` does not fit", input.name);
            let problem = Problem { code: codes::BAD_VALUE, what, fix: None, ..problem };
            file.problems.push(problem.at(file.source.span(at.span())));
        }
        out.push(input);
    }
    judge(file, &words, &Names::new(&[]));
    out
}
