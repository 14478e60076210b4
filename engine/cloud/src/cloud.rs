//! The cloud as other crates see it.

mod connect;
mod mark;
mod rooms;

use std::net::Ipv4Addr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Datelike, Utc};
use rusqlite::{Transaction, TransactionBehavior};
use sealbook_attestation::roots::Kind;
use sealbook_attestation::x509::Certificate;
use sealbook_crypto::SealKey;
use serde_json::Value;

pub use self::connect::Unreached;
pub(crate) use self::mark::Mark;
use self::rooms::Rooms;
use crate::arm::Arm;
use crate::config::{CloudConfig, CloudError, Wall};
use crate::cx::Cx;
use crate::dispatch::{self, Outcome, Setting};
use crate::entra::device;
use crate::fault::{self, Fault};
use crate::http::{Answer, Request};
use crate::identity::{principals, tenants};
use crate::operation::{Access, Operation};
use crate::refusal::Refusal;
use crate::seed::{self, Seed};
use crate::service::Service;
use crate::store::pool::Pool;
use crate::store::{log, resources, settings};
use crate::tee::{self, TeeError};
use crate::{audit, compute, opening, registry, room};

/// A connection that was lost because a fault says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Dropped {
    /// Nothing was done.
    #[error("the connection was lost before the request was answered")]
    Before,
    /// The request was carried out and its answer lost. A client can't tell the two apart.
    #[error("the connection was lost before the request was answered")]
    After,
}

/// Object ids of the managed identities that a machine holds, system-assigned first.
///
/// A front door puts this into a request's extensions for the instance metadata address; nothing that a client sends
/// can take its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineIdentities(pub Vec<String>);

/// An operation that the embedded Azure offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offered {
    /// Service, such as `arm` or `keyvault`.
    pub service: &'static str,
    /// Namespace of the resource provider, such as `Microsoft.Compute`, for what Azure Resource Manager passes on:
    /// operation ids are unique within a provider alone.
    pub provider: Option<&'static str>,
    /// Official operation id.
    pub name: &'static str,
    /// Verb.
    pub method: &'static str,
    /// Path template.
    pub path: &'static str,
    /// Query parameters that select it among those with the same path.
    pub when: &'static [(&'static str, &'static str)],
    /// Accepted versions; empty when they are not checked.
    pub versions: &'static [&'static str],
    /// Action that a role must grant.
    pub action: Option<&'static str>,
    /// Whether it answers with a long-running operation.
    pub long_running: bool,
}

impl Offered {
    fn new(service: &'static str, provider: Option<&'static str>, operation: &'static Operation) -> Self {
        Self {
            service,
            provider,
            name: operation.name,
            method: operation.method.as_str(),
            path: operation.path,
            when: operation.when,
            versions: operation.api,
            action: match operation.access {
                Access::Open | Access::Authenticated => None,
                Access::Control(action) | Access::Data(action) => Some(action),
            },
            long_running: operation.lro,
        }
    }
}

/// The last year that the cloud clock may stand in: what is ninety days or ten years later can still be written.
const LAST_YEAR: i32 = 2999;

#[derive(Debug)]
struct Inner {
    pool: Pool,
    sealing: SealKey,
    wall: Wall,
    rooms: Rooms,
    /// Requests of this process queue here; only other processes are waited for by asking SQLite again.
    turn: Mutex<()>,
}

/// The embedded Azure: durable, by host name, shared by every process that opens its folder.
///
/// Cheap to clone. All state is in the folder's database; a request is one transaction there.
#[derive(Clone, Debug)]
pub struct Cloud(Arc<Inner>);

