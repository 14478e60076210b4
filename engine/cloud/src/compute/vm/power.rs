//! Starting and stopping machines, and what their instance view says.
//!
//! Source: <https://learn.microsoft.com/azure/virtual-machines/states-billing>.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

use super::os_disk;
use crate::arm::resource;
use crate::compute::disks::hooks;
use crate::compute::{images, quota, sizes};
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::rules::Rule;
use crate::store::resources::{self, Resource};
use crate::store::{instant, millis, settings};
use crate::tee;

/// How often the keys of running machines are looked at.
const LOOK: Duration = Duration::minutes(15);
/// Setting with the instant of the last look.
const LOOKED: &str = "vm-keys-looked";

/// Power state of a machine; none while it is being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Power {
    Starting,
    Running,
    Stopped,
    Deallocated,
}

impl Power {
    /// The word in `PowerState/…`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Deallocated => "deallocated",
        }
    }

    fn display(self) -> &'static str {
        match self {
            Self::Starting => "VM starting",
            Self::Running => "VM running",
            Self::Stopped => "VM stopped",
            Self::Deallocated => "VM deallocated",
        }
    }

    /// That of a stored machine.
    pub fn of(machine: &Resource) -> Self {
        let word = machine.body["power"].as_str().unwrap_or_default();
        [Self::Running, Self::Stopped, Self::Deallocated]
            .into_iter()
            .find(|power| power.as_str() == word)
            .unwrap_or(Self::Starting)
    }

    /// Writes it into a machine.
    pub fn set(self, machine: &mut Resource) {
        machine.body["power"] = self.as_str().into();
    }
}

/// Verbs of the actions, as long-running operations know them.
pub(super) const START: &str = "start";
pub(super) const POWER_OFF: &str = "powerOff";
pub(super) const DEALLOCATE: &str = "deallocate";
pub(super) const RESTART: &str = "restart";

fn act(cx: &mut Cx<'_>, verb: &'static str) -> Result<Answer, Refusal> {
    let (kind, mut machine) = resource::subject(cx)?;
    if machine.body["properties"]["provisioningState"] == "Deleting" {
        return Err(Refusal::new(
            409,
            "OperationNotAllowed",
            format!("Operation '{verb}' is not allowed on VM '{}' since the VM is marked for deletion.", machine.name),
        ));
    }
    let power = Power::of(&machine);
    if verb == RESTART && matches!(power, Power::Stopped | Power::Deallocated) {
        return Err(not_running());
    }
    if verb == START && power == Power::Deallocated {
        require_quota(cx, &machine)?;
    }
    machine.body["properties"]["provisioningState"] = "Updating".into();
    let id = resource::id_of(&machine)?;
    let machine = resources::put(cx.tx, &id, machine.body, cx.now)?;
    resource::act(cx, kind, &machine, verb, Value::Null)
}

pub(super) fn not_running() -> Refusal {
    Refusal::new(409, "OperationNotAllowed", "The operation requires the VM to be running (or set to run).")
}

fn require_quota(cx: &Cx<'_>, machine: &Resource) -> Result<(), Refusal> {
    let Some(size) = sizes::find(super::size_of(machine)) else { return Ok(()) };
    let location = machine.location.as_deref().unwrap_or_default();
    quota::require(cx, &machine.subscription, location, &machine.id, size)
}

/// `VirtualMachines_Start`.
pub(super) fn start(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    act(cx, START)
}

/// `VirtualMachines_PowerOff`.
pub(super) fn power_off(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    act(cx, POWER_OFF)
}

/// `VirtualMachines_Restart`.
pub(super) fn restart(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    act(cx, RESTART)
}

/// `VirtualMachines_Deallocate`.
pub(super) fn deallocate(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    if cx.request.query("hibernate").is_some_and(|given| given.eq_ignore_ascii_case("true")) {
        let refusal = Refusal::new(409, "OperationNotAllowed", "The VM is not enabled for hibernation.");
        return Err(refusal.gap("hibernation"));
    }
    act(cx, DEALLOCATE)
}

