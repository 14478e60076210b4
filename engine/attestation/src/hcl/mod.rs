//! The report of Azure's paravisor (HCL) in a confidential VM: NV index `0x01400001` of the virtual TPM.
//!
//! It carries the hardware's report and the runtime data that the report vouches for: the virtual TPM's keys, the
//! configuration of the VM, 64 bytes from the guest. Little endian; 2600 bytes in a VM of today, 2048 in an old one:
//!
//! | offset | bytes | what |
//! | --- | --- | --- |
//! | 0 | 32 | `HCLA`, version (1 or 2), size of what counts, request type 2, status, three reserved words |
//! | 32 | 1184 | SNP report, or TDREPORT (1024) and zeros |
//! | 1216 | 20 | size of this and the runtime data, version 1, report type, hash type, size of the runtime data |
//! | 1236 | | runtime data, JSON; then zeros |

mod runtime;

pub use runtime::{RuntimeData, RuntimeError, VmConfiguration};

use sealbook_crypto::Hash;

use crate::bytes::{Reader, all_zero};
use crate::verdict::{Outcome, Verdict};

/// Bytes of the hardware report's place.
pub const HARDWARE_BYTES: usize = 1184;
/// Bytes of a TDREPORT (Intel TDX module specification, TDREPORT_STRUCT).
pub const TDREPORT_BYTES: usize = 1024;
/// Bytes of a report as the paravisor writes it today.
pub const REPORT_BYTES: usize = 2600;
const HEADER_BYTES: usize = 32;
const REQUEST_BYTES: usize = 20;
const MAGIC: &[u8; 4] = b"HCLA";
/// Nothing the virtual TPM stores is larger.
const LARGEST: usize = 64 * 1024;

/// Why bytes are no report of the paravisor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HclError {
    /// It ends too early, or is absurdly long.
    #[error("{0} bytes are no report: it ends too early or is longer than 64 KiB")]
    Length(usize),
    /// A field has a value that is not understood.
    #[error("{field} is {value}; understood is {known}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        known: &'static str,
    },
    /// Sizes that contradict each other.
    #[error("the sizes contradict each other: {0}")]
    Sizes(String),
    /// Reserved or unused bytes that hold something.
    #[error("{0} is not zero")]
    Reserved(&'static str),
}

/// The hardware's report inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hardware {
    /// SEV-SNP ATTESTATION_REPORT, 1184 bytes: signed.
    Snp(Vec<u8>),
    /// TDX TDREPORT, 1024 bytes: only the same machine can check its MAC, so it proves nothing without a quote.
    Tdx(Vec<u8>),
}

impl Hardware {
    /// Returns REPORT_DATA: the 64 bytes that the paravisor had the hardware vouch for.
    #[must_use]
    pub fn report_data(&self) -> &[u8] {
        match self {
            Self::Snp(report) => report.get(0x50..0x90).unwrap_or_default(),
            Self::Tdx(report) => report.get(128..192).unwrap_or_default(),
        }
    }
}

/// A report of the paravisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HclReport {
    /// Version of the header: 1, or 2 with TDX.
    pub version: u32,
    /// The hardware's report.
    pub hardware: Hardware,
    /// The hash of the runtime data that REPORT_DATA begins with.
    pub hash: Hash,
    /// The runtime data, JSON.
    pub runtime: Vec<u8>,
}

