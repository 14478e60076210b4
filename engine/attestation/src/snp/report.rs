//! ATTESTATION_REPORT (SEV-SNP ABI specification 56860, §7.3, table 23): parsed and written.

use std::fmt;

use serde_json::{Value, json};

use super::product::{Product, Tcb};
use crate::bytes::{Reader, all_zero};

/// Bytes of a report.
pub const REPORT_BYTES: usize = 0x4a0;
/// Bytes that are signed: everything before the signature.
pub const SIGNED_BYTES: usize = 0x2a0;
/// Versions of the layout that are understood.
pub const VERSIONS: [u32; 3] = [2, 3, 5];

/// Why bytes are no report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// Another length.
    #[error("a report has {REPORT_BYTES} bytes, this has {0}")]
    Length(usize),
    /// Another version of the layout.
    #[error("version {0} of the report is not understood; 2, 3 and 5 are")]
    Version(u32),
    /// A processor that is not known.
    #[error("family {family:#04x} model {model:#04x} is no processor generation that is known")]
    Processor {
        /// Combined family.
        family: u8,
        /// Combined model.
        model: u8,
    },
    /// A reserved field holds something: a layout that is newer than this reader, or nonsense.
    #[error("reserved bytes at {0:#x} are not zero")]
    Reserved(usize),
}

/// POLICY: what the owner lets the host do (table 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GuestPolicy(pub u64);

impl GuestPolicy {
    /// The bits with a meaning: name, and what a set bit says. Bit 17 is always one.
    const BITS: [(u32, &'static str); 9] = [
        (16, "smt_allowed"),
        (18, "migration_agent_allowed"),
        (19, "debug_allowed"),
        (20, "single_socket_required"),
        (21, "cxl_allowed"),
        (22, "aes_256_xts_required"),
        (23, "rapl_disabled"),
        (24, "ciphertext_hiding_required"),
        (25, "page_swap_disabled"),
    ];

    /// Least version of the firmware's interface: major, minor.
    #[must_use]
    pub fn abi(self) -> (u8, u8) {
        let [minor, major, ..] = self.0.to_le_bytes();
        (major, minor)
    }

    /// Whether a bit is set, by its name in [`Self::fact`]; `false` for another name.
    #[must_use]
    pub fn has(self, name: &str) -> bool {
        Self::BITS.iter().any(|(bit, known)| *known == name && self.0 >> bit & 1 == 1)
    }

    /// Set bits whose meaning is not known here. Bit 17 belongs to them when it is zero.
    #[must_use]
    pub fn unknown(self) -> u64 {
        let known = Self::BITS.iter().fold(0xffff, |mask, (bit, _)| mask | 1 << bit);
        (self.0 ^ 1 << 17) & !known
    }

    /// As a fact: every bit in words.
    #[must_use]
    pub fn fact(self) -> Value {
        let (major, minor) = self.abi();
        let mut fact = json!({ "value": format!("{:#x}", self.0), "abi": format!("{major}.{minor}") });
        if let Some(object) = fact.as_object_mut() {
            object.extend(Self::BITS.iter().map(|(_, name)| ((*name).to_owned(), Value::Bool(self.has(name)))));
        }
        fact
    }
}

/// PLATFORM_INFO (table 24): how the host is set up. Bits without a name are shown, not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlatformInfo(pub u64);

impl PlatformInfo {
    /// As a fact: every bit in words.
    #[must_use]
    pub fn fact(self) -> Value {
        let bit = |bit: u32| self.0 >> bit & 1 == 1;
        json!({
            "value": format!("{:#x}", self.0),
            "smt_enabled": bit(0),
            "tsme_enabled": bit(1),
            "ecc_enabled": bit(2),
            "rapl_disabled": bit(3),
            "ciphertext_hiding_enabled": bit(4),
            "alias_check_complete": bit(5),
            "tio_enabled": bit(7),
        })
    }
}

/// The key that signed a report (SIGNING_KEY of the flags at 48h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SigningKey {
    /// Versioned chip endorsement key: derived from the chip's secret and the TCB.
    Vcek,
    /// Versioned loaded endorsement key: given to a cloud provider by AMD.
    Vlek,
    /// None: the report is not signed.
    None,
    /// A value without meaning.
    Unknown(u8),
}

impl fmt::Display for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vcek => f.write_str("VCEK"),
            Self::Vlek => f.write_str("VLEK"),
            Self::None => f.write_str("none"),
            Self::Unknown(value) => write!(f, "unknown ({value})"),
        }
    }
}

/// Version of the firmware: major, minor, build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Firmware {
    /// Major.
    pub major: u8,
    /// Minor.
    pub minor: u8,
    /// Build.
    pub build: u8,
}

impl fmt::Display for Firmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.build)
    }
}

