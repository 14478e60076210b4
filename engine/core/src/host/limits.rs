//! What one call may use up: memory, CPU, host calls, data, log lines.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sealbook_model::plugin::Limits;
use sealbook_model::policy::Policy;
use wasmtime::ResourceLimiter;

use super::fault::Fault;

/// Bytes of host memory that stand behind one element of a wasm table.
const TABLE_ELEMENT: u64 = 16;

/// Core instances in one store: a component that Rust's toolchain makes has four.
pub(crate) const CORE_INSTANCES: u32 = 24;
/// Linear memories in one store.
pub(crate) const MEMORIES: u32 = 8;
/// Tables in one store.
pub(crate) const TABLES: u32 = 16;
/// Handles that a guest may hold at one time.
pub(crate) const HANDLES: usize = 1024;
/// One tick of the epoch clock: how often a running guest is looked at.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Fuel that goes with a second of CPU time: about what a slow machine burns.
const FUEL_PER_SECOND: u64 = 1_000_000_000;

/// The ceilings of one call, all set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceilings {
    /// Bytes over all memories and tables of the store.
    pub memory: u64,
    /// Units of wasmtime fuel, about one per instruction.
    pub fuel: u64,
    /// CPU time of the guest. Waiting in host calls does not count.
    pub cpu: Duration,
    /// Calls into capabilities; log, progress and ownership have caps of their own.
    pub host_calls: u32,
    /// Bytes of one answer of the guest, and of one argument to the host.
    pub data: usize,
    /// Time for one request to Azure. Following a long-running operation is no request, but a series of them.
    pub request: Duration,
    /// Log lines that are shown; what comes after is counted, not shown.
    pub log_lines: u32,
    /// Bytes of one log line.
    pub log_line_bytes: usize,
}

/// What a plugin gets that asks for nothing special.
const DEFAULT: Limits = Limits { memory_mib: 128, fuel_millions: 20_000, host_calls: 2_000 };
/// What no plugin gets more of, whatever the policy says: the pool has no room for more memory.
const HIGHEST: Limits = Limits { memory_mib: (MEMORY_MAX >> 20) as u32, fuel_millions: 1_000_000, host_calls: 100_000 };

impl Ceilings {
    /// What a plugin asked for, or the default where it asked for nothing, lowered to the machine's policy.
    #[must_use]
    pub fn of(asked: Limits, policy: &Policy) -> Self {
        let or = |asked: u32, default: u32| if asked == 0 { default } else { asked };
        let limits = policy.cap(Limits {
            memory_mib: or(asked.memory_mib, DEFAULT.memory_mib).min(HIGHEST.memory_mib),
            fuel_millions: or(asked.fuel_millions, DEFAULT.fuel_millions).min(HIGHEST.fuel_millions),
            host_calls: or(asked.host_calls, DEFAULT.host_calls).min(HIGHEST.host_calls),
        });
        Self::exactly(limits)
    }

    fn exactly(limits: Limits) -> Self {
        let fuel = u64::from(limits.fuel_millions) * 1_000_000;
        Self {
            memory: u64::from(limits.memory_mib) << 20,
            fuel,
            // Fuel does not see what instructions cost that copy much: time does.
            cpu: Duration::from_secs((fuel / FUEL_PER_SECOND).max(1)),
            host_calls: limits.host_calls,
            data: 2 << 20,
            request: Duration::from_secs(600),
            log_lines: 500,
            log_line_bytes: 2_000,
        }
    }

    /// For `describe`, which has nothing to do but to answer.
    pub(crate) fn describe() -> Self {
        let limits = Limits { memory_mib: 64, fuel_millions: 2_000, host_calls: 0 };
        Self { data: 1 << 20, log_lines: 20, ..Self::exactly(limits) }
    }
}

/// The largest linear memory that the pool has room for.
pub(crate) const MEMORY_MAX: usize = 1 << 30;

/// Counts what a call uses up.
pub(crate) struct Meter {
    ceilings: Ceilings,
    memory: u64,
    host_calls: u32,
    ticks: Arc<AtomicU64>,
    /// The tick in which the guest last came back from an awaited host call.
    returned: u64,
    busy: u64,
}

impl Meter {
    pub(crate) fn new(ceilings: Ceilings, ticks: Arc<AtomicU64>) -> Self {
        Self { ceilings, memory: 0, host_calls: 0, ticks, returned: 0, busy: 0 }
    }

    pub(crate) fn ceilings(&self) -> &Ceilings {
        &self.ceilings
    }

    /// Counts one call into a capability.
    pub(crate) fn enter(&mut self) -> Result<(), Fault> {
        self.host_calls += 1;
        if self.host_calls > self.ceilings.host_calls {
            return Err(Fault::HostCalls(self.ceilings.host_calls));
        }
        Ok(())
    }

    /// Notes that an awaited host call is over: the ticks that went by belong to the host, not to the guest.
    pub(crate) fn returned(&mut self) {
        self.returned = self.ticks.load(Ordering::Relaxed);
    }