impl HclReport {
    /// Reads a report. Whatever follows the runtime data must be zeros.
    ///
    /// # Errors
    /// [`HclError`] names what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, HclError> {
        let length = || HclError::Length(bytes.len());
        if bytes.len() > LARGEST {
            return Err(length());
        }
        let field = |field, value: u32, known| HclError::Field { field, value: value.to_string(), known };
        let mut reader = Reader::new(bytes);
        let magic = reader.array::<4>().ok_or_else(length)?;
        if &magic != MAGIC {
            return Err(HclError::Field { field: "the signature", value: hex::encode(magic), known: "HCLA" });
        }
        let mut word = || reader.u32_le().ok_or_else(length);
        let (version, report_size, request, status) = (word()?, word()?, word()?, word()?);
        if !matches!(version, 1 | 2) {
            return Err(field("the version", version, "1 and 2"));
        }
        if request != 2 {
            return Err(field("the request type", request, "2"));
        }
        if status != 0 {
            return Err(field("the status", status, "0: success"));
        }
        if !all_zero(reader.take(12).ok_or_else(length)?) {
            return Err(HclError::Reserved("a reserved word of the header"));
        }
        let hardware = reader.take(HARDWARE_BYTES).ok_or_else(length)?;
        let mut word = || reader.u32_le().ok_or_else(length);
        let (data_size, request_version, report_type, hash_type, size) = (word()?, word()?, word()?, word()?, word()?);
        if request_version != 1 {
            return Err(field("the version of the request data", request_version, "1"));
        }
        let hash = match hash_type {
            1 => Hash::Sha256,
            2 => Hash::Sha384,
            3 => Hash::Sha512,
            other => return Err(field("the hash type", other, "1 (SHA-256), 2 (SHA-384) and 3 (SHA-512)")),
        };
        let runtime = usize::try_from(size)
            .ok()
            .and_then(|size| reader.take(size))
            .ok_or_else(|| HclError::Sizes(format!("{size} bytes of runtime data do not fit into {}", bytes.len())))?;
        let counted = |fixed: usize, stated: u32| usize::try_from(stated).ok() == fixed.checked_add(runtime.len());
        if !counted(REQUEST_BYTES, data_size) || !counted(HEADER_BYTES + HARDWARE_BYTES + REQUEST_BYTES, report_size) {
            let stated = format!("{report_size} in all, {data_size} of request, {size} of runtime data");
            return Err(HclError::Sizes(stated));
        }
        if !all_zero(reader.rest()) {
            return Err(HclError::Reserved("what follows the runtime data"));
        }
        let hardware = match report_type {
            2 => Hardware::Snp(hardware.to_vec()),
            4 => {
                let (report, rest) = hardware.split_at_checked(TDREPORT_BYTES).ok_or_else(length)?;
                if !all_zero(rest) {
                    return Err(HclError::Reserved("what follows the TDREPORT"));
                }
                Hardware::Tdx(report.to_vec())
            }
            other => return Err(field("the report type", other, "2 (SEV-SNP) and 4 (TDX)")),
        };
        Ok(Self { version, hardware, hash, runtime: runtime.to_vec() })
    }

    /// Writes the report, with zeros up to [`REPORT_BYTES`] (or as long as the runtime data takes).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let size = u32::try_from(self.runtime.len()).unwrap_or(u32::MAX);
        let fixed = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).saturating_add(size);
        let (report, kind) = match &self.hardware {
            Hardware::Snp(report) => (report, 2_u32),
            Hardware::Tdx(report) => (report, 4),
        };
        let hash: u32 = match self.hash {
            Hash::Sha256 => 1,
            Hash::Sha384 => 2,
            Hash::Sha512 => 3,
        };
        let mut out = MAGIC.to_vec();
        for word in [self.version, fixed(HEADER_BYTES + HARDWARE_BYTES + REQUEST_BYTES), 2, 0, 0, 0, 0] {
            out.extend(word.to_le_bytes());
        }
        out.extend(report);
        out.resize(HEADER_BYTES + HARDWARE_BYTES, 0);
        for word in [fixed(REQUEST_BYTES), 1, kind, hash, size] {
            out.extend(word.to_le_bytes());
        }
        out.extend(&self.runtime);
        if out.len() < REPORT_BYTES {
            out.resize(REPORT_BYTES, 0);
        }
        out
    }

    /// What REPORT_DATA must be: the hash of the runtime data, then zeros.
    #[must_use]
    pub fn binding(&self) -> [u8; 64] {
        binding(self.hash, &self.runtime)
    }
}

/// REPORT_DATA for runtime data: its hash, then zeros.
#[must_use]
pub fn binding(hash: Hash, runtime: &[u8]) -> [u8; 64] {
    let mut data = [0; 64];
    for (to, from) in data.iter_mut().zip(hash.digest(runtime).as_bytes()) {
        *to = *from;
    }
    data
}

/// Demands on the VM's configuration. By default none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// Secure boot must be on.
    pub require_secure_boot: bool,
    /// The serial console must be off.
    pub forbid_console: bool,
    /// The virtual TPM's state must not outlive the VM's memory (`tpm-persisted` false or absent).
    pub forbid_persisted_tpm: bool,
    /// The VM's id (`vmUniqueId`), in any case.
    pub vm_id: Option<String>,
    /// The 64 bytes that the guest put into the virtual TPM.
    pub user_data: Option<[u8; 64]>,
}

impl Rules {
    /// Notes `hcl.secure_boot`, `hcl.console`, `hcl.tpm`, `hcl.vm_id` and `hcl.user_data`.
    pub(crate) fn judge(&self, runtime: &RuntimeData, verdict: &mut Verdict) {
        let vm = &runtime.vm_configuration;
        let demanded = |name: &str, demanded: bool, holds: bool, detail: &str, verdict: &mut Verdict| match demanded {
            true => _ = verdict.check(name, holds, detail),
            false => verdict.note(name, Outcome::NotApplicable, format!("{detail}; nothing was demanded")),
        };
        let on = |value: bool| if value { "on" } else { "off" };
        let secure_boot = format!("secure boot is {}", on(vm.secure_boot));
        demanded("hcl.secure_boot", self.require_secure_boot, vm.secure_boot, &secure_boot, verdict);
        let console = format!("the console is {}", on(vm.console_enabled));
        demanded("hcl.console", self.forbid_console, !vm.console_enabled, &console, verdict);
        let persisted = vm.tpm_persisted.unwrap_or(false);
        let detail =
            if persisted { "the TPM's state is stored" } else { "the TPM's state lives as long as the VM runs" };
        verdict.check(
            "hcl.tpm",
            vm.tpm_enabled && !(persisted && self.forbid_persisted_tpm),
            if vm.tpm_enabled { detail } else { "the VM has no virtual TPM" },
        );
        let seen = &vm.vm_unique_id;
        let id = self.vm_id.as_ref();
        let expected = id.map(|id| format!(", demanded was {id}")).unwrap_or_default();
        let same = id.is_some_and(|id| id.eq_ignore_ascii_case(seen));
        demanded("hcl.vm_id", id.is_some(), same, &format!("the VM is {seen}{expected}"), verdict);
        let seen = runtime.user_data.map(hex::encode);
        let seen = seen.unwrap_or_else(|| "absent".into());
        let same = self.user_data.is_some() && self.user_data == runtime.user_data;
        demanded("hcl.user_data", self.user_data.is_some(), same, &format!("the guest's data is {seen}"), verdict);
    }
}
