//! What steps can name: plugins as they describe themselves, and parts, each compiled once.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use super::names::Fields;
use super::signature;
use crate::expr::Template;
use crate::grant::{Head, shown};
use crate::playbook::authored::Text;
use crate::playbook::bundle::{Bundle, part_path};
use crate::playbook::checked::File;
use crate::playbook::compile;
use crate::playbook::lab::{Block, Item};
use crate::playbook::versioned;
use crate::plugin::{Description, PluginRef, is_kebab};
use crate::problem::{Problem, codes, did_you_mean};

/// Parts within parts.
const MAX_DEPTH: usize = 16;
/// Steps of a program, all options together.
const MAX_STEPS: usize = 10_000;

/// A part that has been compiled.
pub(crate) struct Part {
    pub(super) version: u32,
    pub(crate) block: Arc<Block>,
    pub(super) signature: Value,
    steps: usize,
    /// Whether it compiled without a problem; else its exports may be incomplete.
    whole: bool,
}

impl Part {
    pub(crate) fn new(version: u32, block: Block, whole: bool) -> Self {
        let signature = signature::of_inputs(&block.inputs);
        let steps = weight(&block);
        Self { version, block: Arc::new(block), signature, steps, whole }
    }

    pub(super) fn fields(&self) -> Fields {
        if self.whole { Fields::closed(self.block.exports.keys().cloned()) } else { Fields::Open }
    }
}

/// Plugins, parts, and the problems found in parts.
pub(crate) struct Registry<'a> {
    pub(crate) bundle: &'a Bundle,
    plugins: &'a BTreeMap<String, Description>,
    /// None: it could not be compiled; why has been said.
    parts: BTreeMap<String, Option<Arc<Part>>>,
    /// The parts that are being compiled, outermost first.
    open: Vec<String>,
    asks: BTreeMap<PluginRef, Arc<Vec<Template>>>,
    pub(crate) problems: Vec<Problem>,
}

impl<'a> Registry<'a> {
    pub(crate) fn new(bundle: &'a Bundle, plugins: &'a BTreeMap<String, Description>) -> Self {
        let (parts, asks) = (BTreeMap::new(), BTreeMap::new());
        Self { bundle, plugins, parts, open: Vec::new(), asks, problems: Vec::new() }
    }

    pub(super) fn plugin(&self, file: &mut File<'_>, plugin: &PluginRef, at: Range<usize>) -> Option<&'a Description> {
        let found = self.plugins.get(&plugin.to_string());
        if found.is_none() {
            let known = || self.plugins.keys().map(String::as_str);
            let other = known().find(|k| k.split_once('@').is_some_and(|(name, _)| name == plugin.name()));
            let fix = other.map(|o| format!("there is {o}")).or_else(|| did_you_mean(&plugin.to_string(), known()));
            let fix = fix.or_else(|| Some("`sealbook doctor` lists the plugins there are".into()));
            file.say(codes::UNKNOWN_PLUGIN, format!("there is no plugin {plugin}"), at, fix);
        }
        found
    }

    /// The plugin's asks, read once.
    pub(super) fn asks(
        &mut self,
        file: &mut File<'_>,
        plugin: &PluginRef,
        description: &Description,
    ) -> Arc<Vec<Template>> {
        if let Some(asks) = self.asks.get(plugin) {
            return Arc::clone(asks);
        }
        let mut asks = Vec::new();
        for text in &description.asks {
            let template = Template::parse(text).map_err(|e| e.to_string());
            match template.and_then(|t| Head::parse(text).map(|_| t).map_err(|e| e.to_string())) {
                Ok(template) => asks.push(template),
                Err(why) => {
                    let what = format!("plugin {plugin} asks for `{}`, which can't be read", shown(text));
                    let span = file.source.span(0..0);
                    file.problems.push(
                        Problem::new(codes::BAD_GRANT, what).because(why).fix("repair the plugin's asks").at(span),
                    );
                }
            }
        }
        let asks = Arc::new(asks);
        self.asks.insert(plugin.clone(), Arc::clone(&asks));
        asks
    }

    /// The part that a step names, compiled.
    pub(super) fn part(&mut self, file: &mut File<'_>, text: &Text) -> Option<Arc<Part>> {
        let Some((id, version)) = reference(text) else {
            let (what, fix) =
                versioned::refusal("part", text, "key-vault-premium@1", &|text| reference(text).is_some());
            file.say(codes::UNKNOWN_PART, what, text.span(), Some(fix));
            return None;
        };
        if let Some(at) = self.open.iter().position(|open| open == id) {
            let walk: Vec<&str> = self.open[at..].iter().map(String::as_str).chain([id]).collect();
            let what = format!("a part contains itself: {}", walk.join(" → "));
            file.say(codes::CYCLE, what, text.span(), Some("take one of them out".into()));
            return None;
        }
        let path = part_path(id);
        if !self.bundle.files.contains_key(&path) {
            let known = self.bundle.files.keys().filter_map(|p| p.strip_prefix("parts/")?.strip_suffix("/part.toml"));
            let fix = did_you_mean(id, known).unwrap_or_else(|| format!("there is no file {path}"));
            file.say(codes::UNKNOWN_PART, format!("there is no part `{id}`"), text.span(), Some(fix));
            return None;
        }
        if self.open.len() >= MAX_DEPTH {
            file.say(codes::TOO_LARGE, format!("parts are nested deeper than {MAX_DEPTH}"), text.span(), None);
            return None;
        }
        let part = match self.parts.get(id) {
            Some(part) => part.clone(),
            None => {
                self.open.push(id.to_owned());
                let part = compile::part(self, id, &path).map(Arc::new);
                self.open.pop();
                self.parts.insert(id.to_owned(), part.clone());
                part
            }
        }?;
        if part.version != version {
            let what = format!("there is no version {version} of part `{id}`");
            file.say(codes::UNKNOWN_PART, what, text.span(), Some(format!("there is {id}@{}", part.version)));
            return None;
        }
        if part.steps > MAX_STEPS {
            file.say(
                codes::TOO_LARGE,
                format!("part `{id}` has more than {MAX_STEPS} steps in all"),
                text.span(),
                None,
            );
            return None;
        }
        Some(part)
    }
}

/// A part's id and version.
fn reference(text: &str) -> Option<(&str, u32)> {
    let (id, version) = text.split_once('@')?;
    Some((id, version.parse().ok()?)).filter(|_| is_kebab(id))
}

/// Steps of a block with its parts and all options. Blocks below are within bounds, so that this stays small.
pub(crate) fn weight(block: &Block) -> usize {
    let of = |item: &Item| match item {
        Item::Step(_) => 1,
        Item::Part(part) => 2 + weight(&part.block),
        Item::Choice(choice) => choice.inner.iter().map(|(_, block)| 2 + weight(block)).sum(),
    };
    block.items.iter().map(of).fold(0, usize::saturating_add)
}
