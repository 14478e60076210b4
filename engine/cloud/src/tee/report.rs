//! Attestation reports of AMD SEV-SNP, and the report of Azure's paravisor that carries one.
//!
//! Sources: AMD, SEV Secure Nested Paging Firmware ABI Specification (56860) revision 1.58, tables 3, 9, 23 and 140;
//! <https://learn.microsoft.com/azure/confidential-computing/guest-attestation-confidential-vms>.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealbook_crypto::Hash;
use sealbook_crypto::ec::EcKey;
use sealbook_crypto::rsa::RsaPublic;
use serde_json::{Value, json};

use crate::refusal::Refusal;

/// Length of a report in bytes.
pub(crate) const REPORT: usize = 1184;
/// How much of a report is signed, in bytes.
const SIGNED: usize = 0x2a0;
/// Length of a number in a signature: 384 bits in a field of 576.
const NUMBER: usize = 72;
/// Length of the paravisor's report in bytes.
const HCL: usize = 2600;

/// Security patch levels of a chip's firmware, in the order of `TCB_VERSION`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tcb {
    /// Boot loader of the secure processor.
    pub boot_loader: u8,
    /// Operating system of the secure processor.
    pub tee: u8,
    /// SNP firmware.
    pub snp: u8,
    /// Microcode.
    pub microcode: u8,
}

impl Tcb {
    /// What this cloud's hosts run.
    pub const CURRENT: Self = Self { boot_loader: 4, tee: 0, snp: 24, microcode: 219 };
    /// What a host runs that missed its updates.
    pub const OUTDATED: Self = Self { boot_loader: 2, tee: 0, snp: 5, microcode: 68 };

    /// `TCB_VERSION`: eight bytes, little endian, four of them reserved.
    pub fn bytes(self) -> [u8; 8] {
        [self.boot_loader, self.tee, 0, 0, 0, 0, self.snp, self.microcode]
    }
}

/// What a report states.
#[derive(Debug)]
pub(crate) struct Statement<'a> {
    /// What the guest's software binds to it.
    pub report_data: [u8; 64],
    /// Launch measurement.
    pub measurement: [u8; 48],
    /// Whether the host may debug the guest.
    pub debug: bool,
    /// Patch levels.
    pub tcb: Tcb,
    /// The chip.
    pub chip: &'a [u8; 64],
    /// Identity of this guest for the time between two boots.
    pub report_id: [u8; 32],
}

/// Guest policy (table 9): simultaneous multithreading allowed, bit 17 always one, firmware ABI 0.31 or later.
const POLICY: u64 = 0x3_001f;
/// The bit of the guest policy that lets the host debug.
const POLICY_DEBUG: u64 = 1 << 19;

/// A signed report (table 23), version 3, of a Milan processor at VMPL 0.
pub(crate) fn sign(statement: &Statement<'_>, vcek: &EcKey) -> Result<Vec<u8>, Refusal> {
    let mut report = vec![0; REPORT];
    let mut put = |offset: usize, bytes: &[u8]| {
        if let Some(place) = report.get_mut(offset..offset + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    let policy = POLICY | if statement.debug { POLICY_DEBUG } else { 0 };
    let tcb = statement.tcb.bytes();
    put(0x000, &3_u32.to_le_bytes());
    put(0x004, &8_u32.to_le_bytes()); // guest SVN, which Azure sets for its paravisor
    put(0x008, &policy.to_le_bytes());
    put(0x010, &[1]); // family id and image id, which Azure sets alike
    put(0x020, &[2]);
    put(0x034, &1_u32.to_le_bytes()); // ECDSA P-384 with SHA-384
    put(0x038, &tcb);
    put(0x040, &1_u64.to_le_bytes()); // simultaneous multithreading is on
    put(0x050, &statement.report_data);
    put(0x090, &statement.measurement);
    put(0x140, &statement.report_id);
    put(0x160, &[0xff; 32]); // no migration agent
    put(0x180, &tcb);
    put(0x188, &[0x19, 0x01, 0x01]); // CPUID family, model, stepping
    put(0x1a0, statement.chip);
    put(0x1e0, &tcb);
    let firmware = [29, 55, 1]; // build, minor, major
    put(0x1e8, &firmware);
    put(0x1ec, &firmware);
    put(0x1f0, &tcb);
    let signature = vcek.sign(&Hash::Sha384.digest(&report[..SIGNED])).map_err(Refusal::internal)?;
    let (r, s) = signature.split_at(signature.len() / 2);
    for (i, number) in [r, s].into_iter().enumerate() {
        let little: Vec<u8> = number.iter().rev().copied().collect();
        let start = SIGNED + i * NUMBER;
        report[start..start + little.len()].copy_from_slice(&little);
    }
    Ok(report)
}

/// What the paravisor says of itself and the machine: the runtime data that a report is bound to.
pub(crate) struct Runtime<'a> {
    /// Attestation key of the virtual TPM.
    pub ak: &'a RsaPublic,
    /// Endorsement key of the virtual TPM.
    pub ek: &'a RsaPublic,
    /// Whether secure boot is on.
    pub secure_boot: bool,
    /// Azure's id of the machine.
    pub vm_id: &'a str,
    /// What the guest wrote for its next report.
    pub user_data: [u8; 64],
}

impl Runtime<'_> {
    /// The JSON document, in the order in which Azure writes it.
    pub fn document(&self) -> Value {
        let key = |kid: &str, operation: &str, key: &RsaPublic| {
            json!({
                "kid": kid,
                "key_ops": [operation],
                "kty": "RSA",
                "e": URL_SAFE_NO_PAD.encode(&key.e),
                "n": URL_SAFE_NO_PAD.encode(&key.n),
            })
        };
        json!({
            "keys": [key("HCLAkPub", "sign", self.ak), key("HCLEkPub", "encrypt", self.ek)],
            "vm-configuration": {
                "console-enabled": true,
                "secure-boot": self.secure_boot,
                "tpm-enabled": true,
                "tpm-persisted": true,
                "vmUniqueId": self.vm_id.to_ascii_uppercase(),
            },
            "user-data": hex::encode_upper(self.user_data),
        })
    }
}

/// What a report is bound to: SHA-256 of the runtime data, and zeros.
pub(crate) fn report_data(runtime: &[u8]) -> [u8; 64] {
    let mut data = [0; 64];
    data[..32].copy_from_slice(&sealbook_crypto::sha256(runtime));
    data
}

/// The paravisor's report: header, hardware report, request data, runtime data, and zeros up to its fixed length.
pub(crate) fn hcl(report: &[u8], runtime: &[u8]) -> Result<Vec<u8>, Refusal> {
    const HEADER: usize = 32;
    const REQUEST: usize = 20;
    let length = HEADER + REPORT + REQUEST + runtime.len();
    if report.len() != REPORT || length > HCL {
        return Err(Refusal::internal("the runtime data does not fit the paravisor's report"));
    }
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    let mut out = Vec::with_capacity(HCL);
    out.extend_from_slice(b"HCLA");
    // Version, length, request type, status, reserved.
    for field in [2, length, 2, 0, 0, 0, 0] {
        out.extend_from_slice(&number(field));
    }
    out.extend_from_slice(report);
    // Length with this header, version, SNP report, SHA-256, length of the runtime data.
    for field in [REQUEST + runtime.len(), 1, 2, 1, runtime.len()] {
        out.extend_from_slice(&number(field));
    }
    out.extend_from_slice(runtime);
    out.resize(HCL, 0);
    Ok(out)
}