impl Cloud {
    /// Opens the cloud of a folder, making a fresh one when there is none. Several processes may do so at once.
    ///
    /// # Errors
    /// The folder can't be used, or its file is from a newer version.
    pub fn open(config: CloudConfig) -> Result<Self, CloudError> {
        opening::make_private_folder(&config.dir)?;
        let sealing = opening::key(&config.dir.join("cloud.key"))?;
        let path = config.dir.join("cloud.db");
        opening::private_database(&path)?;
        let pool = Pool::new(path.clone());
        let mut connection = pool.take()?;
        opening::prepare(&mut connection, &path, &sealing, config.wall.read())?;
        pool.put(connection);
        let rooms = Rooms::new(config.dir, config.room);
        Ok(Self(Arc::new(Inner { pool, sealing, wall: config.wall, rooms, turn: Mutex::default() })))
    }

    /// Answers a request to one of Azure's hosts. The URI is absolute (or the host is in `Host`).
    ///
    /// # Errors
    /// A fault made the connection break.
    pub async fn handle(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, Dropped> {
        let cloud = self.clone();
        let runtime = tokio::runtime::Handle::current();
        // All of it on one thread that nobody can cancel: a client that goes away must not take the machine's work along.
        let served = tokio::task::spawn_blocking(move || {
            let outcome = cloud.0.serve(request);
            cloud.take_up(&runtime);
            outcome
        })
        .await;
        match served {
            Ok(Outcome::Answered(answer)) => Ok(answer.into()),
            Ok(Outcome::LostBefore) => Err(Dropped::Before),
            Ok(Outcome::LostAfter) => Err(Dropped::After),
            Err(_) => Ok(Refusal::internal("the task was cancelled").render_arm().into()),
        }
    }

    /// Who can sign in.
    ///
    /// # Errors
    /// The database can't be read.
    pub fn seed(&self) -> Result<Seed, CloudError> {
        self.with(|tx, inner| seed::read(tx, &inner.sealing))
    }

    /// Who can sign in to each tenant; the first is that of [`Cloud::seed`].
    ///
    /// # Errors
    /// The database can't be read.
    pub fn tenants(&self) -> Result<Vec<Seed>, CloudError> {
        self.with(|tx, inner| seed::read_all(tx, &inner.sealing))
    }

    /// Makes one more tenant, with a user, a service principal and a subscription of its own; `name` is shown as the
    /// tenant's and the subscription's. No request can do this.
    ///
    /// # Errors
    /// The database can't be written.
    pub fn add_tenant(&self, name: &str) -> Result<Seed, CloudError> {
        self.with(|tx, inner| {
            let now = dispatch::clocks(tx, inner.wall.read())?;
            seed::add_tenant(tx, &inner.sealing, now, name)
        })
    }

    /// Signs the tenant's learner in on the device that shows this code, as the verification page would after the right
    /// password. Says whether such a code was waiting; one that has expired or was answered is not.
    ///
    /// # Errors
    /// The database can't be written.
    pub fn approve_device_code(&self, user_code: &str) -> Result<bool, CloudError> {
        self.with(|tx, inner| {
            let now = dispatch::clocks(tx, inner.wall.read())?;
            let Some(waiting) = device::waiting(tx, now, user_code)? else { return Ok(false) };
            let tenant = match &waiting.tenant {
                Some(tenant) => tenants::find(tx, tenant)?,
                None => None,
            };
            let tenant = match tenant {
                Some(tenant) => tenant,
                None => tenants::first(tx)?,
            };
            device::approve(tx, &waiting, &tenant.user)?;
            Ok(true)
        })
    }

    /// Turns down the sign-in on the device that shows this code. Says whether such a code was waiting.
    ///
    /// # Errors
    /// The database can't be written.
    pub fn decline_device_code(&self, user_code: &str) -> Result<bool, CloudError> {
        self.with(|tx, inner| {
            let now = dispatch::clocks(tx, inner.wall.read())?;
            let Some(waiting) = device::waiting(tx, now, user_code)? else { return Ok(false) };
            device::decline(tx, &waiting)?;
            Ok(true)
        })
    }

    /// Throws everything away and starts with a fresh tenant, for every process that has the cloud open.
    ///
    /// # Errors
    /// The database can't be written.
    pub fn reset(&self) -> Result<(), CloudError> {
        let housed = self.with(|tx, inner| {
            let housed = room::housed(tx, false)?;
            let mut tables = tx.prepare(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
            )?;
            let tables: Vec<String> = tables.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            for table in tables {
                tx.execute_batch(&format!("DELETE FROM \"{table}\""))?;
            }
            seed::plant(tx, &inner.sealing, inner.wall.read())?;
            Ok(housed)
        })?;
        for vm_id in housed {
            self.0.rooms.discard(&vm_id);
        }
        Ok(())
    }

    /// The instant on the cloud clock.
    ///
    /// # Errors
    /// The database can't be read.
    pub fn now(&self) -> Result<DateTime<Utc>, CloudError> {
        self.with(|tx, inner| dispatch::clocks(tx, inner.wall.read()))
    }

    /// Moves the cloud clock forward. Tokens and signatures stay on the wall clock.
    ///
    /// # Errors
    /// The clock would pass the year 2999, or the database can't be written.
    pub fn advance(&self, by: Duration) -> Result<(), CloudError> {
        let now = self.now()?;
        let to = chrono::Duration::from_std(by).ok().and_then(|by| now.checked_add_signed(by));
        let to = to.unwrap_or(DateTime::<Utc>::MAX_UTC);
        if to.year() > LAST_YEAR {
            return Err(CloudError::Clock { to });
        }
        let by = i64::try_from(by.as_millis()).unwrap_or_default();
        self.with(|tx, _| {
            let offset: i64 = settings::get(tx, settings::CLOCK_OFFSET)?.unwrap_or_default();
            settings::set(tx, settings::CLOCK_OFFSET, &offset.saturating_add(by))
        })
    }

    /// Sets how long a new role assignment takes to work, on the cloud clock.
    ///
    /// # Errors
    /// The database can't be written.
    pub fn set_role_delay(&self, delay: Duration) -> Result<(), CloudError> {
        let delay = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX / 4);
        self.with(|tx, _| settings::set(tx, settings::RBAC_DELAY, &delay))
    }

