//! What the binary carries: the standard plugins, the standard playbooks, and the pages of the problem codes.

use std::sync::Arc;

use sealbook_model::plugin::PluginRef;

mod generated {
    include!(concat!(env!("OUT_DIR"), "/assets.rs"));
}

pub use generated::{PAGES, PLAYBOOKS, PLUGINS};

/// A file of the standard playbooks, by its path below `playbooks/`.
pub fn playbook_file(path: &str) -> Option<&'static str> {
    PLAYBOOKS.iter().find(|(p, _)| *p == path).map(|(_, text)| *text)
}

/// Ids of the standard playbooks.
pub fn playbooks() -> impl Iterator<Item = &'static str> {
    PLAYBOOKS.iter().filter_map(|(path, _)| path.strip_suffix("/playbook.toml")).filter(|id| !id.contains('/'))
}

/// The component that a reference `name@0.1` means: the version's first two numbers must match.
pub fn plugin(reference: &PluginRef) -> Option<Arc<[u8]>> {
    let wanted = reference.to_string();
    PLUGINS
        .iter()
        .find(|(name, version, _)| wanted == short_reference(name, version))
        .map(|(_, _, bytes)| Arc::from(*bytes))
}

/// The references of all standard plugins.
pub fn plugins() -> impl Iterator<Item = String> {
    PLUGINS.iter().map(|(name, version, _)| short_reference(name, version))
}

fn short_reference(name: &str, version: &str) -> String {
    let mut numbers = version.split('.');
    format!("{name}@{}.{}", numbers.next().unwrap_or("0"), numbers.next().unwrap_or("0"))
}

/// The page of a problem code.
pub fn page(code: &str) -> Option<&'static str> {
    PAGES.iter().find(|(path, _)| path.strip_suffix(".md") == Some(code)).map(|(_, text)| *text)
}
