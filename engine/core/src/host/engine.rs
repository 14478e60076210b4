//! One wasmtime engine per process: its configuration, its clock, and the components that are ready to run.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use sealbook_crypto::SecretBytes;
use sealbook_model::id::Digest;
use sealbook_model::plugin::{Description, Limits};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use wasmtime::component::Component;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::cache::Cache;
use super::fault::Fault;
use super::limits::{CORE_INSTANCES, MEMORIES, MEMORY_MAX, TABLES, TICK};
use super::link::{self, Import, Links, Plugin};

/// Memories in the pool: calls that find none wait for one.
const POOL: u32 = 128;

/// Where component bytes come from: the home's content-addressed store, or the binary itself.
pub trait Components: Send + Sync {
    /// The bytes with this digest. None: there are none here.
    fn bytes(&self, digest: &Digest) -> Option<Vec<u8>>;
}

impl<F: Fn(&Digest) -> Option<Vec<u8>> + Send + Sync> Components for F {
    fn bytes(&self, digest: &Digest) -> Option<Vec<u8>> {
        self(digest)
    }
}

/// What a runtime needs.
pub struct RuntimeSettings {
    /// Folder for compiled components. None: nothing is cached.
    pub cache: Option<PathBuf>,
    /// Key for the cache's authentication codes, derived from the home's key for this purpose alone.
    pub cache_key: SecretBytes,
    /// Where component bytes come from.
    pub components: Arc<dyn Components>,
}

/// The engine, its clock, and the components that are ready to run. One per process.
pub struct Runtime {
    engine: Engine,
    ticker: Ticker,
    cache: Option<Cache>,
    components: Arc<dyn Components>,
    ready: Mutex<HashMap<Digest, Arc<Entry>>>,
    slots: Arc<Semaphore>,
}

/// A component in the making or ready.
#[derive(Default)]
struct Entry {
    loaded: OnceCell<Loaded>,
    description: OnceCell<Description>,
}

/// A compiled component, and the plugins it becomes under one set of links each.
#[derive(Clone)]
struct Loaded {
    component: Component,
    imports: Arc<[Import]>,
    memories: u32,
    plugins: Arc<Mutex<HashMap<Links, Plugin>>>,
}

/// A plugin that may be instantiated now, and the room it has in the pool.
pub(crate) struct Ready {
    pub(crate) plugin: Plugin,
    pub(crate) _room: OwnedSemaphorePermit,
}

impl Runtime {
    /// Starts the engine.
    ///
    /// # Errors
    /// When this machine can't run WebAssembly (no address space for the pool is no such reason: then instances are
    /// made on demand).
    pub fn new(settings: RuntimeSettings) -> Result<Arc<Self>, crate::step::Failure> {
        let engine = engine().map_err(|e| Fault::Host(format!("WebAssembly can't run on this machine: {e:#}")))?;
        let key = <&[u8; 32]>::try_from(settings.cache_key.expose());
        let cache = match (settings.cache, key) {
            (Some(folder), Ok(key)) => Some(Cache::new(folder, key, &engine)),
            (Some(_), Err(_)) => return Err(Fault::Host("the cache's key is not 32 bytes long".into()).into()),
            (None, _) => None,
        };
        Ok(Arc::new(Self {
            ticker: Ticker::new(engine.clone()),
            engine,
            cache,
            components: settings.components,
            ready: Mutex::default(),
            slots: Arc::new(Semaphore::new(POOL as usize)),
        }))
    }

    /// Where component bytes come from.
    #[must_use]
    pub fn components(&self) -> Arc<dyn Components> {
        Arc::clone(&self.components)
    }