    /// The public IPv4 address from which services see every caller of this cloud come.
    ///
    /// # Errors
    /// The database can't be read.
    pub fn client_address(&self) -> Result<Ipv4Addr, CloudError> {
        self.with(|tx, _| settings::client_address(tx))
    }

    /// Sets the public IPv4 address from which services see every caller of this cloud come: the one that firewall
    /// rules name. Without a setting it is 203.0.113.10, out of a range reserved for documentation (RFC 5737).
    ///
    /// # Errors
    /// The database can't be written.
    pub fn set_client_address(&self, address: Ipv4Addr) -> Result<(), CloudError> {
        self.with(|tx, _| settings::set(tx, settings::CLIENT_ADDRESS, &address.to_string()))
    }

    /// Injects a fault.
    ///
    /// # Errors
    /// The database can't be written.
    pub fn fault(&self, fault: &Fault) -> Result<(), CloudError> {
        self.with(|tx, _| fault::add(tx, fault))
    }

    /// The faults that are left; `times` says how often each still strikes.
    ///
    /// # Errors
    /// The database can't be read.
    pub fn faults(&self) -> Result<Vec<Fault>, CloudError> {
        self.with(|tx, _| Ok(fault::all(tx)?.into_iter().map(|(_, fault)| fault).collect()))
    }

    /// Removes all faults.
    ///
    /// # Errors
    /// The database can't be written.
    pub fn clear_faults(&self) -> Result<(), CloudError> {
        self.with(|tx, _| fault::clear(tx))
    }

    /// The request log after position `after`, oldest first.
    ///
    /// # Errors
    /// The database can't be read.
    pub fn requests(&self, after: i64) -> Result<Vec<log::LoggedRequest>, CloudError> {
        self.with(|tx, _| log::read(tx, after))
    }

