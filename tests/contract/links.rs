//! What a component may import, and what it finds there.

use sealbook_engine::step::{Host as _, StepError};
use sealbook_model::codes;
use serde_json::json;

use crate::support::{Lab, code, components, runtime};

#[tokio::test]
async fn an_interface_that_is_not_granted_is_denied_with_the_line_that_would_grant_it() {
    for interface in ["azure", "keyvault", "blob", "artifacts", "crypto", "hsm", "directory", "attestation"] {
        let lab = Lab::new().all_interfaces().without(interface);
        let error = lab.apply(json!([])).await.unwrap_err().error;
        let StepError::Denied { capability, line, .. } = error else { panic!("{interface}: {error:?}") };
        assert!(capability.starts_with(&format!("{interface}:")), "{capability}");
        assert!(line.starts_with(&format!("grants = [\"{interface}:")), "{line}");
    }
    Lab::new().all_interfaces().works().await;
}

#[tokio::test]
async fn only_what_is_imported_needs_a_grant() {
    let lab = Lab::new().without("");
    let bytes = components::raw("", &[("apply", "(i32.const 3000)")]);
    // An empty answer is no JSON: it ran.
    let call = lab.call_into(components::add(bytes), "probe", json!({}));
    assert_eq!(code(lab.host.apply(&call).await), codes::OUTPUT_INVALID);
}

#[tokio::test]
async fn imports_that_no_plugin_gets_are_named() {
    for import in [
        "wasi:sockets/tcp@0.2.0",
        "wasi:clocks/wall-clock@0.2.0",
        "wasi:filesystem/types@0.2.0",
        "sealbook:plugin/azure@0.2.0",
        "acme:door/back@1.0.0",
    ] {
        let text = format!(r#"(component (import "{import}" (instance (export "f" (func)))))"#);
        let error = runtime().describe_bytes(&wat::parse_str(text).unwrap()).await.unwrap_err();
        assert!(error.to_string().contains(import), "{error}");
        assert_eq!(code::<()>(Err(error)), codes::IMPORT_NOT_OFFERED, "{import}");
    }
}

#[tokio::test]
async fn wasi_is_there_and_inert() {
    let lab = Lab::new().all_interfaces();
    let orders = json!([{ "do": "environment" }, { "do": "hash" }, { "do": "print" }]);
    let first = lab.apply(orders.clone()).await.unwrap();
    assert_eq!(first[0], 0);
    assert_eq!(lab.apply(orders).await.unwrap(), first, "the seed depends on the run alone");
    let other = lab.apply_with(json!([{ "do": "environment" }, { "do": "hash" }, { "do": "print" }]), |call| {
        call.run = "zzz222".parse().unwrap();
    });
    assert_ne!(other.await.unwrap()[1], first[1]);
    let log = lab.log();
    let expected = ["info: to standard output", "info: and more", r"warn: \u{1b}[31mto standard error"];
    for line in expected {
        assert!(log.iter().any(|l| l == line), "{line} in {log:?}");
    }
}

#[tokio::test]
async fn the_probe_describes_itself() {
    let description = runtime().describe_bytes(components::probe()).await.unwrap();
    assert_eq!(description.asks, ["crypto:use", "artifacts:use"]);
    assert_eq!(description.limits.host_calls, 100);
}
