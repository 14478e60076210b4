//! What a confidential machine's hardware states: AMD's report, inside the report of Azure's paravisor.

use sealbook_attestation::hcl::{Hardware, HclReport, RuntimeData};
use sealbook_attestation::snp::report::{Firmware, PlatformInfo};
use sealbook_attestation::snp::{GuestPolicy, Report, Tcb};
use sealbook_crypto::Hash;
use sealbook_crypto::ec::EcKey;

use crate::refusal::Refusal;

/// What this cloud's hosts run.
pub(crate) const CURRENT: Tcb = Tcb { fmc: None, bootloader: 4, tee: 0, snp: 24, microcode: 219 };
/// What a host runs that missed its updates.
pub(crate) const OUTDATED: Tcb = Tcb { fmc: None, bootloader: 2, tee: 0, snp: 5, microcode: 68 };

/// Simultaneous multithreading allowed, bit 17 always one, firmware interface 0.31 or later (56860, table 9).
const POLICY: u64 = 0x3_001f;
/// The host may debug.
const POLICY_DEBUG: u64 = 1 << 19;
const FIRMWARE: Firmware = Firmware { major: 1, minor: 55, build: 29 };

/// What differs between reports.
pub(crate) struct Statement<'a> {
    /// Launch measurement.
    pub measurement: [u8; 48],
    /// Whether the platform signed the identity block that names the measurement.
    pub identified: bool,
    /// Whether the host may debug the guest.
    pub debug: bool,
    /// Patch levels of the host.
    pub tcb: Tcb,
    /// Its chip.
    pub chip: &'a [u8; 64],
    /// Identity of this guest for the time between two starts.
    pub report_id: [u8; 32],
}

/// The paravisor's report: a report of a Milan processor (version 3, privilege level 0) that is bound to the runtime data
/// and signed by the chip's key.
pub(crate) fn make(statement: &Statement<'_>, runtime: &RuntimeData, vcek: &EcKey) -> Result<Vec<u8>, Refusal> {
    let mut hcl =
        HclReport { version: 2, hardware: Hardware::Snp(Vec::new()), hash: Hash::Sha256, runtime: runtime.encode() };
    let first = |byte: u8| {
        let mut id = [0; 16];
        id[0] = byte;
        id
    };
    let Statement { measurement, identified, debug, tcb, chip, report_id } = *statement;
    let mut report = Report {
        version: 3,
        guest_svn: 8,
        policy: GuestPolicy(POLICY | if debug { POLICY_DEBUG } else { 0 }),
        // Azure sets these for its paravisor.
        family_id: first(1),
        image_id: first(2),
        vmpl: 0,
        signature_algorithm: 1,
        current_tcb: tcb,
        platform: PlatformInfo(1),
        key_flags: 0,
        report_data: hcl.binding(),
        measurement,
        host_data: [0; 32],
        id_key_digest: if identified { id_key_digest() } else { [0; 48] },
        author_key_digest: [0; 48],
        report_id,
        report_id_ma: [0xff; 32],
        reported_tcb: tcb,
        cpuid: Some((0x19, 0x01, 0x01)),
        chip_id: *chip,
        committed_tcb: tcb,
        current_firmware: FIRMWARE,
        committed_firmware: FIRMWARE,
        launch_tcb: tcb,
        mitigations: None,
        signature_r: [0; 72],
        signature_s: [0; 72],
    };
    let encoded = report.encode();
    let signed = encoded.get(..SIGNED).unwrap_or_default();
    report.set_signature(&vcek.sign(&Hash::Sha384.digest(signed)).map_err(Refusal::internal)?);
    hcl.hardware = Hardware::Snp(report.encode());
    Ok(hcl.encode())
}

/// Digest of the key with which this cloud's platform signs the identity blocks of what it ships (56860, §4.6): an image
/// that somebody changed has none.
pub(crate) fn id_key_digest() -> [u8; 48] {
    let mut digest = [0; 48];
    digest.copy_from_slice(Hash::Sha384.digest(b"SEALBOOK TEST identity key").as_bytes());
    digest
}

/// How much of a report is signed, in bytes (56860, table 23).
const SIGNED: usize = 0x2a0;