    /// What exists, sorted: ARM resources, role assignments, keys, blobs, and what soft delete keeps.
    ///
    /// # Errors
    /// The database can't be read.
    pub fn inventory(&self) -> Result<Vec<crate::inventory::Item>, CloudError> {
        self.with(|tx, inner| {
            dispatch::catch_up(tx, inner.setting())?;
            crate::inventory::read(tx)
        })
    }

    /// What each managed HSM costs, live or soft-deleted: a pool is billed until it is purged.
    ///
    /// # Errors
    /// The database can't be read.
    pub fn hsm_bills(&self) -> Result<Vec<crate::HsmBill>, CloudError> {
        self.with(|tx, inner| {
            dispatch::catch_up(tx, inner.setting())?;
            crate::keyvault::hsm::billing::read(tx)
        })
    }

    /// How often each operation was answered with which status: operation id, status, count.
    ///
    /// # Errors
    /// The database can't be read.
    pub fn counters(&self) -> Result<Vec<(String, u16, u64)>, CloudError> {
        self.with(|tx, _| log::counters(tx))
    }

    /// Audit records of a resource, oldest first, in the shape of its diagnostic log.
    ///
    /// # Errors
    /// The database can't be read.
    pub fn audit(&self, resource: &str) -> Result<Vec<Value>, CloudError> {
        self.with(|tx, _| audit::read(tx, resource))
    }

    /// The root, as PEM, at which the certificates end that sign what key stores of this cloud release. It calls itself a
    /// test root, and no other cloud has it.
    ///
    /// # Errors
    /// The database can't be read, or the root can't be made.
    pub fn release_root(&self) -> Result<String, CloudError> {
        self.with(|tx, inner| crate::keyvault::release::root_pem(tx, &inner.sealing, inner.wall.read()))
    }

    /// Object id of a resource's managed identity, for [`MachineIdentities`].
    ///
    /// # Errors
    /// The database can't be read.
    pub fn identity_of(&self, resource: &str) -> Result<Option<String>, CloudError> {
        self.with(|tx, _| Ok(principals::of_resource(tx, resource)?.map(|p| p.oid)))
    }

    /// Object ids of all managed identities that a resource holds, system-assigned first, for [`MachineIdentities`].
    /// Identities that were deleted are left out.
    ///
    /// # Errors
    /// The database can't be read.
    pub fn identities_of(&self, resource: &str) -> Result<Vec<String>, CloudError> {
        self.with(|tx, _| Ok(principals::held_by(tx, resource)?.into_iter().map(|p| p.oid).collect()))
    }

    /// The roots of this cloud's test world: those of its hardware, and the one below which vaults and managed HSMs sign
    /// releases. PEM certificates as [`Roots`](sealbook_attestation::Roots) reads them, each named as a test root. Makes
    /// them at the first call, which takes seconds.
    ///
    /// # Errors
    /// The database can't be read or written.
    pub fn test_roots(&self) -> Result<String, CloudError> {
        self.with(|tx, inner| {
            let wall = inner.wall.read();
            let mut roots = dispatch::unasked(tx, inner.setting(), |cx| tee::roots(cx))?;
            let releases = crate::keyvault::release::root_pem(tx, &inner.sealing, wall)?;
            for root in Certificate::bundle(releases.as_bytes()).map_err(Refusal::internal)? {
                roots = roots.with_test(tee::WORLD, Kind::Tls, root, Vec::new());
            }
            Ok(roots.to_pem())
        })
    }

    /// The boot that a running virtual machine is in; none: there is no such machine, or it does not run.
    ///
    /// # Errors
    /// The database can't be read.
    pub fn machine(&self, id: &str) -> Result<Option<crate::Machine>, CloudError> {
        self.with(|tx, inner| {
            dispatch::unasked(
                tx,
                inner.setting(),
                |cx| Ok(compute::machine(cx, id)?.and_then(|m| compute::running(&m))),
            )
        })
    }

