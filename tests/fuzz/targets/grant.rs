//! A grant is read back as it was written, and a gate that allows something does so for every part of the target.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sealbook_model::grant::{Capability, Gate, Grant, Use, Verb};

fuzz_target!(|text: &str| {
    let (grant, target) = text.split_once('\n').unwrap_or((text, "/subscriptions/s"));
    let Ok(parsed) = Grant::parse(grant) else { return };
    let again = Grant::parse(&parsed.to_string()).expect("a grant that was read can be read again");
    assert_eq!(parsed.to_string(), again.to_string());
    let gate = Gate::new(vec![parsed.clone()], vec![parsed], Arc::default());
    for (interface, verb) in [
        (Capability::Azure, Verb::Read),
        (Capability::Azure, Verb::Write),
        (Capability::Keyvault, Verb::Read),
        (Capability::Blob, Verb::Read),
        (Capability::Blob, Verb::Write),
    ] {
        let wanted = Use { interface, verb, target, role: None };
        if gate.allows(&wanted).is_ok() {
            let up = target.split(['/', '\\']).any(|part| part == "." || part == "..");
            let hidden = target.to_ascii_lowercase();
            assert!(!up && !hidden.contains("%2e%2e") && !hidden.contains("%2f"), "{grant:?} allows {target:?}");
        }
    }
});