    /// Compiles components ahead of their first call, in parallel. What can't be compiled fails again, with its
    /// reason, when it is called.
    pub async fn prepare(self: &Arc<Self>, components: impl IntoIterator<Item = Digest>) {
        let mut tasks = tokio::task::JoinSet::new();
        for digest in components {
            let runtime = Arc::clone(self);
            tasks.spawn(async move { runtime.load(&digest).await.map(drop) });
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Asks a component what it is. It runs without any capability.
    ///
    /// # Errors
    /// When the component can't be loaded, is no plugin, or does not describe itself within the limits.
    pub async fn describe(self: &Arc<Self>, component: &Digest) -> Result<Description, crate::step::Failure> {
        let entry = self.entry(component);
        let description = entry.description.get_or_try_init(|| super::call::describe(self, component)).await?;
        Ok(description.clone())
    }

    /// The ceilings that a component asks for.
    pub(crate) async fn limits(self: &Arc<Self>, component: &Digest) -> Result<Limits, crate::step::Failure> {
        let entry = self.entry(component);
        let description = entry.description.get_or_try_init(|| super::call::describe(self, component)).await?;
        Ok(description.limits)
    }

    /// Like [`Runtime::describe`], for bytes that are in no store yet.
    ///
    /// # Errors
    /// As [`Runtime::describe`].
    pub async fn describe_bytes(self: &Arc<Self>, bytes: &[u8]) -> Result<Description, crate::step::Failure> {
        let digest = Digest::of(bytes);
        self.load_with(&digest, || Some(bytes.to_vec())).await?;
        self.describe(&digest).await
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn ticker(&self) -> &Ticker {
        &self.ticker
    }

    /// The plugin under these links, and room for one instance of it.
    pub(crate) async fn ready(&self, digest: &Digest, links: Links) -> Result<Ready, Fault> {
        let loaded = self.load(digest).await?;
        let cached = lock(&loaded.plugins).get(&links).cloned();
        let plugin = match cached {
            Some(plugin) => plugin,
            None => {
                let plugin = link::plugin(&self.engine, &loaded.component, &links)?;
                lock(&loaded.plugins).insert(links, plugin.clone());
                plugin
            }
        };
        let room = Arc::clone(&self.slots).acquire_many_owned(loaded.memories).await;
        Ok(Ready { plugin, _room: room.map_err(|_| Fault::Host("the runtime was closed".into()))? })
    }

    /// What a component imports.
    pub(crate) async fn imports(&self, digest: &Digest) -> Result<Arc<[Import]>, Fault> {
        Ok(self.load(digest).await?.imports)
    }

    async fn load(&self, digest: &Digest) -> Result<Loaded, Fault> {
        self.load_with(digest, || self.components.bytes(digest)).await
    }

    async fn load_with(&self, digest: &Digest, bytes: impl FnOnce() -> Option<Vec<u8>>) -> Result<Loaded, Fault> {
        let entry = self.entry(digest);
        let loaded = entry.loaded.get_or_try_init(|| async {
            let component = match self.cache.as_ref().and_then(|cache| cache.load(&self.engine, digest)) {
                Some(component) => component,
                None => self.compile(digest, bytes()).await?,
            };
            let imports = link::imports(&self.engine, &component)?.into();
            let memories = room(&component)?;
            Ok(Loaded { component, imports, memories, plugins: Arc::default() })
        });
        loaded.await.cloned()
    }

    async fn compile(&self, digest: &Digest, bytes: Option<Vec<u8>>) -> Result<Component, Fault> {
        let bytes = bytes.ok_or_else(|| Fault::Unloadable(format!("its bytes ({digest}) are not in this home")))?;
        super::screen::screen(&bytes).map_err(Fault::Unloadable)?;
        if Digest::of(&bytes) != *digest {
            return Err(Fault::Unloadable(format!("its bytes do not have the digest {digest}: they were changed")));
        }
        let engine = self.engine.clone();
        let compiled = tokio::task::spawn_blocking(move || Component::from_binary(&engine, &bytes)).await;
        let component = compiled
            .map_err(|error| Fault::Host(format!("the compiler failed: {error}")))?
            .map_err(|error| Fault::Unloadable(super::text::one_line(&format!("{error:#}"), 600)))?;
        if let Some(cache) = &self.cache {
            cache.store(digest, &component);
        }
        Ok(component)
    }

    fn entry(&self, digest: &Digest) -> Arc<Entry> {
        Arc::clone(lock(&self.ready).entry(*digest).or_default())
    }
}

/// Checks that a component's memories and tables fit into the pool, and says how many slots one instance takes.
fn room(component: &Component) -> Result<u32, Fault> {
    let needs = component
        .resources_required()
        .ok_or_else(|| Fault::Unloadable("it imports core modules, so that its needs can't be told".into()))?;
    for (what, count, max) in [("memories", needs.num_memories, MEMORIES), ("tables", needs.num_tables, TABLES)] {
        if count > max {
            return Err(Fault::Unloadable(format!("it has {count} {what}, {max} are allowed")));
        }
    }
    Ok(needs.num_memories.max(needs.num_tables.div_ceil(TABLES / MEMORIES)).max(1))
}

/// Makes an engine.
pub(super) fn engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(512 << 10)
        .async_stack_size(2 << 20)
        .cranelift_nan_canonicalization(true)
        .wasm_component_model(true)
        // Everything that Rust, C and Go toolchains do not need for this target is off: less to get wrong, and the
        // limits see every memory and table there is.
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_relaxed_simd(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .wasm_shared_everything_threads(false)
        .shared_memory(false)
        .wasm_gc(false)
        .gc_support(false);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(POOL)
        .total_core_instances(POOL * CORE_INSTANCES)
        .total_memories(POOL)
        .total_tables(POOL * (TABLES / MEMORIES))
        .total_stacks(POOL)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_memory_size(MEMORY_MAX)
        .max_unused_warm_slots(16);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    // The pool reserves address space up front, which an address-space limit (`ulimit -v`) may refuse.
    Engine::new(&config).or_else(|pooled| {
        tracing::debug!(error = %pooled, "no room for the instance pool; instances are made on demand");
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand).memory_reservation(0);
        Engine::new(&config)
    })
}

/// Advances the engine's epoch while calls are running, and sleeps otherwise.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Engine,
    ticks: Arc<AtomicU64>,
    running: AtomicUsize,
    stopped: AtomicBool,
    asleep: Mutex<()>,
    wake: Condvar,
}

/// While it lives, the clock runs.
pub(crate) struct Running<'a>(&'a Shared);

