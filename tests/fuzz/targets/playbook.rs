//! Whatever a playbook says, it compiles or is refused with problems whose places lie in its files. Never a panic.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use sealbook_model::playbook::{Answers, Bundle, compile};
use sealbook_model::plugin::Description;
use serde_json::json;

fuzz_target!(|text: &str| {
    // A part follows the playbook after a line of dashes.
    let (playbook, part) = text.split_once("\n----\n").unwrap_or((text, ""));
    let note = "## What\nA ${inputs.x}.\n\n## Why\nB.\n\n## Proved\nC.\n";
    let files = [
        ("lab/playbook.toml", playbook),
        ("parts/part/part.toml", part),
        ("lab/texts/a.md", note),
        ("parts/part/texts/a.md", note),
    ];
    let files: BTreeMap<String, String> = files.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let bundle = Bundle { root: "lab/playbook.toml".into(), files };
    let description = Description {
        summary: "Notes.".into(),
        inputs: json!({ "type": "object", "properties": { "x": { "type": "string" }, "n": { "type": "integer" } } }),
        outputs: json!({ "type": "object", "properties": { "id": { "type": "string" } } }),
        asks: vec!["azure:read ${inputs.x}".into()],
        limits: Default::default(),
    };
    match compile(&bundle, &BTreeMap::from([("note@0.1".to_owned(), description)])) {
        Ok(lab) => drop(lab.flatten(&Answers::new())),
        Err(problems) => {
            assert!(!problems.is_empty());
            for span in problems.iter().filter_map(|p| p.span.as_ref()) {
                let length = bundle.files.get(&span.file).map_or(0, String::len);
                assert!(span.start <= span.end && span.end <= length, "{span:?} in {length} bytes");
            }
            problems.iter().for_each(|p| drop(p.plain(&|f| bundle.files.get(f).map(String::as_str))));
        }
    }
});