/// A report, field by field, in the order of its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// VERSION of the layout.
    pub version: u32,
    /// GUEST_SVN: security version of the guest's image.
    pub guest_svn: u32,
    /// POLICY.
    pub policy: GuestPolicy,
    /// FAMILY_ID, given at launch.
    pub family_id: [u8; 16],
    /// IMAGE_ID, given at launch.
    pub image_id: [u8; 16],
    /// Privilege level that asked for the report, 0 the highest; `0xffff_ffff` when the host asked.
    pub vmpl: u32,
    /// SIGNATURE_ALGO: 1 is ECDSA P-384 with SHA-384.
    pub signature_algorithm: u32,
    /// CURRENT_TCB: what runs.
    pub current_tcb: Tcb,
    /// PLATFORM_INFO.
    pub platform: PlatformInfo,
    /// Flags at 48h: AUTHOR_KEY_EN (bit 0), MASK_CHIP_KEY (bit 1), SIGNING_KEY (bits 2 to 4).
    pub key_flags: u32,
    /// REPORT_DATA: 64 bytes from whoever asked.
    pub report_data: [u8; 64],
    /// MEASUREMENT of the guest at launch, SHA-384.
    pub measurement: [u8; 48],
    /// HOST_DATA, given by the host at launch.
    pub host_data: [u8; 32],
    /// SHA-384 of the key that signed the ID block.
    pub id_key_digest: [u8; 48],
    /// SHA-384 of the key that certified the ID key; zero without one.
    pub author_key_digest: [u8; 48],
    /// REPORT_ID of this guest.
    pub report_id: [u8; 32],
    /// REPORT_ID of its migration agent; all ones without one.
    pub report_id_ma: [u8; 32],
    /// REPORTED_TCB: the one that the signing key is derived for.
    pub reported_tcb: Tcb,
    /// CPUID family, model and stepping; since version 3.
    pub cpuid: Option<(u8, u8, u8)>,
    /// CHIP_ID; zero when it is masked.
    pub chip_id: [u8; 64],
    /// COMMITTED_TCB: what cannot be rolled back.
    pub committed_tcb: Tcb,
    /// Firmware that runs.
    pub current_firmware: Firmware,
    /// Firmware that cannot be rolled back.
    pub committed_firmware: Firmware,
    /// LAUNCH_TCB: what ran when the guest was launched.
    pub launch_tcb: Tcb,
    /// LAUNCH_MIT_VECTOR and CURRENT_MIT_VECTOR: mitigations at launch and now; since version 5.
    pub mitigations: Option<(u64, u64)>,
    /// The signature's R, 72 bytes, the lowest first.
    pub signature_r: [u8; 72],
    /// The signature's S, likewise.
    pub signature_s: [u8; 72],
}

impl Report {
    /// Reads a report.
    ///
    /// # Errors
    /// [`ReportError`] names what is wrong. Nothing is known of the signature yet.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReportError> {
        if bytes.len() != REPORT_BYTES {
            return Err(ReportError::Length(bytes.len()));
        }
        Layout { reader: Reader::new(bytes), total: bytes.len(), reserved: None }.read()
    }

    /// Writes the report's bytes. Reserved fields are zero.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(REPORT_BYTES);
        let firmware = |firmware: Firmware| [firmware.build, firmware.minor, firmware.major, 0];
        out.extend(self.version.to_le_bytes());
        out.extend(self.guest_svn.to_le_bytes());
        out.extend(self.policy.0.to_le_bytes());
        out.extend(self.family_id);
        out.extend(self.image_id);
        out.extend(self.vmpl.to_le_bytes());
        out.extend(self.signature_algorithm.to_le_bytes());
        out.extend(self.current_tcb.encode());
        out.extend(self.platform.0.to_le_bytes());
        out.extend(self.key_flags.to_le_bytes());
        out.extend([0; 4]);
        out.extend(self.report_data);
        out.extend(self.measurement);
        out.extend(self.host_data);
        out.extend(self.id_key_digest);
        out.extend(self.author_key_digest);
        out.extend(self.report_id);
        out.extend(self.report_id_ma);
        out.extend(self.reported_tcb.encode());
        let (family, model, stepping) = self.cpuid.unwrap_or_default();
        out.extend([family, model, stepping]);
        out.extend([0; 21]);
        out.extend(self.chip_id);
        out.extend(self.committed_tcb.encode());
        out.extend(firmware(self.current_firmware));
        out.extend(firmware(self.committed_firmware));
        out.extend(self.launch_tcb.encode());
        let (launch, current) = self.mitigations.unwrap_or_default();
        out.extend(launch.to_le_bytes());
        out.extend(current.to_le_bytes());
        out.resize(SIGNED_BYTES, 0);
        out.extend(self.signature_r);
        out.extend(self.signature_s);
        out.resize(REPORT_BYTES, 0);
        out
    }

    /// Takes over a signature `r ‖ s` with numbers of 48 bytes, the highest first.
    pub fn set_signature(&mut self, signature: &[u8]) {
        let (r, s) = signature.split_at(signature.len() / 2);
        for (field, number) in [(&mut self.signature_r, r), (&mut self.signature_s, s)] {
            *field = [0; 72];
            for (to, from) in field.iter_mut().zip(number.iter().rev()) {
                *to = *from;
            }
        }
    }

    /// Returns the signature as `r ‖ s` with numbers of 48 bytes, the highest first; `None` when one is longer.
    #[must_use]
    pub fn signature(&self) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(96);
        for number in [&self.signature_r, &self.signature_s] {
            let (number, above) = number.split_at_checked(48)?;
            all_zero(above).then_some(())?;
            out.extend(number.iter().rev());
        }
        Some(out)
    }

    /// Returns the key that signed.
    #[must_use]
    pub fn signing_key(&self) -> SigningKey {
        match self.key_flags >> 2 & 7 {
            0 => SigningKey::Vcek,
            1 => SigningKey::Vlek,
            7 => SigningKey::None,
            other => SigningKey::Unknown(other.to_le_bytes()[0]),
        }
    }

    /// Returns the processor generation, as far as the report says it (since version 3).
    #[must_use]
    pub fn product(&self) -> Option<Product> {
        self.cpuid.and_then(|(family, model, _)| Product::from_cpuid(family, model))
    }
}

