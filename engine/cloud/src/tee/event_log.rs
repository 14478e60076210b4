//! The firmware's log of what it measured, in the crypto-agile form with SHA-256 alone.
//!
//! Source: TCG PC Client Platform Firmware Profile Specification, §10.2 (`TCG_PCR_EVENT2`), §10.4 (event types).

use sealbook_attestation::event_log::{self, Event};
use sealbook_crypto::sha256;

const SEPARATOR: u32 = 0x4;
const S_CRTM_VERSION: u32 = 0x8;
const IPL: u32 = 0xd;
const EFI_VARIABLE_DRIVER_CONFIG: u32 = 0x8000_0001;
const EFI_BOOT_SERVICES_APPLICATION: u32 = 0x8000_0003;
const EFI_VARIABLE_AUTHORITY: u32 = 0x8000_00e0;

/// `EFI_GLOBAL_VARIABLE`, the namespace of SecureBoot, PK and KEK, as it lies in memory.
const GLOBAL: [u8; 16] =
    [0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c];
/// `EFI_IMAGE_SECURITY_DATABASE_GUID`, the namespace of db and dbx.
const DATABASE: [u8; 16] =
    [0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45, 0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f];
/// `EFI_CERT_SHA256_GUID`, the kind of signature that is a digest.
const DIGESTS: [u8; 16] =
    [0x26, 0x16, 0xc4, 0xc1, 0x4c, 0x50, 0x92, 0x40, 0xac, 0xa9, 0x41, 0xf9, 0x36, 0x93, 0x43, 0x28];

/// A log that is being written.
pub(crate) struct EventLog(Vec<Event>);

fn little(n: usize) -> [u8; 4] {
    u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// `UEFI_VARIABLE_DATA`.
fn variable_data(name: &str, value: &[u8]) -> Vec<u8> {
    let namespace = if name.starts_with("db") { DATABASE } else { GLOBAL };
    let mut data = namespace.to_vec();
    data.extend_from_slice(&(name.encode_utf16().count() as u64).to_le_bytes());
    data.extend_from_slice(&(value.len() as u64).to_le_bytes());
    data.extend_from_slice(&utf16(name));
    data.extend_from_slice(value);
    data
}

/// `EFI_SIGNATURE_LIST` with one digest.
pub(crate) fn signature_list(digest: [u8; 32]) -> Vec<u8> {
    const SIGNATURE: usize = 16 + 32;
    let mut list = DIGESTS.to_vec();
    for number in [28 + SIGNATURE, 0, SIGNATURE] {
        list.extend_from_slice(&little(number));
    }
    list.extend_from_slice(&GLOBAL);
    list.extend_from_slice(&digest);
    list
}

impl EventLog {
    /// An empty log.
    pub fn new() -> Self {
        Self(Vec::new())
    }

    fn push(&mut self, pcr: u8, kind: u32, digest: [u8; 32], data: Vec<u8>) {
        self.0.push(Event { pcr, kind, digest, data });
    }

    fn measured(&mut self, pcr: u8, kind: u32, data: Vec<u8>) {
        self.push(pcr, kind, sha256(&data), data);
    }

    /// `EV_S_CRTM_VERSION`.
    pub fn firmware_version(&mut self, pcr: u8, version: &str) {
        self.measured(pcr, S_CRTM_VERSION, utf16(&format!("{version}\0")));
    }

    /// `EV_EFI_VARIABLE_DRIVER_CONFIG`.
    pub fn variable(&mut self, pcr: u8, name: &str, value: &[u8]) {
        self.measured(pcr, EFI_VARIABLE_DRIVER_CONFIG, variable_data(name, value));
    }

    /// `EV_EFI_VARIABLE_AUTHORITY`: the entry of a database that let something start.
    pub fn authority(&mut self, pcr: u8, name: &str, digest: [u8; 32]) {
        let entry = [&GLOBAL[..], &digest].concat();
        self.measured(pcr, EFI_VARIABLE_AUTHORITY, variable_data(name, &entry));
    }

    /// `EV_SEPARATOR`.
    pub fn separator(&mut self, pcr: u8) {
        self.measured(pcr, SEPARATOR, vec![0; 4]);
    }

    /// `EV_EFI_BOOT_SERVICES_APPLICATION` of a program with this digest. Its event is a `UEFI_IMAGE_LOAD_EVENT` without a
    /// device path.
    pub fn application(&mut self, pcr: u8, digest: [u8; 32]) {
        self.push(pcr, EFI_BOOT_SERVICES_APPLICATION, digest, vec![0; 32]);
    }

    /// `EV_IPL`, as boot loaders use it.
    pub fn loader(&mut self, pcr: u8, what: &[u8]) {
        self.measured(pcr, IPL, what.to_vec());
    }

    /// What is extended into which register, in order.
    pub fn digests(&self) -> impl Iterator<Item = (usize, [u8; 32])> + '_ {
        self.0.iter().map(|event| (usize::from(event.pcr), event.digest))
    }

    /// The bytes of the log, as Linux shows them in `binary_bios_measurements`.
    pub fn bytes(&self) -> Vec<u8> {
        event_log::encode(&self.0)
    }
}
