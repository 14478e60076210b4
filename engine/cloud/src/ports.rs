//! Which ports the processes of machines listen on: a port of the machine, and the loopback port of this host that stands
//! for it. They hold for one boot of the machine, and only for as long as the door stands through which they came.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use crate::cloud::Mark;
use crate::refusal::Refusal;
use crate::room::Machine;

/// Table of the ports.
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS ports (
    vm_id TEXT    NOT NULL,
    boot  INTEGER NOT NULL,
    port  INTEGER NOT NULL,
    at    INTEGER NOT NULL,
    mark  TEXT    NOT NULL,
    PRIMARY KEY (vm_id, port)
) STRICT;
";

/// How many ports a machine may listen on.
pub(crate) const LIMIT: usize = 64;

/// Why a port can't be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unpublished {
    /// Another process of the machine has it.
    #[error("another process of the machine listens on this port")]
    InUse,
    /// The machine listens on too many.
    #[error("a machine listens on at most {LIMIT} ports")]
    TooMany,
}

struct Row {
    boot: u64,
    port: u16,
    mark: String,
}

fn rows(tx: &Connection, vm_id: &str) -> Result<Vec<Row>, Refusal> {
    let mut statement = tx.prepare_cached("SELECT boot, port, mark FROM ports WHERE vm_id = ?1")?;
    let rows = statement.query_map([vm_id], |row| {
        Ok(Row { boot: row.get::<_, i64>(0)?.cast_unsigned(), port: row.get(1)?, mark: row.get(2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Notes that `machine` listens on `port` at the loopback port `at`, under a mark in the cloud's folder `dir`. What it
/// noted under the same mark before is replaced.
pub(crate) fn publish(
    tx: &Connection,
    dir: &Path,
    machine: &Machine,
    (port, at): (u16, u16),
    mark: &str,
) -> Result<Result<(), Unpublished>, Refusal> {
    let mut held = 0;
    for row in rows(tx, &machine.vm_id)? {
        let alive = row.boot == machine.boot && (row.mark == mark || stands(dir, &row.mark)?);
        if !alive {
            withdraw(tx, &machine.vm_id, row.port, &row.mark)?;
        } else if row.port != port {
            held += 1;
        } else if row.mark != mark {
            return Ok(Err(Unpublished::InUse));
        }
    }
    if held >= LIMIT {
        return Ok(Err(Unpublished::TooMany));
    }
    tx.prepare_cached("INSERT OR REPLACE INTO ports (vm_id, boot, port, at, mark) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![machine.vm_id, machine.boot.cast_signed(), port, at, mark])?;
    Ok(Ok(()))
}

/// Takes back what was noted under a mark.
pub(crate) fn withdraw(tx: &Connection, vm_id: &str, port: u16, mark: &str) -> Result<(), Refusal> {
    tx.prepare_cached("DELETE FROM ports WHERE vm_id = ?1 AND port = ?2 AND mark = ?3")?
        .execute(params![vm_id, port, mark])?;
    Ok(())
}

/// The loopback port that stands for a port of a machine; none: nothing of it listens there.
pub(crate) fn find(tx: &Connection, dir: &Path, machine: &Machine, port: u16) -> Result<Option<u16>, Refusal> {
    let found: Option<(u16, String)> = tx
        .prepare_cached("SELECT at, mark FROM ports WHERE vm_id = ?1 AND port = ?2 AND boot = ?3")?
        .query_row(params![machine.vm_id, port, machine.boot.cast_signed()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match found {
        Some((at, mark)) if stands(dir, &mark)? => Ok(Some(at)),
        // Whoever listened is gone, and by now the loopback port may be a stranger's.
        _ => Ok(None),
    }
}

fn stands(dir: &Path, mark: &str) -> Result<bool, Refusal> {
    Mark::stands(dir, mark).map_err(Refusal::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_one_process_and_ends_with_its_mark_and_its_boot() {
        let dir = tempfile::tempdir().unwrap();
        let tx = Connection::open_in_memory().unwrap();
        tx.execute_batch(SCHEMA).unwrap();
        let machine = |vm_id: &str, boot| Machine { id: "/vm".to_owned(), vm_id: vm_id.to_owned(), boot };
        let (one, again, two) = (machine("1", 1), machine("1", 2), machine("2", 1));
        let [first, second] = [(); 2].map(|()| Mark::set(dir.path()).unwrap());
        let put = |machine: &Machine, port, at, mark: &Mark| {
            publish(&tx, dir.path(), machine, (port, at), mark.name()).unwrap()
        };
        let at = |machine: &Machine, port| find(&tx, dir.path(), machine, port).unwrap();
        assert_eq!(at(&one, 443), None);
        assert_eq!(put(&one, 443, 4_001, &first), Ok(()));
        assert_eq!(put(&one, 443, 4_002, &first), Ok(()), "a process may move its listener");
        assert_eq!((at(&one, 443), at(&one, 80), at(&two, 443), at(&again, 443)), (Some(4_002), None, None, None));
        assert_eq!(put(&one, 443, 4_003, &second), Err(Unpublished::InUse));
        assert_eq!(put(&two, 443, 4_003, &second), Ok(()), "another machine has ports of its own");
        assert_eq!(put(&again, 443, 4_004, &second), Ok(()), "a boot ends what was before");
        assert_eq!((at(&one, 443), at(&again, 443)), (None, Some(4_004)));
        assert_eq!(put(&again, 443, 4_005, &first), Err(Unpublished::InUse));
        drop(second);
        assert_eq!((at(&again, 443), at(&two, 443)), (None, None), "nobody holds these any more");
        assert_eq!(put(&again, 443, 4_005, &first), Ok(()));
        withdraw(&tx, "1", 443, "somebody else").unwrap();
        assert_eq!(at(&again, 443), Some(4_005));
        withdraw(&tx, "1", 443, first.name()).unwrap();
        assert_eq!(at(&again, 443), None);
        let limit = u16::try_from(LIMIT).unwrap();
        assert!((1..=limit).all(|port| put(&one, port, 5_000, &first) == Ok(())));
        assert_eq!(put(&one, limit + 1, 5_000, &first), Err(Unpublished::TooMany));
        assert_eq!(put(&one, limit, 5_001, &first), Ok(()));
    }
}
