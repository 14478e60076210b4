//! A resource id is a plain path: what is accepted has no way up, out or into a query, and reads back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealbook_sdk::prelude::ArmId;

fuzz_target!(|text: &str| {
    let Ok(id) = text.parse::<ArmId>() else { return };
    let shown = id.to_string();
    assert_eq!(shown.parse::<ArmId>().expect("an id that was read can be read again").to_string(), shown);
    assert!(shown.starts_with('/'));
    assert!(!shown.contains(['?', '#', '\\', '%', '\n', '\r', ' ']), "{shown:?}");
    assert!(shown.split('/').skip(1).all(|part| !part.is_empty() && part != "." && part != ".."), "{shown:?}");
});