    /// Lets the hardware of a running confidential machine do something.
    pub(crate) fn hardware<T>(
        &self,
        machine: &str,
        work: impl FnOnce(&Cx<'_>, &resources::Resource) -> Result<T, Refusal>,
    ) -> Result<T, TeeError> {
        let done = self.with(|tx, inner| {
            dispatch::unasked(tx, inner.setting(), |cx| {
                let Some(machine) = compute::machine(cx, machine)? else { return Ok(None) };
                match tee::lack(&machine) {
                    Some(lack) => Ok(Some(Err(lack))),
                    None => Ok(Some(Ok(work(cx, &machine)?))),
                }
            })
        });
        done?.unwrap_or_else(|| Err(TeeError::NoMachine(machine.to_owned())))
    }

    /// Everything that can be asked, out of the operation tables that also route and authorise: for contract tests and
    /// the parity map.
    pub fn operations() -> Vec<Offered> {
        let rows = registry::PROVIDERS.iter().flat_map(|provider| {
            let namespace = Some(provider.namespace());
            let control = provider.operations().into_iter().flatten();
            let control = control.map(move |operation| Offered::new(Arm.name(), namespace, operation));
            let data = provider.services().iter().flat_map(|service| {
                let operations = service.tables().into_iter().flatten();
                operations.map(|operation| Offered::new(service.name(), None, operation))
            });
            control.chain(data)
        });
        rows.collect()
    }

    fn with<T>(&self, work: impl FnOnce(&Transaction<'_>, &Inner) -> Result<T, Refusal>) -> Result<T, CloudError> {
        let mut connection = self.0.pool.take()?;
        let _turn = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = work(&tx, &self.0)?;
        tx.commit()?;
        self.0.pool.put(connection);
        Ok(result)
    }
}

impl Inner {
    fn setting(&self) -> Setting<'_> {
        Setting { sealing: &self.sealing, wall: self.wall.read(), room: self.rooms.room() }
    }

    fn serve(&self, request: http::Request<Bytes>) -> Outcome {
        let request = match Request::parse(request) {
            Ok(request) => request,
            Err(error) => {
                let refusal = Refusal::new(400, "InvalidUri", error.to_string());
                return Outcome::Answered(refusal.render_arm());
            }
        };
        let wall = self.wall.read();
        // A panic unwinds through the transaction, which rolls back; the connection goes with it.
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut connection = self.pool.take()?;
            let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            let setting = Setting { wall, ..self.setting() };
            let outcome = dispatch::run(&mut connection, setting, &request)?;
            self.pool.put(connection);
            Ok::<_, Refusal>(outcome)
        }));
        let refusal = match result {
            Ok(Ok(outcome)) => return outcome,
            Ok(Err(refusal)) => refusal,
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
                Refusal::internal(text.unwrap_or_else(|| "a panic".to_owned()))
            }
        };
        Outcome::Answered(self.failed(&request, wall, &refusal))
    }

    /// Logs a request whose transaction is gone, and answers it.
    fn failed(&self, request: &Request, wall: DateTime<Utc>, refusal: &Refusal) -> Answer {
        let cause = refusal.cause().unwrap_or(&refusal.message);
        tracing::error!(method = %request.method, host = request.host, path = request.path, cause, "a request failed");
        let request_id = uuid::Uuid::new_v4().to_string();
        let logged = self.pool.take().map_err(Refusal::from).and_then(|connection| {
            let line = log::Line {
                request_id: request_id.clone(),
                time: wall,
                request,
                service: registry::service(&request.host).map_or("", |s| s.name()),
                operation: "",
                status: 500,
                code: Some(&refusal.code),
                caller: None,
                correlation: &request_id,
                fault: None,
            };
            log::write(&connection, &line)?;
            self.pool.put(connection);
            Ok(())
        });
        if logged.is_err() {
            tracing::error!("the request log can't be written");
        }
        refusal.render_arm().header("x-ms-request-id", &request_id).header("date", crate::time::http_date(wall))
    }
}
