//! Opening a cloud's folder: its key, its tables, its first tenant.

use std::io::{self, Write as _};
use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, TransactionBehavior};
use sealbook_crypto::SealKey;

use crate::config::CloudError;
use crate::{audit, encryption, fault, identity, lro, registry, seed, store, tee};

/// Options for a file that only its owner may read.
pub(crate) fn private() -> std::fs::OpenOptions {
    let mut options = std::fs::OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes the tables, and the tenant when the file is new.
pub(crate) fn prepare(
    connection: &mut Connection,
    path: &Path,
    sealing: &SealKey,
    now: DateTime<Utc>,
) -> Result<(), CloudError> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > store::FORMAT {
        return Err(CloudError::Newer { path: path.to_owned(), found, supported: store::FORMAT });
    }
    if found != 0 && found < store::FORMAT {
        return Err(CloudError::Older { path: path.to_owned(), found, supported: store::FORMAT });
    }
    let shared = [
        tee::SCHEMAS[0],
        tee::SCHEMAS[1],
        store::SCHEMA,
        audit::SCHEMA,
        lro::SCHEMA,
        fault::SCHEMA,
        encryption::SCHEMA,
        identity::principals::SCHEMA,
        identity::tenants::SCHEMA,
        identity::keys::SCHEMA,
    ];
    for schema in shared.into_iter().chain(registry::PROVIDERS.iter().map(|p| p.schema())) {
        tx.execute_batch(schema)?;
    }
    if found == 0 {
        tx.pragma_update(None, "user_version", store::FORMAT)?;
        seed::plant(&tx, sealing, now)?;
    }
    Ok(tx.commit()?)
}

pub(crate) fn make_private_folder(dir: &Path) -> Result<(), CloudError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|source| CloudError::Io { path: dir.to_owned(), source })
}

/// Makes the database's file with mode 0600, or takes others' rights to an existing one away. SQLite would make it
/// readable for everybody; its journals take the mode of the file.
///
/// An existing file is never opened: closing it again would end the locks that SQLite's connections in this process
/// hold on it (POSIX ties them to the process and the file), and another process would then take the log away.
pub(crate) fn private_database(path: &Path) -> Result<(), CloudError> {
    let failed = |source| CloudError::Io { path: path.to_owned(), source };
    match private().write(true).create_new(true).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        Ok(_) => return Ok(()),
        Err(_) => {}
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        for ending in ["", "-wal", "-shm"] {
            let file = std::path::PathBuf::from(format!("{}{ending}", path.display()));
            match std::fs::metadata(&file) {
                Ok(found) if found.permissions().mode() & 0o077 != 0 => {
                    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Reads the key that seals secrets in the database, making it when it is missing. When two processes do so at once,
/// the first link wins and both read the same key.
pub(crate) fn key(path: &Path) -> Result<SealKey, CloudError> {
    let failed = |source| CloudError::Io { path: path.to_owned(), source };
    if !path.exists() {
        let draft = path.with_extension(format!("key.{}", uuid::Uuid::new_v4()));
        let mut file = private().write(true).create_new(true).open(&draft).map_err(failed)?;
        let written = file.write_all(SealKey::generate().expose()).and_then(|()| file.sync_all());
        let linked = written.and_then(|()| std::fs::hard_link(&draft, path));
        std::fs::remove_file(&draft).map_err(failed)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
    }
    let bytes = zeroize::Zeroizing::new(std::fs::read(path).map_err(failed)?);
    let bytes: [u8; 32] = bytes.as_slice().try_into().map_err(|_| CloudError::Key { path: path.to_owned() })?;
    Ok(SealKey::from_bytes(bytes))
}