    /// Called when the epoch's deadline has passed while the guest was running. A deadline that passed while a host
    /// call was awaited is noticed in the very tick in which the guest came back, and costs it nothing: that is why
    /// a long poll is never followed by a trap.
    pub(crate) fn tick(&mut self) -> Result<(), Fault> {
        if self.ticks.load(Ordering::Relaxed) > self.returned {
            self.busy += 1;
        }
        if TICK.saturating_mul(u32::try_from(self.busy).unwrap_or(u32::MAX)) > self.ceilings.cpu {
            return Err(Fault::Cpu(format!("{} s", self.ceilings.cpu.as_secs())));
        }
        Ok(())
    }

    /// Checks the size of something that the guest handed over.
    pub(crate) fn data(&self, what: &str, bytes: usize) -> Result<(), Fault> {
        if bytes > self.ceilings.data {
            return Err(Fault::TooMuchData(format!("{what} has {bytes} bytes, {} are allowed", self.ceilings.data)));
        }
        Ok(())
    }

    fn grow(&mut self, more: u64) -> wasmtime::Result<bool> {
        let wanted = self.memory.saturating_add(more);
        if wanted > self.ceilings.memory {
            return Err(wasmtime::Error::new(Fault::Memory {
                wanted: wanted.div_ceil(1 << 20),
                allowed: self.ceilings.memory >> 20,
            }));
        }
        self.memory = wanted;
        Ok(true)
    }
}

/// The sum over all memories and tables counts, so that many small ones weigh as much as one large one. Exceeding it
/// traps instead of letting `memory.grow` fail: the guest's allocator would abort with a message that names nothing.
impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // What exceeds its own maximum fails anyway, and takes nothing.
        if maximum.is_some_and(|most| desired > most) {
            return Ok(false);
        }
        self.grow(desired.saturating_sub(current) as u64)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|most| desired > most) {
            return Ok(false);
        }
        self.grow((desired.saturating_sub(current) as u64).saturating_mul(TABLE_ELEMENT))
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES as usize
    }

    fn tables(&self) -> usize {
        TABLES as usize
    }

    fn memories(&self) -> usize {
        MEMORIES as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(ceilings: Ceilings) -> Meter {
        Meter::new(ceilings, Arc::default())
    }

    #[test]
    fn zero_means_the_default_and_the_policy_lowers() {
        let asked = Limits { memory_mib: 0, fuel_millions: 5_000, host_calls: 7 };
        let free = Ceilings::of(asked, &Policy::default());
        assert_eq!((free.memory, free.fuel, free.host_calls), (128 << 20, 5_000_000_000, 7));
        assert_eq!(free.cpu, Duration::from_secs(5));
        let mut capped = Policy::default();
        capped.limits = Limits { memory_mib: 256, fuel_millions: 1, host_calls: 3 };
        let capped = Ceilings::of(asked, &capped);
        assert_eq!((capped.memory, capped.fuel, capped.host_calls), (128 << 20, 1_000_000, 3));
        assert_eq!(capped.cpu, Duration::from_secs(1));
        let all = Limits { memory_mib: u32::MAX, fuel_millions: u32::MAX, host_calls: u32::MAX };
        assert_eq!(Ceilings::of(all, &Policy::default()).memory, MEMORY_MAX as u64);
    }

    #[test]
    fn many_small_memories_weigh_as_much_as_one_large_one() {
        let mut meter = meter(Ceilings::describe());
        for i in 0..64 {
            assert!(meter.memory_growing(0, 1 << 20, None).is_ok(), "{i}");
        }
        let refused = meter.memory_growing(0, 1 << 16, None).unwrap_err();
        assert_eq!(refused.downcast_ref(), Some(&Fault::Memory { wanted: 65, allowed: 64 }));
        assert!(meter.table_growing(0, 1, None).is_err(), "tables count as well");
    }

    #[test]
    fn tables_count() {
        let mut meter = meter(Ceilings::describe());
        assert!(meter.table_growing(0, (64 << 20) / 16, None).is_ok());
        assert!(meter.table_growing(0, 1, None).is_err());
        assert!(meter.table_growing(0, usize::MAX, None).is_err());
        assert_eq!(meter.table_growing(0, 2, Some(1)).ok(), Some(false), "refused without being counted");
    }

    #[test]
    fn only_the_guests_own_time_counts() {
        let mut meter = meter(Ceilings { cpu: TICK * 3, ..Ceilings::describe() });
        let ticks = Arc::clone(&meter.ticks);
        // However long host calls are awaited: each return costs nothing.
        for _ in 0..100 {
            ticks.fetch_add(1_000, Ordering::Relaxed);
            meter.returned();
            meter.tick().unwrap();
        }
        for _ in 0..3 {
            ticks.fetch_add(1, Ordering::Relaxed);
            meter.tick().unwrap();
        }
        ticks.fetch_add(1, Ordering::Relaxed);
        assert!(matches!(meter.tick(), Err(Fault::Cpu(_))));
    }

    #[test]
    fn host_calls_are_counted() {
        let mut meter = meter(Ceilings { host_calls: 2, ..Ceilings::describe() });
        assert!(meter.enter().is_ok() && meter.enter().is_ok());
        assert_eq!(meter.enter(), Err(Fault::HostCalls(2)));
    }
}
