//! A call into a fresh sandbox, against the same component in a bare wasmtime.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use sealbook_azure::{Azure, Credential, HttpSend, Settings, Transport, TransportError};
use sealbook_crypto::{SealKey, SecretBytes};
use sealbook_engine::event::Events;
use sealbook_engine::host::{ArtifactStore, HostSettings, PluginHost, Runtime, RuntimeSettings};
use sealbook_engine::journal::RunVault;
use sealbook_engine::step::{Call, Failure, Host as _, Intent, Ledger, Operation, Outcome};
use sealbook_model::grant::{Gate, Grant};
use sealbook_model::id::Digest;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use wasmtime::component::{Component, InstancePre, Linker, ResourceTable, Val};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::{at_most, figure, median, micros};

const KEY: &str = "https://some-vault.vault.azure.net/keys/some-key";

pub fn bench() {
    let tokio = tokio::runtime::Runtime::new().unwrap();
    // Its `check` looks at nothing outside, so that the call is all there is.
    let bytes: Arc<[u8]> = std::fs::read(component("key_proof")).unwrap().into();
    let inputs = json!({ "key": KEY });

    let (pre, engine) = bare(&bytes);
    let text = inputs.to_string();
    let bare = median(300, || tokio.block_on(bare_check(&engine, &pre, &text)));

    let (host, call) = ours(bytes.clone(), inputs);
    tokio.block_on(host.check(&call)).unwrap();
    let ours = median(300, || drop(tokio.block_on(host.check(&call)).unwrap()));
    figure("a call of `check`, bare wasmtime", micros(bare));
    figure("a call of `check`, here", micros(ours));
    at_most("call in a fresh sandbox / bare wasmtime", ours / bare, 2.0, "x");
}

/// The component of a standard plugin, as the binary's build script left it.
fn component(name: &str) -> std::path::PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_sealbook")).ancestors().nth(2).unwrap();
    target.join(format!("plugins/wasm32-wasip2/plugin/sealbook_plugin_{name}.wasm"))
}

struct Bare {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Bare {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// The fastest way to a fresh instance that wasmtime has: a pool, and everything resolved ahead.
fn bare(bytes: &[u8]) -> (InstancePre<Bare>, Engine) {
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(PoolingAllocationConfig::default()));
    let engine = Engine::new(&config).unwrap();
    let component = Component::from_binary(&engine, bytes).unwrap();
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
    linker.allow_shadowing(true);
    linker.define_unknown_imports_as_traps(&component).unwrap();
    (linker.instantiate_pre(&component).unwrap(), engine)
}

async fn bare_check(engine: &Engine, pre: &InstancePre<Bare>, inputs: &str) {
    let mut store = Store::new(engine, Bare { wasi: WasiCtx::builder().build(), table: ResourceTable::new() });
    let instance = pre.instantiate_async(&mut store).await.unwrap();
    let step = instance.get_export_index(&mut store, None, "sealbook:plugin/step@0.1.0").unwrap();
    let check = instance.get_export_index(&mut store, Some(&step), "check").unwrap();
    let check = instance.get_func(&mut store, check).unwrap();
    let mut results = [Val::Bool(false)];
    check.call_async(&mut store, &[Val::String(inputs.into())], &mut results).await.unwrap();
    assert!(matches!(&results[0], Val::Result(Ok(_))), "{results:?}");
}

fn ours(bytes: Arc<[u8]>, inputs: Value) -> (PluginHost, Call) {
    let digest = Digest::of(&bytes);
    let runtime = Runtime::new(RuntimeSettings {
        cache: None,
        cache_key: SecretBytes::new(vec![1; 32]),
        components: Arc::new(move |_: &Digest| Some(bytes.to_vec())),
    });
    let credential = Credential::ManagedIdentity { client_id: None };
    let azure = Azure::new(Settings::new(credential, Transport::Injected(Arc::new(Nowhere)))).unwrap();
    let host = PluginHost::new(HostSettings {
        runtime: runtime.unwrap(),
        azure,
        artifacts: ArtifactStore::Folder(std::env::temp_dir()),
        policy: Arc::default(),
        judge: Arc::new(|_: &Value, _: &Value| sealbook_attestation::Verdict::default()),
        tee: None,
    });
    let grants =
        vec![Grant::parse(&format!("keyvault:read,wrap,unwrap {KEY}")).unwrap(), Grant::parse("crypto:use").unwrap()];
    let call = Call {
        run: "abc234".parse().unwrap(),
        step: "proof".parse().unwrap(),
        generation: 0,
        component: digest,
        guest: None,
        record: digest,
        inputs,
        adopt: false,
        gate: Arc::new(Gate::new(grants.clone(), grants, Arc::default())),
        vault: Arc::new(RunVault::new(SealKey::generate(), Default::default())),
        ledger: Arc::new(Nowhere),
        events: Events::none(),
        cancel: CancellationToken::new(),
    };
    (host, call)
}

/// What a `check` that looks at nothing needs.
#[derive(Debug)]
struct Nowhere;

#[async_trait]
impl HttpSend for Nowhere {
    async fn send(&self, request: http::Request<bytes::Bytes>) -> Result<http::Response<bytes::Bytes>, TransportError> {
        panic!("nothing is to be sent: {request:?}")
    }
}

#[async_trait]
impl Ledger for Nowhere {
    async fn standing(&self, _: &str, _: &Digest) -> Result<Option<Operation>, Failure> {
        Ok(None)
    }

    async fn intend(&self, _: Intent) -> Result<(), Failure> {
        Ok(())
    }

    async fn accepted(&self, _: &str, _: Value) -> Result<(), Failure> {
        Ok(())
    }

    async fn completed(&self, _: &str, _: Outcome) -> Result<(), Failure> {
        Ok(())
    }
}
