//! What the hardware of a confidential machine keeps: its virtual TPM's keys and memory, and what was measured at its
//! last start. One row for each machine, sealed.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, params};
use sealbook_attestation::hcl::{RuntimeData, VmConfiguration};
use sealbook_attestation::snp::Tcb;
use sealbook_crypto::SecretBytes;
use sealbook_crypto::rsa::{RsaBits, RsaKey, RsaPublic};
use serde::{Deserialize, Serialize};

use super::boot::{Boot, PCRS};
use super::tpm::{self, AK_CERTIFICATE, Index, REPORT, USER_DATA};
use super::{hierarchy, report};
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::store::resources::Resource;

/// Tables of machines and of their keys.
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS tee_machines (
    machine TEXT PRIMARY KEY COLLATE NOCASE,
    boot    TEXT NOT NULL,
    sealed  BLOB
) STRICT;
CREATE TABLE IF NOT EXISTS tee_machine_keys (
    machine TEXT NOT NULL COLLATE NOCASE,
    name    TEXT NOT NULL,
    sealed  BLOB NOT NULL,
    PRIMARY KEY (machine, name)
) STRICT;
";

/// How the names of primary keys begin in the store of keys.
pub(crate) const PRIMARY: &str = "primary";
/// Length of the index of the certificate.
const CERTIFICATE: usize = 4096;

/// A machine's hardware.
pub(crate) struct Machine {
    /// Its last start.
    pub boot: Boot,
    /// Attestation key.
    pub ak: RsaPublic,
    /// Endorsement key.
    pub ek: RsaPublic,
    /// Private keys (PKCS#8) and the TPM's secret for tickets, by name.
    pub keys: BTreeMap<String, SecretBytes>,
    /// Registers.
    pub pcrs: [[u8; 32]; PCRS],
    /// How often they were changed since the start.
    pub pcr_updates: u32,
    /// Non-volatile memory.
    pub nv: BTreeMap<u32, Index>,
    /// Whether the paravisor's report must be made anew.
    pub report_stale: bool,
    chip: [u8; 64],
    started: i64,
}

/// The sealed part of a row.
#[derive(Serialize, Deserialize)]
struct Kept {
    boot: u32,
    #[serde(with = "hex::serde")]
    chip: Vec<u8>,
    pcrs: Vec<String>,
    pcr_updates: u32,
    nv: BTreeMap<u32, Index>,
    started: i64,
}

fn aad(id: &str) -> String {
    format!("tee-machine/{}", id.to_ascii_lowercase())
}

fn key_aad(id: &str, name: &str) -> String {
    format!("tee-machine-key/{}/{name}", id.to_ascii_lowercase())
}

/// Notes that a machine was started, and with what; its hardware measures it when it is next asked.
pub(crate) fn start(cx: &Cx<'_>, id: &str, mut boot: Boot) -> Result<Boot, Refusal> {
    boot.number = noted(cx, id)?.map_or(0, |(before, _)| before.number).saturating_add(1);
    cx.tx
        .prepare_cached(
            "INSERT INTO tee_machines (machine, boot) VALUES (?1, ?2)
             ON CONFLICT (machine) DO UPDATE SET boot = excluded.boot",
        )?
        .execute(params![id, serde_json::to_string(&boot)?])?;
    Ok(boot)
}

/// Forgets a machine that is deleted.
pub(crate) fn forget(cx: &Cx<'_>, id: &str) -> Result<(), Refusal> {
    cx.tx.prepare_cached("DELETE FROM tee_machines WHERE machine = ?1")?.execute([id])?;
    cx.tx.prepare_cached("DELETE FROM tee_machine_keys WHERE machine = ?1")?.execute([id])?;
    Ok(())
}

/// A machine's last start, and the sealed part of its row when its hardware has been made.
type Noted = (Boot, Option<Vec<u8>>);

