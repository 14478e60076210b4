//! Whatever is written, the compiler answers: no panic, and places that lie in their files.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{STORAGE, VAULT, bundle, plugins};
use crate::playbook::{Answers, compile};

fn judge(text: &str, part: &str) {
    let bundle = bundle(text, &[("key-vault-premium", part)]);
    match compile(&bundle, &plugins()) {
        Ok(lab) => _ = lab.flatten(&Answers::new()),
        Err(problems) => {
            assert!(!problems.is_empty());
            for span in problems.iter().filter_map(|p| p.span.as_ref()) {
                let file = bundle.files.get(&span.file).map_or(0, String::len);
                assert!(span.start <= span.end && span.end <= file, "{span:?} in {file} bytes");
            }
            problems.iter().for_each(|p| _ = p.plain(&|f| bundle.files.get(f).map(String::as_str)));
        }
    }
}

/// Fragments that mean something to the parser.
fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("[[step]]\n".to_owned()),
        Just("[[step.option]]\n".to_owned()),
        Just("[inputs]\n".to_owned()),
        Just("[exports]\n".to_owned()),
        "(name|use|part|choose|with|needs|when|grants|expect|lesson|quiz|id|default|schema|version) = ",
        "(\"[a-z_@.0-9-]{0,12}\"|[0-9]{1,3}|true|\\[\\]|\\{\\})\n",
        "\"\\$\\{[a-z.()'+ -]{0,16}\\}\"\n",
        "\"(azure|blob):(read|write) /[a-z/.%*]{0,10}\"\n",
        "\\PC{0,8}",
    ]
}

/// The sample with something changed in it.
fn mutated() -> impl Strategy<Value = String> {
    (any::<prop::sample::Index>(), any::<prop::sample::Index>(), prop::collection::vec(fragment(), 0..3)).prop_map(
        |(a, b, new)| {
            let (a, b) = (a.index(STORAGE.len()), b.index(60));
            let range = [a, (a + b).min(STORAGE.len())].map(|mut at| {
                while !STORAGE.is_char_boundary(at) {
                    at -= 1;
                }
                at
            });
            format!("{}{}{}", &STORAGE[..range[0]], new.concat(), &STORAGE[range[1]..])
        },
    )
}

proptest! {
    #[test]
    fn any_text(text in "\\PC{0,200}") {
        judge(&text, &text);
    }

    #[test]
    fn fragments(parts in prop::collection::vec(fragment(), 0..40)) {
        let text = parts.concat();
        judge(&text, &text);
    }

    #[test]
    fn changed_samples(text in mutated()) {
        judge(&text, VAULT);
    }

    #[test]
    fn changed_parts(cut in 0..VAULT.len(), keys in prop::collection::vec(fragment(), 0..4)) {
        let cut = (0..=cut).rev().find(|at| VAULT.is_char_boundary(*at)).unwrap_or(0);
        judge(STORAGE, &format!("{}{}", &VAULT[..cut], keys.concat()));
    }
}

#[test]
fn a_bundle_of_nonsense_is_refused() {
    let files = BTreeMap::from([("x".to_owned(), "\u{feff}[[step]]\n".repeat(3))]);
    let bundle = crate::playbook::Bundle { root: "x".into(), files };
    assert!(compile(&bundle, &plugins()).is_err());
}