struct Layout<'a> {
    reader: Reader<'a>,
    total: usize,
    reserved: Option<usize>,
}

impl Layout<'_> {
    fn read(mut self) -> Result<Report, ReportError> {
        let version = self.u32()?;
        if !VERSIONS.contains(&version) {
            return Err(ReportError::Version(version));
        }
        // The TCB's layout depends on the processor, which stands further back: at 188h, and before version 3 nowhere.
        // Turin's chips have ids of eight bytes.
        let ahead = self.reader.rest();
        let at = |offset: usize| ahead.get(offset - 4).copied().unwrap_or(0);
        let turin = if version >= 3 {
            let (family, model) = (at(0x188), at(0x189));
            let product = Product::from_cpuid(family, model).ok_or(ReportError::Processor { family, model })?;
            product == Product::Turin
        } else {
            let chip = ahead.get(0x1a0 - 4..0x1e0 - 4).unwrap_or_default();
            !all_zero(chip) && all_zero(chip.get(8..).unwrap_or_default())
        };
        let report = Report {
            version,
            guest_svn: self.u32()?,
            policy: GuestPolicy(self.u64()?),
            family_id: self.array()?,
            image_id: self.array()?,
            vmpl: self.u32()?,
            signature_algorithm: self.u32()?,
            current_tcb: self.tcb(turin)?,
            platform: PlatformInfo(self.u64()?),
            key_flags: self.u32()?,
            report_data: self.zero::<4, _>(Self::array)?,
            measurement: self.array()?,
            host_data: self.array()?,
            id_key_digest: self.array()?,
            author_key_digest: self.array()?,
            report_id: self.array()?,
            report_id_ma: self.array()?,
            reported_tcb: self.tcb(turin)?,
            cpuid: self.cpuid(version)?,
            chip_id: self.zero::<21, _>(Self::array)?,
            committed_tcb: self.tcb(turin)?,
            current_firmware: self.firmware()?,
            committed_firmware: self.firmware()?,
            launch_tcb: self.tcb(turin)?,
            mitigations: self.mitigations(version)?,
            signature_r: self.zero::<152, _>(Self::array)?,
            signature_s: self.array()?,
        };
        self.zero::<368, _>(|_| Ok(()))?;
        match self.reserved {
            Some(offset) => Err(ReportError::Reserved(offset)),
            None if report.key_flags >> 5 != 0 => Err(ReportError::Reserved(0x48)),
            None => Ok(report),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ReportError> {
        self.reader.array().ok_or(ReportError::Length(self.total))
    }

    fn u32(&mut self) -> Result<u32, ReportError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, ReportError> {
        self.array().map(u64::from_le_bytes)
    }

    /// Skips `N` reserved bytes, remembers where they are not zero, and reads what follows.
    fn zero<const N: usize, T>(
        &mut self,
        then: impl FnOnce(&mut Self) -> Result<T, ReportError>,
    ) -> Result<T, ReportError> {
        let offset = self.total.saturating_sub(self.reader.rest().len());
        if !all_zero(&self.array::<N>()?) {
            self.reserved.get_or_insert(offset);
        }
        then(self)
    }

    fn tcb(&mut self, turin: bool) -> Result<Tcb, ReportError> {
        let offset = self.total.saturating_sub(self.reader.rest().len());
        let bytes = self.array()?;
        Tcb::parse(bytes, turin).ok_or(ReportError::Reserved(offset))
    }

    fn cpuid(&mut self, version: u32) -> Result<Option<(u8, u8, u8)>, ReportError> {
        if version < 3 {
            return self.zero::<3, _>(|_| Ok(None));
        }
        let [family, model, stepping] = self.array()?;
        Ok(Some((family, model, stepping)))
    }

    fn firmware(&mut self) -> Result<Firmware, ReportError> {
        let [build, minor, major] = self.array()?;
        self.zero::<1, _>(|_| Ok(Firmware { major, minor, build }))
    }

    fn mitigations(&mut self, version: u32) -> Result<Option<(u64, u64)>, ReportError> {
        if version < 5 {
            return self.zero::<16, _>(|_| Ok(None));
        }
        Ok(Some((self.u64()?, self.u64()?)))
    }
}