fn noted(cx: &Cx<'_>, id: &str) -> Result<Option<Noted>, Refusal> {
    let row: Option<(String, Option<Vec<u8>>)> = cx
        .tx
        .prepare_cached("SELECT boot, sealed FROM tee_machines WHERE machine = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    row.map(|(boot, sealed)| Ok((serde_json::from_str(&boot)?, sealed))).transpose()
}

impl Machine {
    /// The hardware of a running machine; made at its first use, and started anew when the machine was.
    pub fn load(cx: &Cx<'_>, machine: &Resource) -> Result<Self, Refusal> {
        let (boot, sealed) = match noted(cx, &machine.id)? {
            Some(noted) => noted,
            None => (start(cx, &machine.id, super::settings(cx, machine)?)?, None),
        };
        let Some(sealed) = sealed else { return Self::make(cx, &machine.id, boot) };
        let kept: Kept = serde_json::from_slice(cx.open(&aad(&machine.id), &sealed)?.expose())?;
        let keys = read_keys(cx, &machine.id)?;
        let public = |name: &str| {
            let pkcs8 =
                keys.get(name).ok_or_else(|| Refusal::internal(format!("a virtual TPM lost its key {name}")))?;
            Ok::<_, Refusal>(RsaKey::from_pkcs8(pkcs8.expose()).map_err(Refusal::internal)?.public())
        };
        let mut pcrs = [[0; 32]; PCRS];
        for (register, text) in pcrs.iter_mut().zip(&kept.pcrs) {
            hex::decode_to_slice(text, register).map_err(Refusal::internal)?;
        }
        let chip = kept.chip.try_into().map_err(|_| Refusal::internal("a chip's id has another length"))?;
        let mut hardware = Self {
            ak: public("ak")?,
            ek: public("ek")?,
            keys,
            pcrs,
            pcr_updates: kept.pcr_updates,
            nv: kept.nv,
            report_stale: false,
            chip,
            started: kept.started,
            boot,
        };
        if kept.boot != hardware.boot.number {
            hardware.power_on(cx)?;
            hardware.store(cx, &machine.id)?;
        }
        Ok(hardware)
    }

    fn make(cx: &Cx<'_>, id: &str, boot: Boot) -> Result<Self, Refusal> {
        let (ak, ek) = (RsaKey::generate(RsaBits::B2048), RsaKey::generate(RsaBits::B2048));
        let mut keys = BTreeMap::new();
        keys.insert("ak".to_owned(), ak.to_pkcs8());
        keys.insert("ek".to_owned(), ek.to_pkcs8());
        keys.insert("proof".to_owned(), SecretBytes::new(cx.random::<32>().to_vec()));
        let mut certificate = hierarchy::certify_ak(cx, &boot.vm_id, &ak.public())?.der().to_vec();
        if certificate.len() > CERTIFICATE {
            return Err(Refusal::internal("the certificate of an attestation key is too long"));
        }
        certificate.resize(CERTIFICATE, 0);
        let mut machine = Self {
            ak: ak.public(),
            ek: ek.public(),
            keys,
            pcrs: [[0; 32]; PCRS],
            pcr_updates: 0,
            nv: BTreeMap::from([(AK_CERTIFICATE, Index::of_platform(certificate))]),
            report_stale: false,
            chip: cx.random::<64>(),
            started: 0,
            boot,
        };
        machine.power_on(cx)?;
        machine.store(cx, id)?;
        Ok(machine)
    }

    /// Hardware as a start leaves it, without certificates and reports.
    #[cfg(test)]
    pub fn bare(boot: Boot, ak: &RsaKey, ek: &RsaKey) -> Self {
        let keys = [("ak", ak.to_pkcs8()), ("ek", ek.to_pkcs8()), ("proof", SecretBytes::new(vec![7; 32]))];
        Self {
            ak: ak.public(),
            ek: ek.public(),
            keys: keys.into_iter().map(|(name, key)| (name.to_owned(), key)).collect(),
            pcrs: boot.pcrs(),
            pcr_updates: 0,
            nv: BTreeMap::new(),
            report_stale: false,
            chip: [0; 64],
            started: 0,
            boot,
        }
    }

    /// Measures what is started.
    fn power_on(&mut self, cx: &Cx<'_>) -> Result<(), Refusal> {
        self.pcrs = self.boot.pcrs();
        self.pcr_updates = 0;
        self.started = cx.now.timestamp_millis();
        // The seed of the null hierarchy does not outlive a restart.
        self.keys.retain(|name, _| !name.starts_with(&format!("{PRIMARY}/null")));
        self.make_report(cx)
    }

    /// Milliseconds since the machine was started, on the cloud clock.
    fn uptime(&self, cx: &Cx<'_>) -> u64 {
        u64::try_from(cx.now.timestamp_millis().saturating_sub(self.started)).unwrap_or_default()
    }

    /// Patch levels of its host.
    pub fn tcb(&self) -> Tcb {
        if self.boot.outdated { report::OUTDATED } else { report::CURRENT }
    }

    /// The chip's key for its patch levels.
    pub fn vcek(&self, cx: &Cx<'_>) -> Result<hierarchy::Endorsed<sealbook_crypto::ec::EcKey>, Refusal> {
        hierarchy::vcek(cx, &self.chip, self.tcb())
    }

    /// Puts a new report into the index of reports, with what the guest wrote for it.
    fn make_report(&mut self, cx: &Cx<'_>) -> Result<(), Refusal> {
        let mut user_data = [0; 64];
        if let Some(index) = self.nv.get(&USER_DATA) {
            let length = index.data.len().min(64);
            if let (Some(place), Some(data)) = (user_data.get_mut(..length), index.data.get(..length)) {
                place.copy_from_slice(data);
            }
        }
        let configuration = VmConfiguration {
            root_cert_thumbprint: None,
            console_enabled: true,
            secure_boot: self.boot.secure_boot,
            tpm_enabled: true,
            tpm_persisted: Some(true),
            filtered_vpci_devices_allowed: None,
            vm_unique_id: self.boot.vm_id.to_ascii_uppercase(),
            other: serde_json::Map::new(),
        };
        let runtime = RuntimeData::new(self.ak.clone(), self.ek.clone(), configuration, user_data);
        let start = format!("{}/{}", self.boot.vm_id, self.boot.number);
        let statement = report::Statement {
            measurement: self.boot.measurement(),
            identified: !self.boot.tampered,
            debug: self.boot.debug,
            tcb: self.tcb(),
            chip: &self.chip,
            report_id: sealbook_crypto::sha256(start.as_bytes()),
        };
        let report = report::make(&statement, &runtime, &self.vcek(cx)?.key)?;
        self.nv.insert(REPORT, Index::of_platform(report));
        self.report_stale = false;
        Ok(())
    }

    /// Writes what has changed.
    pub fn store(&self, cx: &Cx<'_>, id: &str) -> Result<(), Refusal> {
        let kept = Kept {
            boot: self.boot.number,
            chip: self.chip.to_vec(),
            pcrs: self.pcrs.iter().map(hex::encode).collect(),
            pcr_updates: self.pcr_updates,
            nv: self.nv.clone(),
            started: self.started,
        };
        let sealed = cx.seal(&aad(id), &serde_json::to_vec(&kept)?);
        cx.tx.prepare_cached("UPDATE tee_machines SET sealed = ?2 WHERE machine = ?1")?.execute(params![id, sealed])?;
        write_keys(cx, id, &self.keys)
    }
}

fn read_keys(cx: &Cx<'_>, id: &str) -> Result<BTreeMap<String, SecretBytes>, Refusal> {
    let mut statement = cx.tx.prepare_cached("SELECT name, sealed FROM tee_machine_keys WHERE machine = ?1")?;
    let rows = statement.query_map([id], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    let mut keys = BTreeMap::new();
    for row in rows {
        let (name, sealed) = row?;
        let secret = cx.open(&key_aad(id, &name), &sealed)?;
        keys.insert(name, secret);
    }
    Ok(keys)
}

/// Makes the stored keys those of the map: a key never changes, it comes or goes.
fn write_keys(cx: &Cx<'_>, id: &str, keys: &BTreeMap<String, SecretBytes>) -> Result<(), Refusal> {
    let mut statement = cx.tx.prepare_cached("SELECT name FROM tee_machine_keys WHERE machine = ?1")?;
    let held: Vec<String> = statement.query_map([id], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for name in held.iter().filter(|name| !keys.contains_key(*name)) {
        cx.tx
            .prepare_cached("DELETE FROM tee_machine_keys WHERE machine = ?1 AND name = ?2")?
            .execute(params![id, name])?;
    }
    for (name, secret) in keys.iter().filter(|(name, _)| !held.contains(name)) {
        let sealed = cx.seal(&key_aad(id, name), secret.expose());
        cx.tx
            .prepare_cached("INSERT INTO tee_machine_keys (machine, name, sealed) VALUES (?1, ?2, ?3)")?
            .execute(params![id, name, sealed])?;
    }
    Ok(())
}

/// Takes a command to the virtual TPM of a machine and brings its response.
pub(crate) fn transmit(
    cx: &Cx<'_>,
    machine: &Resource,
    volatile: &mut tpm::Volatile,
    command: &[u8],
) -> Result<Vec<u8>, Refusal> {
    let mut hardware = Machine::load(cx, machine)?;
    let before = hardware.fingerprint()?;
    let clock = hardware.uptime(cx);
    let response = tpm::Tpm { machine: &mut hardware, volatile, clock }.transmit(command);
    if hardware.report_stale {
        hardware.make_report(cx)?;
    }
    if hardware.fingerprint()? != before {
        hardware.store(cx, &machine.id)?;
    }
    Ok(response)
}

impl Machine {
    /// What tells whether anything that is kept has changed.
    fn fingerprint(&self) -> Result<[u8; 32], Refusal> {
        let names: Vec<&String> = self.keys.keys().collect();
        let all = serde_json::to_vec(&(&self.nv, &self.pcrs, self.pcr_updates, names))?;
        Ok(sealbook_crypto::sha256(&all))
    }
}
