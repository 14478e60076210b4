//! The hardware of confidential machines: processors that sign what they launched, and virtual TPMs.
//!
//! - `hierarchy`: the makers of this cloud's test hardware
//! - `boot`, `event_log`: what is measured
//! - `report`: AMD SEV-SNP reports and the paravisor's
//! - `tpm`: the virtual TPM's commands, `machine`: what one machine's hardware keeps
//! - `thim`: the certificates of a machine's host
//!
//! Everything is real but its roots: keys, signatures and formats are those of the hardware, and the roots are this
//! cloud's own, named `SEALBOOK TEST`.

mod boot;
mod event_log;
mod hierarchy;
mod machine;
mod report;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod thim;
mod tpm;

use serde_json::Value;

use self::boot::Boot;
pub(crate) use self::boot::is_factory_variable;
pub(crate) use self::hierarchy::{WORLD, roots};
use self::machine::Machine;
pub(crate) use self::machine::forget;
pub(crate) use self::report::id_key_digest;
use crate::config::CloudError;
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::store::resources::Resource;
use crate::{Cloud, compute, fault};

/// Tables of the hardware.
pub(crate) const SCHEMAS: [&str; 2] = [hierarchy::SCHEMA, machine::SCHEMA];

/// Why a machine has no hardware to talk to.
#[derive(Debug, thiserror::Error)]
pub enum TeeError {
    /// There is no such machine.
    #[error("there is no virtual machine {0}; check its resource id")]
    NoMachine(String),
    /// It is not confidential.
    #[error(
        "the virtual machine {0} is not a confidential machine of AMD SEV-SNP: make it with security type ConfidentialVM \
         and a size such as Standard_DC2as_v5"
    )]
    NotConfidential(String),
    /// It is confidential, by a technology that is not here.
    #[error(
        "the virtual machine {0} has a size with Intel TDX, whose hardware the embedded Azure does not have; use a size \
         such as Standard_DC2as_v5"
    )]
    Tdx(String),
    /// It is off.
    #[error("the virtual machine {0} is not running; start it first")]
    NotRunning(String),
    /// The cloud failed.
    #[error(transparent)]
    Cloud(#[from] CloudError),
}

/// What a confidential machine's operating system finds: a TPM to send commands to, and the firmware's log.
///
/// The TPM's transient objects and sessions belong to this value, as those behind Linux's `/dev/tpmrm0` belong to the
/// process that opened it. Everything else is kept by the cloud.
pub struct Tee {
    cloud: Cloud,
    machine: String,
    volatile: tpm::Volatile,
}

impl std::fmt::Debug for Tee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tee({})", self.machine)
    }
}

impl Tee {
    /// Opens the hardware of a running confidential machine, by the machine's resource id.
    ///
    /// # Errors
    /// [`TeeError`] when there is none: no such machine, not confidential, not running.
    pub fn open(cloud: &Cloud, machine: &str) -> Result<Self, TeeError> {
        cloud.hardware(machine, |_, _| Ok(()))?;
        Ok(Self { cloud: cloud.clone(), machine: machine.to_owned(), volatile: tpm::Volatile::default() })
    }

    /// Sends a command to the machine's TPM and returns the response, both in the TPM's wire format (TPM 2.0 Library,
    /// parts 1 and 3). A machine that was stopped, or a cloud that fails, answers with `TPM_RC_FAILURE`.
    ///
    /// Takes up to a second when keys are made: keep it off threads that must not wait.
    pub fn transmit(&mut self, command: &[u8]) -> Vec<u8> {
        const FAILURE: [u8; 10] = [0x80, 0x01, 0, 0, 0, 10, 0, 0, 0x01, 0x01];
        let volatile = &mut self.volatile;
        let answered =
            self.cloud.hardware(&self.machine, |cx, machine| machine::transmit(cx, machine, volatile, command));
        answered.unwrap_or_else(|error| {
            tracing::error!(machine = self.machine, %error, "a virtual TPM failed");
            FAILURE.to_vec()
        })
    }

    /// The firmware's log of what it measured at the last start (`TCG_PCR_EVENT2`); replaying it gives the TPM's
    /// registers as they were when the operating system was started.
    ///
    /// # Errors
    /// The machine is gone or stopped, or the database can't be read.
    pub fn event_log(&self) -> Result<Vec<u8>, TeeError> {
        self.cloud.hardware(&self.machine, |cx, machine| Ok(Machine::load(cx, machine)?.boot.events().bytes()))
    }
}

/// Why a stored machine has no hardware to talk to, when it has none.
pub(crate) fn lack(machine: &Resource) -> Option<TeeError> {
    let id = || machine.id.clone();
    match compute::technology(machine) {
        Some("SNP") if compute::is_running(machine) => None,
        Some("SNP") => Some(TeeError::NotRunning(id())),
        Some(_) => Some(TeeError::Tdx(id())),
        None => Some(TeeError::NotConfidential(id())),
    }
}

/// Notes that a machine was started; for one that is not confidential there is nothing to note.
pub(crate) fn started(cx: &Cx<'_>, machine: &Resource) -> Result<(), Refusal> {
    if compute::technology(machine) == Some("SNP") {
        machine::start(cx, &machine.id, settings(cx, machine)?)?;
    }
    Ok(())
}

/// What a machine would be started with now.
fn settings(cx: &Cx<'_>, machine: &Resource) -> Result<Boot, Refusal> {
    let properties = &machine.body["properties"];
    let image = &properties["storageProfile"]["imageReference"];
    let part = |name: &str| image[name].as_str().unwrap_or_default();
    let version = image["exactVersion"].as_str().unwrap_or(part("version"));
    let image = match image {
        Value::Null => compute::os_disk(machine).to_owned(),
        _ => [part("publisher"), part("offer"), part("sku"), version].join(":"),
    };
    let flaws = fault::flaws(cx, &machine.id)?;
    Ok(Boot {
        number: 0,
        image,
        secure_boot: properties["securityProfile"]["uefiSettings"]["secureBootEnabled"] == true,
        vm_id: properties["vmId"].as_str().unwrap_or_default().to_owned(),
        debug: flaws.debug,
        tampered: flaws.tampered,
        outdated: flaws.outdated,
    })
}
