//! Injected faults: stored with the cloud, so that every process that has it open meets them.

use std::time::Duration;

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::http::Request;
use crate::refusal::Refusal;

/// Table of the faults.
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS faults (
    id        INTEGER PRIMARY KEY,
    fault     TEXT NOT NULL,
    remaining INTEGER
) STRICT;
";

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum FaultKind {
    /// 429 with `Retry-After`.
    Throttle {
        /// Seconds in `Retry-After`.
        retry_after: u32,
    },
    /// 500; the operation does not run.
    ServerError,
    /// The connection is lost before the operation runs.
    DropBefore,
    /// The connection is lost after the operation has been committed.
    DropAfter,
    /// A long-running operation takes longer.
    SlowOperation {
        /// Added time on the cloud clock.
        extra: Duration,
    },
    /// A new role assignment takes this long to work.
    RoleDelay {
        /// Time on the cloud clock.
        delay: Duration,
    },
    /// A quota is zero. Holds until it is cleared.
    NoQuota {
        /// Region; all when `None`.
        region: Option<String>,
        /// Quota name, such as `standardDCASv5Family`; all when `None`.
        family: Option<String>,
    },
    /// A size is not available to the subscription. Holds until it is cleared.
    NoSku {
        /// Region; all when `None`.
        region: Option<String>,
        /// Size, such as `Standard_DC2as_v5`; all when `None`.
        size: Option<String>,
    },
    /// The host may debug confidential machines that are started. Holds until it is cleared.
    DebuggableGuest {
        /// Name of the machine; all when `None`.
        machine: Option<String>,
    },
    /// The image of confidential machines that are started was changed by somebody. Holds until it is cleared.
    TamperedImage {
        /// Name of the machine; all when `None`.
        machine: Option<String>,
    },
    /// The host of confidential machines that are started misses its updates. Holds until it is cleared.
    OutdatedHost {
        /// Name of the machine; all when `None`.
        machine: Option<String>,
    },
}

/// A fault and the requests that it meets. Parts that are `None` match everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// Part of the host name, without case.
    pub host: Option<String>,
    /// Part of the path, without case.
    pub path: Option<String>,
    /// Verb.
    pub method: Option<String>,
    /// How many times; until it is cleared when `None`.
    pub times: Option<u32>,
}

impl Fault {
    /// A fault that meets every request, once.
    pub fn once(kind: FaultKind) -> Self {
        Self { kind, host: None, path: None, method: None, times: Some(1) }
    }

    fn meets(&self, request: &Request) -> bool {
        let part = |part: &Option<String>, whole: &str| {
            part.as_ref().is_none_or(|p| whole.to_ascii_lowercase().contains(&p.to_ascii_lowercase()))
        };
        part(&self.host, &request.host)
            && part(&self.path, &request.path)
            && self.method.as_ref().is_none_or(|m| m.eq_ignore_ascii_case(request.method.as_str()))
    }

    /// Name in the request log.
    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            FaultKind::Throttle { .. } => "throttle",
            FaultKind::ServerError => "server-error",
            FaultKind::DropBefore => "drop-before",
            FaultKind::DropAfter => "drop-after",
            FaultKind::SlowOperation { .. } => "slow-operation",
            FaultKind::RoleDelay { .. } => "role-delay",
            FaultKind::NoQuota { .. } => "no-quota",
            FaultKind::NoSku { .. } => "no-sku",
            FaultKind::DebuggableGuest { .. } => "debuggable-guest",
            FaultKind::TamperedImage { .. } => "tampered-image",
            FaultKind::OutdatedHost { .. } => "outdated-host",
        }
    }
}

/// Adds a fault.
pub(crate) fn add(tx: &Connection, fault: &Fault) -> Result<(), Refusal> {
    tx.execute(
        "INSERT INTO faults (fault, remaining) VALUES (?1, ?2)",
        params![serde_json::to_string(fault)?, fault.times],
    )?;
    Ok(())
}

/// Removes all faults.
pub(crate) fn clear(tx: &Connection) -> Result<(), Refusal> {
    tx.execute("DELETE FROM faults", [])?;
    Ok(())
}