/// Ends an action.
pub(super) fn finish(cx: &mut Cx<'_>, verb: &str, machine: &mut Resource) -> Result<(), Refusal> {
    let power = Power::of(machine);
    let next = match verb {
        resource::PUT if power != Power::Starting => power,
        resource::PUT | RESTART => Power::Running,
        START => {
            if power == Power::Deallocated {
                require_quota(cx, machine)?;
            }
            let disk = os_disk(machine);
            if Rule::MachinesStartOnlyWithTheirKeys.holds() {
                hooks::require_key_available(cx, disk)?;
            }
            hooks::require_release(cx, disk)?;
            Power::Running
        }
        POWER_OFF if power == Power::Deallocated => power,
        POWER_OFF => Power::Stopped,
        DEALLOCATE => Power::Deallocated,
        _ => power,
    };
    if (next == Power::Deallocated) != (power == Power::Deallocated) {
        hooks::set_power(cx, os_disk(machine), next != Power::Deallocated)?;
    }
    next.set(machine);
    if next == Power::Running && (power != Power::Running || verb == RESTART) {
        tee::started(cx, machine)?;
    }
    machine.body["properties"]["provisioningState"] = "Succeeded".into();
    Ok(())
}

/// Shuts down the machines whose disks have lost their customer's key.
pub(crate) fn tick(cx: &mut Cx<'_>) -> Result<(), Refusal> {
    let looked: Option<i64> = cx.setting(LOOKED)?;
    if looked.is_some_and(|looked| cx.now < instant(looked) + LOOK) {
        return Ok(());
    }
    settings::set(cx.tx, LOOKED, &millis(cx.now))?;
    for lost in hooks::cut_off(cx)? {
        let Some(mut machine) = cx.resource(&lost.user)? else { continue };
        tracing::info!(machine = machine.id, why = lost.refusal.message, "a machine lost the key of its disk");
        Power::Deallocated.set(&mut machine);
        resources::put(cx.tx, &resource::id_of(&machine)?, machine.body, cx.now)?;
        hooks::set_power(cx, &lost.disk, false)?;
    }
    Ok(())
}

fn status(code: String, display: &str, time: Option<DateTime<Utc>>) -> Value {
    let mut status = json!({ "code": code, "level": "Info", "displayStatus": display });
    if let Some(time) = time {
        status["time"] = crate::time::rfc3339(time).into();
    }
    status
}

/// What happens to a machine right now.
pub(super) fn instance_view(machine: &Resource) -> Value {
    let properties = &machine.body["properties"];
    let state = properties["provisioningState"].as_str().unwrap_or_default();
    let display = match state {
        "Succeeded" => "Provisioning succeeded",
        "Failed" => "Provisioning failed",
        other => other,
    };
    let at = Some(machine.changed);
    let mut statuses = vec![status(format!("ProvisioningState/{}", state.to_ascii_lowercase()), display, at)];
    let power = Power::of(machine);
    if state != "Creating" {
        statuses.push(status(format!("PowerState/{}", power.as_str()), power.display(), None));
    }
    let reference = &properties["storageProfile"]["imageReference"];
    let text = |member: &str| reference[member].as_str().unwrap_or_default();
    let image = images::find(text("publisher"), text("offer"), text("sku"));
    let mut view = json!({
        "disks": [{
            "name": properties["storageProfile"]["osDisk"]["name"],
            "statuses": [status("ProvisioningState/succeeded".to_owned(), "Provisioning succeeded", at)],
        }],
        "hyperVGeneration": image.map_or("V1", |image| image.generation),
        "statuses": statuses,
    });
    if power == Power::Running {
        view["computerName"] = properties["osProfile"]["computerName"].clone();
        view["osName"] = image.map_or("", |image| image.system).into();
    }
    view
}

/// Answers a GET of a machine with what `$expand` asks for.
pub(super) fn get(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let (kind, machine) = resource::subject(cx)?;
    let mut body = kind.shown(cx, &machine)?;
    for word in cx.request.query("$expand").unwrap_or_default().split(',').map(str::trim).filter(|w| !w.is_empty()) {
        match word.to_ascii_lowercase().as_str() {
            "instanceview" => body["properties"]["instanceView"] = instance_view(&machine),
            "userdata" => {
                let data = machine.body["properties"]["userData"].clone();
                if !data.is_null() {
                    body["properties"]["userData"] = data;
                }
            }
            _ => {
                return Err(super::body::bad(format!(
                    "The value '{word}' of query parameter '$expand' is not one of 'instanceView', 'userData'."
                )));
            }
        }
    }
    Ok(Answer::ok(&body))
}

/// `VirtualMachines_InstanceView`.
pub(super) fn view(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let machine = resource::subject(cx)?.1;
    Ok(Answer::ok(&instance_view(&machine)))
}
