//! What is named with a version: plugins and parts.

use crate::grant::shown;
use crate::plugin::is_kebab;

/// What is wrong with a text that does not name a `kind`, and what to write instead. `fits` tells whether a text would
/// do; `example` is one that does.
pub(crate) fn refusal(kind: &str, text: &str, example: &str, fits: &dyn Fn(&str) -> bool) -> (String, String) {
    if text.is_empty() {
        return (format!("the {kind}'s name is empty"), format!("write it like \"{example}\""));
    }
    let what = format!("`{}` does not name a {kind}", shown(text));
    let usual = example.split_once('@').map_or("1", |(_, version)| version);
    let (name, version) = text.split_once('@').map_or((text, None), |(name, version)| (name, Some(version)));
    let plain = name.trim().to_ascii_lowercase().replace([' ', '_'], "-");
    let numbered = format!("{plain}@{usual}");
    let fix = match version.map(|version| format!("{plain}@{version}")) {
        _ if !is_kebab(&plain) => format!("write it like \"{example}\""),
        None => format!("write a version: \"{numbered}\""),
        Some(kept) if fits(&kept) => format!("write \"{kept}\": names are lower case, with hyphens"),
        Some(_) => format!("write a number: \"{numbered}\""),
    };
    (what, fix)
}
