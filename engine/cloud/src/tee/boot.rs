//! What a confidential machine boots: what is measured, by the processor into the launch measurement and by the
//! firmware into the registers of the virtual TPM.

use sealbook_crypto::{Hash, sha256};
use serde::{Deserialize, Serialize};

use super::event_log::{EventLog, signature_list};

/// Number of platform configuration registers.
pub(crate) const PCRS: usize = 24;
/// Version of this cloud's paravisor and firmware.
const FIRMWARE: &str = "Sealbook test firmware 1.0";

/// A machine's state at its last boot. It holds until the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Boot {
    /// How many times the machine was started, this time included.
    pub number: u32,
    /// Image of the OS disk, `publisher:offer:sku:version`; the disk's id when it has none.
    pub image: String,
    /// Whether secure boot is on.
    pub secure_boot: bool,
    /// Azure's id of the machine.
    pub vm_id: String,
    /// Whether the host may debug the guest.
    pub debug: bool,
    /// Whether the image was changed by somebody.
    pub tampered: bool,
    /// Whether the host misses its updates.
    pub outdated: bool,
}

impl Boot {
    /// The launch measurement: SHA-384 of what the processor loads, which here are the firmware, the image and the
    /// firmware's settings. It tells machines of different images apart; Azure's own tells versions of its paravisor apart.
    pub fn measurement(&self) -> [u8; 48] {
        let loaded = format!("{FIRMWARE}\nimage {}\nsecure boot {}\nvTPM true\n", self.content("os"), self.secure_boot);
        let digest = Hash::Sha384.digest(loaded.as_bytes());
        let mut out = [0; 48];
        out.copy_from_slice(digest.as_bytes());
        out
    }

    /// Digest of a part of the image, in hexadecimal.
    fn content(&self, part: &str) -> String {
        let changed = if self.tampered { " changed" } else { "" };
        hex::encode(sha256(format!("{}/{part}{changed}", self.image).as_bytes()))
    }

    /// What the firmware measures, in order. Replaying it gives [`Boot::pcrs`].
    pub fn events(&self) -> EventLog {
        let mut log = EventLog::new();
        log.firmware_version(0, FIRMWARE);
        log.variable(7, "SecureBoot", &[u8::from(self.secure_boot)]);
        for name in ["PK", "KEK", "db", "dbx"] {
            log.variable(7, name, &factory_variable(name));
        }
        (0..8).for_each(|pcr| log.separator(pcr));
        if self.secure_boot {
            log.authority(7, "db", factory_digest("db"));
        }
        for part in ["shim", "grub", "kernel"] {
            log.application(4, sha256(self.content(part).as_bytes()));
        }
        log.loader(8, format!("kernel_cmdline: root=LABEL=cloudimg-rootfs image={}", self.image).as_bytes());
        log.loader(9, format!("vmlinuz {}", self.content("kernel")).as_bytes());
        log.loader(9, format!("initrd {}", self.content("initrd")).as_bytes());
        log
    }

    /// The registers after boot: those of the dynamic root of trust all ones, the others extended from zero.
    pub fn pcrs(&self) -> [[u8; 32]; PCRS] {
        let mut pcrs = [[0; 32]; PCRS];
        pcrs[17..23].fill([0xff; 32]);
        for (pcr, digest) in self.events().digests() {
            if let Some(register) = pcrs.get_mut(pcr) {
                *register = extended(register, &digest);
            }
        }
        pcrs
    }
}

fn factory_digest(name: &str) -> [u8; 32] {
    sha256(format!("SEALBOOK TEST {name}").as_bytes())
}

/// What a variable of secure boot holds when the platform has made a machine.
fn factory_variable(name: &str) -> Vec<u8> {
    signature_list(factory_digest(name))
}

/// Whether a variable of secure boot is as the platform made it.
pub(crate) fn is_factory_variable(name: &str, value: &[u8]) -> bool {
    value == factory_variable(name)
}

/// A register after a digest was extended into it.
pub(crate) fn extended(register: &[u8; 32], digest: &[u8; 32]) -> [u8; 32] {
    sha256(&[&register[..], digest].concat())
}
