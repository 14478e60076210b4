//! Rogue plugins: each is contained, reported with its code, and the next call works.

use sealbook_engine::step::{Host as _, StepError};
use sealbook_model::codes;
use sealbook_model::plugin::Limits;
use serde_json::{Value, json};

use crate::support::{Lab, code, components, runtime};

#[tokio::test]
async fn what_a_rogue_does_in_apply_ends_its_call_and_nothing_else() {
    let lab = Lab::new().all_interfaces();
    for (orders, expected) in [
        (json!([{ "do": "spin" }]), codes::FUEL_SPENT),
        (json!([{ "do": "hoard" }]), codes::MEMORY_SPENT),
        (json!([{ "do": "recurse" }]), codes::COMPONENT_TRAPPED),
        (json!([{ "do": "panic" }]), codes::COMPONENT_TRAPPED),
        (json!([{ "do": "exit" }]), codes::COMPONENT_TRAPPED),
        (json!([{ "do": "answer", "text": "{ not json" }]), codes::OUTPUT_INVALID),
        (json!([{ "do": "answer.bytes", "bytes": 3_000_000 }]), codes::OUTPUT_TOO_LARGE),
        (json!([{ "do": "log", "text": "flood", "times": 100_000 }]), codes::OUTPUT_TOO_LARGE),
        (json!([{ "do": "progress", "text": "flood", "times": 300_000 }]), codes::OUTPUT_TOO_LARGE),
        (Value::from(vec![json!({ "do": "crypto.generate", "name": "k", "bits": 128 }); 101]), codes::HOST_CALLS_SPENT),
        (
            Value::from(vec![json!({ "do": "azure.get", "id": "/subscriptions/x", "try": true }); 101]),
            codes::HOST_CALLS_SPENT,
        ),
    ] {
        let shown = orders[0].clone();
        assert_eq!(code(lab.apply(orders).await), expected, "{shown}");
        lab.works().await;
    }
    assert!(lab.book.operations().is_empty());
}

#[tokio::test]
async fn a_trap_in_any_export_is_contained_and_its_last_words_are_kept() {
    let lab = Lab::new().all_interfaces();
    let panic = json!([{ "do": "panic" }]);
    let call = lab.call("probe", json!({ "check": panic, "apply": panic, "verify": panic, "undo": panic }));
    let words = |error: StepError| match error {
        StepError::Component { code, message } if code == codes::COMPONENT_TRAPPED => message,
        other => panic!("{other:?}"),
    };
    for (export, error) in [
        ("check", lab.host.check(&call).await.unwrap_err()),
        ("apply", lab.host.apply(&call).await.unwrap_err()),
        ("verify", lab.host.verify(&call, &json!(null)).await.unwrap_err()),
        ("undo", lab.host.undo(&call, &json!(null), None, &[]).await.unwrap_err()),
    ] {
        assert!(words(error.error).contains("told to panic"), "{export}");
        lab.works().await;
    }
}

#[tokio::test]
async fn raw_rogues_are_contained() {
    let lab = Lab::new();
    const SPIN: &str = "(loop (br 0)) unreachable";
    let stub = || components::raw("", &[]);
    let memory = |pages: u32| format!(r#"(memory (export "memory") {pages})"#);
    for (what, bytes, expected) in [
        ("trap in describe", components::raw("", &[("describe", "unreachable")]), codes::COMPONENT_TRAPPED),
        ("endless describe", components::raw("", &[("describe", SPIN)]), codes::FUEL_SPENT),
        ("endless start", components::raw("(func $s (loop (br 0))) (start $s)", &[]), codes::FUEL_SPENT),
        ("trap in start", components::raw("(func $s unreachable) (start $s)", &[]), codes::COMPONENT_TRAPPED),
        ("endless realloc", components::raw("", &[("describe", "(loop (br 0)) unreachable")]), codes::FUEL_SPENT),
        ("much memory at once", components::raw(&memory(4096), &[]), codes::MEMORY_SPENT),
        ("many memories", components::with_module(stub(), "(module (memory 300))", 7), codes::MEMORY_SPENT),
        (
            "more memories than fit",
            components::with_module(stub(), "(module (memory 1))", 30),
            codes::COMPONENT_INVALID,
        ),
        (
            "more tables than fit",
            components::with_module(stub(), "(module (table 1 funcref))", 30),
            codes::COMPONENT_INVALID,
        ),
        (
            "a huge table",
            components::with_module(stub(), "(module (table 50000000 funcref))", 1),
            codes::COMPONENT_INVALID,
        ),
        (
            "a table that grows",
            components::raw(
                "(table $t 1 funcref)",
                &[("describe", "(loop (drop (table.grow $t (ref.null func) (i32.const 1000))) (br 0)) unreachable")],
            ),
            codes::FUEL_SPENT,
        ),
        (
            "an answer outside its memory",
            components::raw("", &[("describe", "i32.const 0x7ffffff0")]),
            codes::COMPONENT_TRAPPED,
        ),
        ("threads", b"\0asm\x0d\0\x01\0 nonsense".to_vec(), codes::COMPONENT_INVALID),
        ("a core module", wat::parse_str("(module)").unwrap(), codes::COMPONENT_INVALID),
        ("no plugin", wat::parse_str("(component)").unwrap(), codes::COMPONENT_INVALID),
        ("nothing", Vec::new(), codes::COMPONENT_INVALID),
    ] {
        assert_eq!(code(runtime().describe_bytes(&bytes).await), expected, "{what}");
    }
    for (export, body) in [("check", SPIN), ("apply", SPIN), ("verify", SPIN), ("undo", SPIN)] {
        let call = lab.call_into(components::add(components::raw("", &[(export, body)])), "probe", json!({}));
        let spent = match export {
            "check" => code(lab.host.check(&call).await),
            "apply" => code(lab.host.apply(&call).await),
            "verify" => code(lab.host.verify(&call, &json!(null)).await),
            _ => code(lab.host.undo(&call, &json!(null), None, &[]).await),
        };
        assert_eq!(spent, codes::FUEL_SPENT, "{export}");
    }
    lab.all_interfaces().works().await;
}

#[tokio::test]
async fn a_list_whose_entries_share_their_memory_does_not_make_the_host_copy_without_end() {
    // 60,000 asks of 60,000 bytes each, all of them the same bytes: 3.6 GB for the host, 1 MB for the guest.
    let rest = r#"(memory (export "memory") 20)
        (func $fill (local $i i32)
          (loop $l
            (i32.store (i32.add (i32.const 131072) (i32.mul (local.get $i) (i32.const 8))) (i32.const 4096))
            (i32.store offset=4 (i32.add (i32.const 131072) (i32.mul (local.get $i) (i32.const 8))) (i32.const 60000))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $l (i32.lt_u (local.get $i) (i32.const 60000))))
          (i32.store offset=24 (i32.const 1024) (i32.const 131072))
          (i32.store offset=28 (i32.const 1024) (i32.const 60000)))"#;
    let bytes = components::raw(rest, &[("describe", "(call $fill) (i32.const 1024)")]);
    assert_eq!(code(runtime().describe_bytes(&bytes).await), codes::OUTPUT_TOO_LARGE);
}

