//! Where a machine's TPM and its firmware's event log are.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;

/// A machine's TPM and event log.
pub trait Hardware: Send {
    /// Sends a command to the TPM and returns its response, both in the TPM's wire format (TPM 2.0 Library, part 1 §18).
    ///
    /// # Errors
    /// The device can't be reached. A refusal by the TPM is a response.
    fn transmit(&mut self, command: &[u8]) -> io::Result<Vec<u8>>;

    /// The firmware's log of what it measured (TCG PC Client Platform Firmware Profile, §10).
    ///
    /// # Errors
    /// There is none.
    fn event_log(&mut self) -> io::Result<Vec<u8>>;
}

/// The TPM of the machine that this process runs on, through Linux's resource manager.
#[derive(Debug)]
pub struct Linux {
    device: File,
    log: PathBuf,
}

/// Longest response of a TPM in bytes.
const RESPONSE: usize = 4096;

impl Linux {
    /// Opens `/dev/tpmrm0`.
    ///
    /// # Errors
    /// There is no TPM, or this process may not use it (root may, and the group `tss`).
    pub fn open() -> io::Result<Self> {
        let device = OpenOptions::new().read(true).write(true).open("/dev/tpmrm0")?;
        Ok(Self { device, log: "/sys/kernel/security/tpm0/binary_bios_measurements".into() })
    }
}

impl Hardware for Linux {
    fn transmit(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        // The driver takes a command in one write and gives its response in one read.
        self.device.write_all(command)?;
        let mut response = vec![0; RESPONSE];
        let length = self.device.read(&mut response)?;
        response.truncate(length);
        Ok(response)
    }

    fn event_log(&mut self) -> io::Result<Vec<u8>> {
        std::fs::read(&self.log)
    }
}
