//! The README's examples are real.

use crate::tree::{demand, root, sources};

/// The fenced blocks of one language.
pub fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).filter_map(|rest| rest.split("\n```").next()).map(str::to_owned).collect()
}

#[test]
fn the_plugin_in_the_readme_is_one_of_the_plugins() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let plugins = sources(&["plugins"], &[".rs"]);
    let invented: Vec<String> =
        blocks(&readme, "rust").into_iter().filter(|b| !plugins.iter().any(|p| p.text.contains(b.as_str()))).collect();
    demand("Rust in the README that is in no plugin", &invented);
}

#[test]
fn the_links_of_the_documents_lead_somewhere() {
    let mut dead = Vec::new();
    let mut documents = sources(&["docs", "wit"], &[".md"]);
    documents.extend(
        ["README.md", "CHANGELOG.md"]
            .map(|p| crate::tree::Source { path: p.into(), text: std::fs::read_to_string(root().join(p)).unwrap() }),
    );
    for document in documents {
        let folder = root().join(&document.path).parent().unwrap().to_path_buf();
        for link in document.text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if !link.contains("://") && !file.is_empty() && !folder.join(file).exists() {
                dead.push(format!("{}: {link}", document.path));
            }
        }
    }
    demand("dead links", &dead);
}
