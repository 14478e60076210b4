//! Where a machine's TPM and its firmware's event log are.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request};
use sealbook_azure::HttpSend;
use tokio::runtime::Handle;

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

/// The hardware behind the door of a machine of the embedded Azure (`http://vtpm.internal/`).
#[derive(Debug)]
pub struct Door {
    way: Arc<dyn HttpSend>,
    runtime: Handle,
}

impl Door {
    /// Reaches the hardware by `way`. Calls wait for answers, so they come from threads that may.
    #[must_use]
    pub fn new(way: Arc<dyn HttpSend>, runtime: Handle) -> Self {
        Self { way, runtime }
    }

    fn ask(&self, method: Method, path: &str, body: Vec<u8>) -> io::Result<Vec<u8>> {
        let uri = format!("http://vtpm.internal{path}");
        let request = Request::builder().method(method).uri(uri).body(Bytes::from(body)).map_err(io::Error::other)?;
        let answer = self.runtime.block_on(self.way.send(request)).map_err(io::Error::other)?;
        match answer.status().is_success() {
            true => Ok(answer.into_body().to_vec()),
            false => Err(io::Error::other(String::from_utf8_lossy(answer.body()).trim().to_owned())),
        }
    }
}

impl Hardware for Door {
    fn transmit(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        self.ask(Method::POST, "/", command.to_vec())
    }

    fn event_log(&mut self) -> io::Result<Vec<u8>> {
        self.ask(Method::GET, "/event-log", Vec::new())
    }
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
