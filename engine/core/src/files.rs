//! Files and folders that only their owner may read, written so that a reader never sees half of one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Makes a folder with mode 0700, and its parents; one that exists is left as it is.
pub(crate) fn new_private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Makes a folder with mode 0700; one that exists and lets others in is closed to them.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    new_private_folder(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(path)?.permissions().mode();
        if mode & 0o077 != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
        }
    }
    Ok(())
}

/// Options for a new file with mode 0600.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// The path of a new file in the making, hidden, in the folder where it will stand.
pub(crate) fn draft(folder: &Path) -> PathBuf {
    folder.join(format!(".{}.part", hex::encode(sealbook_crypto::random::<8>())))
}

/// Writes a file as a whole: a new one beside it, flushed to disk, then renamed over it.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let draft = draft(folder);
    let written = (|| {
        let mut file = private().write(true).create_new(true).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        sync_folder(folder)
    })();
    if written.is_err() {
        // The rest of a failed write is only litter: the error that matters is already known.
        let _ = fs::remove_file(&draft);
    }
    written
}

/// Makes renames and removals in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}
