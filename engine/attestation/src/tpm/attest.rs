//! TPMS_ATTEST with TPMS_QUOTE_INFO, parsed and written. Big endian.

use std::fmt;

use crate::bytes::{Reader, all_zero};

const TPM_GENERATED: u32 = 0xff54_4347;
const TPM_ST_ATTEST_QUOTE: u16 = 0x8018;
/// HASH_COUNT of the reference: more banks in one quote do not occur.
const MOST_BANKS: u32 = 16;

/// Why bytes are no quote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttestError {
    /// It ends too early.
    #[error("the quote ends too early")]
    Short,
    /// Something follows it.
    #[error("{0} bytes follow the quote")]
    Long(usize),
    /// It was not made by a TPM.
    #[error("it does not begin with TPM_GENERATED (ff544347) but with {0:08x}: no TPM made it")]
    Magic(u32),
    /// Another kind of attestation.
    #[error("it attests {0:#06x}, no quote (0x8018)")]
    Kind(u16),
    /// A value that is not allowed.
    #[error("{0}")]
    Value(String),
}

/// A bank of registers, by its hash (TPM_ALG_ID).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bank {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Bank {
    const ALL: [(Self, u16, &'static str, usize); 4] = [
        (Self::Sha1, 0x0004, "SHA-1", 20),
        (Self::Sha256, 0x000b, "SHA-256", 32),
        (Self::Sha384, 0x000c, "SHA-384", 48),
        (Self::Sha512, 0x000d, "SHA-512", 64),
    ];

    /// Reads an algorithm's number.
    #[must_use]
    pub fn from_id(id: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known, ..)| *known == id).map(|(bank, ..)| bank)
    }

    /// Returns the algorithm's number.
    #[must_use]
    pub fn id(self) -> u16 {
        self.row().1
    }

    /// Returns the bytes of a digest.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.row().3
    }

    fn row(self) -> (Self, u16, &'static str, usize) {
        match self {
            Self::Sha1 => Self::ALL[0],
            Self::Sha256 => Self::ALL[1],
            Self::Sha384 => Self::ALL[2],
            Self::Sha512 => Self::ALL[3],
        }
    }
}

impl fmt::Display for Bank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().2)
    }
}

/// Which registers of a bank are quoted (TPMS_PCR_SELECTION).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The bank.
    pub bank: Bank,
    /// The registers, ascending.
    pub pcrs: Vec<u8>,
}

/// A quote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attest {
    /// Qualified name of the key that signs: hash algorithm and digest.
    pub qualified_signer: Vec<u8>,
    /// The challenge.
    pub extra_data: Vec<u8>,
    /// Milliseconds that the TPM ran.
    pub clock: u64,
    /// Resets of the TPM.
    pub reset_count: u32,
    /// Restarts and resumes since.
    pub restart_count: u32,
    /// Whether the clock did not jump.
    pub safe: bool,
    /// Version of the TPM's firmware.
    pub firmware_version: u64,
    /// What is quoted.
    pub selections: Vec<Selection>,
    /// Digest of the quoted values, one after the other.
    pub pcr_digest: Vec<u8>,
}

impl Attest {
    /// Reads a quote; nothing may follow it.
    ///
    /// # Errors
    /// [`AttestError`] names what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, AttestError> {
        let mut reader = Reader::new(bytes);
        let magic = reader.u32_be().ok_or(AttestError::Short)?;
        if magic != TPM_GENERATED {
            return Err(AttestError::Magic(magic));
        }
        let kind = reader.u16_be().ok_or(AttestError::Short)?;
        if kind != TPM_ST_ATTEST_QUOTE {
            return Err(AttestError::Kind(kind));
        }
        let attest = Self::fields(&mut reader)?;
        match reader.rest().len() {
            0 => Ok(attest),
            more => Err(AttestError::Long(more)),
        }
    }

    fn fields(reader: &mut Reader<'_>) -> Result<Self, AttestError> {
        let short = || AttestError::Short;
        let qualified_signer = reader.sized_be().ok_or_else(short)?.to_vec();
        let extra_data = reader.sized_be().ok_or_else(short)?.to_vec();
        let clock = reader.u64_be().ok_or_else(short)?;
        let reset_count = reader.u32_be().ok_or_else(short)?;
        let restart_count = reader.u32_be().ok_or_else(short)?;
        let safe = match reader.u8().ok_or_else(short)? {
            0 => false,
            1 => true,
            other => return Err(AttestError::Value(format!("the clock's state is {other}, neither yes nor no"))),
        };
        let firmware_version = reader.u64_be().ok_or_else(short)?;
        let banks = reader.u32_be().ok_or_else(short)?;
        if banks > MOST_BANKS {
            return Err(AttestError::Value(format!("{banks} banks are too many")));
        }
        let mut selections = Vec::new();
        for _ in 0..banks {
            let id = reader.u16_be().ok_or_else(short)?;
            let bank =
                Bank::from_id(id).ok_or_else(|| AttestError::Value(format!("the bank {id:#06x} is not known")))?;
            let length = reader.u8().ok_or_else(short)?;
            let mask = reader.take(usize::from(length)).ok_or_else(short)?;
            if !all_zero(mask.get(3..).unwrap_or_default()) {
                return Err(AttestError::Value("it quotes registers above 23".into()));
            }
            let bits = mask.iter().zip(0_u8..3).flat_map(|(byte, index)| {
                (0..8_u8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| index * 8 + bit)
            });
            selections.push(Selection { bank, pcrs: bits.collect() });
        }
        let pcr_digest = reader.sized_be().ok_or_else(short)?.to_vec();
        Ok(Self {
            qualified_signer,
            extra_data,
            clock,
            reset_count,
            restart_count,
            safe,
            firmware_version,
            selections,
            pcr_digest,
        })
    }

    /// Writes the quote.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = TPM_GENERATED.to_be_bytes().to_vec();
        let sized = |out: &mut Vec<u8>, bytes: &[u8]| {
            out.extend(u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes());
            out.extend(bytes);
        };
        out.extend(TPM_ST_ATTEST_QUOTE.to_be_bytes());
        sized(&mut out, &self.qualified_signer);
        sized(&mut out, &self.extra_data);
        out.extend(self.clock.to_be_bytes());
        out.extend(self.reset_count.to_be_bytes());
        out.extend(self.restart_count.to_be_bytes());
        out.push(u8::from(self.safe));
        out.extend(self.firmware_version.to_be_bytes());
        out.extend(u32::try_from(self.selections.len()).unwrap_or(u32::MAX).to_be_bytes());
        for Selection { bank, pcrs } in &self.selections {
            out.extend(bank.id().to_be_bytes());
            let mask = pcrs.iter().filter(|pcr| **pcr < 24).fold(0_u32, |mask, pcr| mask | 1 << pcr).to_le_bytes();
            out.push(3);
            out.extend(mask.iter().take(3));
        }
        sized(&mut out, &self.pcr_digest);
        out
    }
}