#[tokio::test]
async fn a_forged_handle_is_refused() {
    let lab = Lab::new();
    let import = r#"(import "sealbook:plugin/crypto@0.1.0" "[method]key.bits" (func $bits (param i32) (result i32)))"#;
    let bytes = components::raw(import, &[("apply", "(drop (call $bits (i32.const 4242))) unreachable")]);
    let call = lab.call_into(components::add(bytes), "probe", json!({}));
    assert_eq!(code(lab.host.apply(&call).await), codes::BAD_HANDLE);
    // A handle of one type is no handle of another: `artifact` never gets to see a `key`.
    let imports = format!(
        r#"{import} (import "sealbook:plugin/artifacts@0.1.0" "[method]artifact.length" (func $length (param i32) (result i64)))
           (import "sealbook:plugin/crypto@0.1.0" "generate" (func $generate (param i32 i32 i32 i32)))"#
    );
    let body = r#"(call $generate (i32.const 3072) (i32.const 1) (i32.const 128) (i32.const 3000))
                  (drop (call $bits (i32.load offset=4 (i32.const 3000))))
                  (drop (call $length (i32.load offset=4 (i32.const 3000)))) unreachable"#;
    let bytes = components::raw(
        &format!(r#"{imports} (memory (export "memory") 1) (data (i32.const 3072) "k")"#),
        &[("apply", body)],
    );
    let call = lab.call_into(components::add(bytes), "probe", json!({}));
    assert_eq!(code(lab.host.apply(&call).await), codes::BAD_HANDLE);
    lab.all_interfaces().works().await;
}

#[tokio::test]
async fn describe_and_looking_exports_can_not_act() {
    let import = r#"(import "sealbook:plugin/crypto@0.1.0" "generate" (func $generate (param i32 i32 i32 i32)))"#;
    let call = "(call $generate (i32.const 0) (i32.const 0) (i32.const 128) (i32.const 3000)) unreachable";
    let bytes = components::raw(import, &[("describe", call)]);
    assert_eq!(code(runtime().describe_bytes(&bytes).await), codes::EFFECT_OUT_OF_PHASE);

    let lab = Lab::new().all_interfaces();
    let put = json!([{ "do": "azure.put", "effect": "make", "id": lab.group("rg"), "body": { "location": "italynorth" }, "try": true }]);
    let call = lab.call("probe", json!({ "check": put, "verify": put }));
    assert_eq!(code(lab.host.check(&call).await), codes::EFFECT_OUT_OF_PHASE);
    assert_eq!(code(lab.host.verify(&call, &json!(null)).await), codes::EFFECT_OUT_OF_PHASE);
    assert_eq!(lab.carried_out("ResourceGroups_CreateOrUpdate"), 0);
}

#[tokio::test]
async fn the_policy_lowers_what_a_plugin_asks_for() {
    // The probe asks for 16 MiB and 100 host calls.
    let lab = Lab::with_limits(Limits { memory_mib: 4, fuel_millions: 500, host_calls: 5 }).all_interfaces();
    let error = lab.apply(json!([{ "do": "hoard" }])).await.unwrap_err();
    assert!(error.to_string().contains("may have 4 MiB"), "{error}");
    let six = Value::from(vec![json!({ "do": "crypto.generate", "name": "k", "bits": 128 }); 6]);
    assert_eq!(code(lab.apply(six).await), codes::HOST_CALLS_SPENT);
    lab.works().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_rogues_at_once_do_not_starve_a_good_plugin() {
    let lab = std::sync::Arc::new(Lab::new().all_interfaces());
    lab.works().await;
    let mut rogues = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let lab = std::sync::Arc::clone(&lab);
        rogues.spawn(async move { code(lab.apply(json!([{ "do": "spin" }])).await) });
    }
    for _ in 0..20 {
        lab.works().await;
    }
    while let Some(ended) = rogues.join_next().await {
        assert_eq!(ended.unwrap(), codes::FUEL_SPENT);
    }
}
