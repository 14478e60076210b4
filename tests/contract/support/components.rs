//! Components to run: the probe, and rogues made of raw WebAssembly.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use sealbook_model::id::Digest;

/// The probe's bytes, built on first use by a cargo of its own.
pub fn probe() -> &'static [u8] {
    static PROBE: OnceLock<Vec<u8>> = OnceLock::new();
    PROBE.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("contract-plugins");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(root()).args(["build", "--quiet", "--target", "wasm32-wasip2", "--profile", "plugin"]);
        cargo.args(["--package", "sealbook-probe", "--target-dir"]).arg(&target);
        for (name, _) in std::env::vars() {
            if name.contains("RUSTFLAGS") || name.starts_with("CARGO_") && name != "CARGO_HOME" {
                cargo.env_remove(name);
            }
        }
        let status = cargo.status().expect("cargo runs");
        assert!(status.success(), "the probe does not build; is the target wasm32-wasip2 installed?");
        std::fs::read(target.join("wasm32-wasip2/plugin/sealbook_probe.wasm")).expect("the probe was built")
    })
}

/// A component by its digest, as the host asks for it.
pub fn find(digest: &Digest) -> Option<Vec<u8>> {
    if *digest == Digest::of(probe()) {
        return Some(probe().to_vec());
    }
    rogues().lock().unwrap().get(digest).cloned()
}

/// Makes a component known.
pub fn add(bytes: Vec<u8>) -> Digest {
    let digest = Digest::of(&bytes);
    rogues().lock().unwrap().insert(digest, bytes);
    digest
}

fn rogues() -> &'static Mutex<HashMap<Digest, Vec<u8>>> {
    static ROGUES: OnceLock<Mutex<HashMap<Digest, Vec<u8>>>> = OnceLock::new();
    ROGUES.get_or_init(Mutex::default)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A plugin of raw WebAssembly. Every export traps, except those that `exports` defines by their short names, and
/// `describe`, which answers unless it is redefined. `rest` stands before them in the module.
pub fn raw(rest: &str, exports: &[(&str, &str)]) -> Vec<u8> {
    const SIGNATURES: [(&str, &str); 5] = [
        ("describe", "(result i32)"),
        ("check", "(param i32 i32) (result i32)"),
        ("apply", "(param i32 i32) (result i32)"),
        ("verify", "(param i32 i32 i32 i32) (result i32)"),
        ("undo", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)"),
    ];
    let mut module = format!("(core module $main {rest}\n");
    if !rest.contains("(memory") {
        module.push_str(r#"(memory (export "memory") 1)"#);
    }
    // A description at 1024: three times the text `{}`, no asks, default limits.
    module.push_str(
        r#"(data (i32.const 1024) "\00\08\00\00\02\00\00\00\00\08\00\00\02\00\00\00\00\08\00\00\02\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
           (data (i32.const 2048) "{}")
           (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 4096)"#,
    );
    for (name, signature) in SIGNATURES {
        let default = if name == "describe" { "i32.const 1024" } else { "unreachable" };
        let body = exports.iter().find(|(n, _)| *n == name).map_or(default, |(_, body)| body);
        module.push_str(&format!("(func (export \"sealbook:plugin/step@0.1.0#{name}\") {signature} {body})\n"));
    }
    module.push(')');
    let around = if rest.contains("sealbook:plugin/") {
        include_str!("plugin-with-handles.wat")
    } else {
        include_str!("plugin.wat")
    };
    wat::parse_str(around.replace("@MODULE@", &module)).expect("the rogue's text is a component")
}

/// Appends a core module to a component, instantiated `times` times beside what is there.
pub fn with_module(component: Vec<u8>, module: &str, times: usize) -> Vec<u8> {
    const CORE_MODULE: u8 = 1;
    const CORE_INSTANCE: u8 = 2;
    let module = wat::parse_str(module).expect("the module's text is WebAssembly");
    let index = sections(&component).into_iter().filter(|id| *id == CORE_MODULE).count();
    let mut out = component;
    section(&mut out, CORE_MODULE, &module);
    let mut instances = leb(times);
    for _ in 0..times {
        instances.push(0);
        instances.extend(leb(index));
        instances.push(0);
    }
    section(&mut out, CORE_INSTANCE, &instances);
    out
}

/// The ids of a component's sections.
fn sections(component: &[u8]) -> Vec<u8> {
    let mut ids = Vec::new();
    let mut rest = &component[8..];
    while let [id, tail @ ..] = rest {
        let (mut size, mut shift, mut used) = (0_usize, 0, 0);
        for byte in tail {
            size |= usize::from(byte & 0x7f) << shift;
            (shift, used) = (shift + 7, used + 1);
            if byte & 0x80 == 0 {
                break;
            }
        }
        ids.push(*id);
        rest = &tail[used + size..];
    }
    ids
}

fn section(out: &mut Vec<u8>, id: u8, content: &[u8]) {
    out.push(id);
    out.extend(leb(content.len()));
    out.extend_from_slice(content);
}

fn leb(mut n: usize) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let byte = (n & 0x7f) as u8;
        n >>= 7;
        if n == 0 {
            out.push(byte);
            return out;
        }
        out.push(byte | 0x80);
    }
}