/// All faults that are left, with how often each still strikes.
pub(crate) fn all(tx: &Connection) -> Result<Vec<(i64, Fault)>, Refusal> {
    let mut statement = tx.prepare_cached(
        "SELECT id, fault, remaining FROM faults WHERE remaining IS NULL OR remaining > 0 ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    let mut faults = Vec::new();
    while let Some(row) = rows.next()? {
        let text: String = row.get(1)?;
        let mut fault: Fault = serde_json::from_str(&text)?;
        fault.times = row.get(2)?;
        faults.push((row.get(0)?, fault));
    }
    Ok(faults)
}

/// Uses a fault up by one.
pub(crate) fn strike(tx: &Connection, id: i64) -> Result<(), Refusal> {
    tx.prepare_cached("UPDATE faults SET remaining = remaining - 1 WHERE id = ?1 AND remaining IS NOT NULL")?
        .execute([id])?;
    tx.prepare_cached("DELETE FROM faults WHERE remaining <= 0")?.execute([])?;
    Ok(())
}

/// The first fault that decides a request's fate, used up by one.
pub(crate) fn fate(tx: &Connection, request: &Request) -> Result<Option<Fault>, Refusal> {
    for (id, fault) in all(tx)? {
        let decides = matches!(
            fault.kind,
            FaultKind::Throttle { .. } | FaultKind::ServerError | FaultKind::DropBefore | FaultKind::DropAfter
        );
        if decides && fault.meets(request) {
            strike(tx, id)?;
            return Ok(Some(fault));
        }
    }
    Ok(None)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

/// Milliseconds that an operation started by this request takes longer; the fault is used up.
pub(crate) fn slowness(cx: &Cx<'_>) -> Result<i64, Refusal> {
    for (id, fault) in all(cx.tx)? {
        if let FaultKind::SlowOperation { extra } = fault.kind
            && fault.meets(cx.request)
        {
            strike(cx.tx, id)?;
            return Ok(millis(extra));
        }
    }
    Ok(0)
}

/// Milliseconds that a role assignment made by this request takes to work, when a fault says so; it is used up.
pub(crate) fn rbac_delay(cx: &Cx<'_>) -> Result<Option<i64>, Refusal> {
    for (id, fault) in all(cx.tx)? {
        if let FaultKind::RoleDelay { delay } = fault.kind
            && fault.meets(cx.request)
        {
            strike(cx.tx, id)?;
            return Ok(Some(millis(delay)));
        }
    }
    Ok(None)
}

/// A lack of quota or of a size.
pub(crate) struct Lack {
    region: Option<String>,
    what: Option<String>,
}

impl Lack {
    /// Whether it covers this region and name.
    pub fn covers(&self, region: &str, what: &str) -> bool {
        let is = |part: &Option<String>, whole: &str| part.as_ref().is_none_or(|p| p.eq_ignore_ascii_case(whole));
        is(&self.region, region) && is(&self.what, what)
    }
}

/// Quotas that are zero.
pub(crate) fn zero_quotas(cx: &Cx<'_>) -> Result<Vec<Lack>, Refusal> {
    let lacks = all(cx.tx)?.into_iter().filter_map(|(_, fault)| match fault.kind {
        FaultKind::NoQuota { region, family } => Some(Lack { region, what: family }),
        _ => None,
    });
    Ok(lacks.collect())
}

/// Sizes that are not available.
pub(crate) fn missing_skus(cx: &Cx<'_>) -> Result<Vec<Lack>, Refusal> {
    let lacks = all(cx.tx)?.into_iter().filter_map(|(_, fault)| match fault.kind {
        FaultKind::NoSku { region, size } => Some(Lack { region, what: size }),
        _ => None,
    });
    Ok(lacks.collect())
}

/// What is wrong with a confidential machine that is started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flaws {
    /// The host may debug it.
    pub debug: bool,
    /// Its image was changed.
    pub tampered: bool,
    /// Its host misses its updates.
    pub outdated: bool,
}

/// The flaws of a machine that is started now.
pub(crate) fn flaws(cx: &Cx<'_>, id: &str) -> Result<Flaws, Refusal> {
    let name = id.rsplit('/').next().unwrap_or_default();
    let is = |machine: &Option<String>| machine.as_ref().is_none_or(|machine| machine.eq_ignore_ascii_case(name));
    let mut flaws = Flaws::default();
    for (_, fault) in all(cx.tx)? {
        match &fault.kind {
            FaultKind::DebuggableGuest { machine } => flaws.debug |= is(machine),
            FaultKind::TamperedImage { machine } => flaws.tampered |= is(machine),
            FaultKind::OutdatedHost { machine } => flaws.outdated |= is(machine),
            _ => {}
        }
    }
    Ok(flaws)
}
