//! Processor generations and the versions of their trusted computing base.

use std::fmt;

use serde_json::{Value, json};

/// A generation of AMD EPYC processors with SEV-SNP. Each has its own root key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Product {
    /// EPYC 7003, family 19h models 00h-0Fh.
    Milan,
    /// EPYC 9004 and 8004 (also Bergamo and Siena), family 19h models 10h-1Fh and A0h-AFh.
    Genoa,
    /// EPYC 9005, family 1Ah models 00h-11h.
    Turin,
}

impl Product {
    /// Every generation.
    pub const ALL: [Self; 3] = [Self::Milan, Self::Genoa, Self::Turin];

    /// Returns the name that AMD's key distribution service uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Milan => "Milan",
            Self::Genoa => "Genoa",
            Self::Turin => "Turin",
        }
    }

    /// Reads the name, in any case; what follows a hyphen is the stepping (`Milan-B0`).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.split('-').next()?;
        Self::ALL.into_iter().find(|product| product.name().eq_ignore_ascii_case(name))
    }

    /// Reads the combined family and model of CPUID `8000_0001h`.
    #[must_use]
    pub fn from_cpuid(family: u8, model: u8) -> Option<Self> {
        match (family, model) {
            (0x19, 0x00..=0x0f) => Some(Self::Milan),
            (0x19, 0x10..=0x1f | 0xa0..=0xaf) => Some(Self::Genoa),
            (0x1a, 0x00..=0x11) => Some(Self::Turin),
            _ => None,
        }
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// TCB_VERSION (SEV-SNP ABI 56860, §2.2, table 3): the security versions of the firmware parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Tcb {
    /// FMC, the first mutable code; Turin alone has it.
    pub fmc: Option<u8>,
    /// Boot loader of the security processor.
    pub bootloader: u8,
    /// Operating system of the security processor.
    pub tee: u8,
    /// SEV-SNP firmware.
    pub snp: u8,
    /// Microcode: the lowest patch level of all cores.
    pub microcode: u8,
}

impl Tcb {
    /// Reads the eight bytes in the layout of a generation; `None` when a reserved byte is not zero.
    #[must_use]
    pub fn parse(bytes: [u8; 8], turin: bool) -> Option<Self> {
        let [a, b, c, d, e, f, g, microcode] = bytes;
        if turin {
            let tcb = Self { fmc: Some(a), bootloader: b, tee: c, snp: d, microcode };
            ([e, f, g] == [0; 3]).then_some(tcb)
        } else {
            let tcb = Self { fmc: None, bootloader: a, tee: b, snp: g, microcode };
            ([c, d, e, f] == [0; 4]).then_some(tcb)
        }
    }

    /// Writes the eight bytes: Turin's layout when there is an FMC.
    #[must_use]
    pub fn encode(self) -> [u8; 8] {
        let Self { fmc, bootloader, tee, snp, microcode } = self;
        match fmc {
            Some(fmc) => [fmc, bootloader, tee, snp, 0, 0, 0, microcode],
            None => [bootloader, tee, 0, 0, 0, 0, snp, microcode],
        }
    }

    /// The parts by name.
    #[must_use]
    pub fn parts(self) -> [(&'static str, u8); 5] {
        let Self { fmc, bootloader, tee, snp, microcode } = self;
        [("fmc", fmc.unwrap_or(0)), ("bootloader", bootloader), ("tee", tee), ("snp", snp), ("microcode", microcode)]
    }

    /// The parts in which this one is older than `least`, each with both numbers.
    #[must_use]
    pub fn behind(self, least: Self) -> Vec<String> {
        let pairs = self.parts().into_iter().zip(least.parts());
        let older = pairs.filter(|((_, mine), (_, least))| mine < least);
        older.map(|((name, mine), (_, least))| format!("{name} {mine} < {least}")).collect()
    }

    /// As a fact.
    #[must_use]
    pub fn fact(self) -> Value {
        let mut fact =
            json!({ "bootloader": self.bootloader, "tee": self.tee, "snp": self.snp, "microcode": self.microcode });
        if let (Some(fmc), Some(object)) = (self.fmc, fact.as_object_mut()) {
            object.insert("fmc".into(), fmc.into());
        }
        fact
    }
}

impl fmt::Display for Tcb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fmc, bootloader, tee, snp, microcode } = self;
        if let Some(fmc) = fmc {
            write!(f, "fmc {fmc}, ")?;
        }
        write!(f, "bootloader {bootloader}, tee {tee}, snp {snp}, microcode {microcode}")
    }
}