impl Ticker {
    fn new(engine: Engine) -> Self {
        let shared = Arc::new(Shared {
            engine,
            ticks: Arc::default(),
            running: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            asleep: Mutex::new(()),
            wake: Condvar::new(),
        });
        let clock = Arc::clone(&shared);
        // A thread, not a task: a guest that spins on every worker of the async runtime must still be interrupted.
        let started = std::thread::Builder::new().name("sealbook-epoch".into()).spawn(move || clock.run());
        if let Err(error) = started {
            tracing::error!(%error, "no thread for the epoch clock: guests are limited by fuel alone");
        }
        Self { shared }
    }

    pub(crate) fn ticks(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.shared.ticks)
    }

    pub(crate) fn running(&self) -> Running<'_> {
        // Only a sleeping clock is woken: waking a running one would make its tick come early.
        if self.shared.running.fetch_add(1, Ordering::SeqCst) == 0 {
            let _held = lock(&self.shared.asleep);
            self.shared.wake.notify_one();
        }
        Running(&self.shared)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let _held = lock(&self.shared.asleep);
        self.shared.wake.notify_one();
    }
}

impl Shared {
    fn run(&self) {
        let mut held = lock(&self.asleep);
        while !self.stopped.load(Ordering::SeqCst) {
            if self.running.load(Ordering::SeqCst) == 0 {
                held = self.wake.wait(held).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            held = self.wake.wait_timeout(held, TICK).unwrap_or_else(PoisonError::into_inner).0;
            self.ticks.fetch_add(1, Ordering::Relaxed);
            self.engine.increment_epoch();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
