//! Run command: a script that the machine's agent carries out. The agent lives in a [`crate::MachineRoom`].
//!
//! Sources: <https://learn.microsoft.com/rest/api/compute/virtual-machines/run-command>,
//! <https://learn.microsoft.com/azure/virtual-machines/linux/run-command>.

use chrono::Duration;
use serde_json::{Value, json};

use super::body::{invalid, missing, only};
use super::power::{self, Power};
use super::{NAME, boot_of};
use crate::arm::resource;
use crate::cx::Cx;
use crate::http::Answer;
use crate::lro::{self, Lro};
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::room::{self, Machine, Output};
use crate::store::resources::Resource;

/// [`Lro::kind`] of a script.
pub(crate) const RUN_COMMAND: &str = "runCommand";

/// Azure ends scripts after 90 minutes.
const LIMIT: Duration = Duration::minutes(90);

/// The command that runs a script on a Linux machine.
const SHELL: &str = "RunShellScript";

/// What the embedded Azure's machines lack.
const GAP: &str = "shell scripts: the embedded Azure's machines run the Sealbook guest agent only";

/// A script with its parameters (name, value).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Command {
    /// Its lines.
    pub script: Vec<String>,
    /// Name and value, in order.
    pub parameters: Vec<(String, String)>,
}

impl Command {
    /// Reads a request's body (`RunCommandInput`).
    fn parse(given: &Value) -> Result<Self, Refusal> {
        only(given, "RunCommandInput", &["commandId", "script", "parameters"])?;
        let id = given["commandId"].as_str().ok_or_else(|| missing("commandId"))?;
        if !id.eq_ignore_ascii_case(SHELL) {
            let refusal = invalid("commandId", &format!("The run command '{id}' was not found for this machine."));
            return Err(refusal.gap(format!("run command: {id}")));
        }
        let list = |name: &str| match &given[name] {
            Value::Null => Ok(&[][..]),
            Value::Array(items) => Ok(items.as_slice()),
            _ => Err(invalid(name, &format!("The value of parameter '{name}' is not a list."))),
        };
        let text = |value: &Value, name: &str| {
            let text = value.as_str().map(str::to_owned);
            text.ok_or_else(|| invalid(name, &format!("The value of parameter '{name}' is not a text.")))
        };
        let script = list("script")?.iter().map(|line| text(line, "script")).collect::<Result<_, _>>()?;
        let parameters = list("parameters")?.iter().map(|parameter| {
            only(parameter, "RunCommandInputParameter", &["name", "value"])?;
            Ok((text(&parameter["name"], "parameters.name")?, text(&parameter["value"], "parameters.value")?))
        });
        Ok(Self { script, parameters: parameters.collect::<Result<_, Refusal>>()? })
    }

    /// What is stored of a script: sealed, since its parameters may be secrets.
    fn payload(&self, cx: &Cx<'_>, machine: &Machine) -> Value {
        let command = json!({ "script": self.script, "parameters": self.parameters });
        json!({
            "vmId": machine.vm_id,
            "boot": machine.boot,
            "sealed": seal(cx, &machine.id, &command),
        })
    }

    /// The machine and the script of a stored operation.
    pub fn of(cx: &Cx<'_>, operation: &Lro) -> Result<(Machine, Self), Refusal> {
        let payload = &operation.payload;
        let command = open(cx, &operation.resource, &payload["sealed"])?;
        let command = Self {
            script: serde_json::from_value(command["script"].clone())?,
            parameters: serde_json::from_value(command["parameters"].clone())?,
        };
        let machine = Machine {
            id: operation.resource.clone(),
            vm_id: payload["vmId"].as_str().unwrap_or_default().to_owned(),
            boot: payload["boot"].as_u64().unwrap_or_default(),
        };
        Ok((machine, command))
    }

    /// What is stored of a script's output.
    pub fn result(cx: &Cx<'_>, machine: &str, output: &Output) -> Value {
        seal(cx, machine, &json!({ "stdout": output.stdout, "stderr": output.stderr, "ok": output.ok }))
    }
}

/// The stored output of a script as it is answered. Linux machines answer one status with both streams.
pub(super) fn shown(cx: &Cx<'_>, machine: &str, stored: &Value) -> Result<Value, Refusal> {
    let output = open(cx, machine, stored)?;
    let text = |member: &str| output[member].as_str().unwrap_or_default().to_owned();
    let (state, level, what) = match output["ok"] == true {
        true => ("succeeded", "Info", "Enable succeeded: ".to_owned()),
        false => (
            "failed/1",
            "Error",
            "Enable failed: failed to execute command: command terminated with exit status=1".to_owned(),
        ),
    };
    Ok(json!({ "value": [{
        "code": format!("ProvisioningState/{state}"),
        "level": level,
        "displayStatus": if level == "Info" { "Provisioning succeeded" } else { "Provisioning failed" },
        "message": format!("{what}\n[stdout]\n{}\n[stderr]\n{}", text("stdout"), text("stderr")),
    }] }))
}

fn aad(machine: &str) -> String {
    format!("{NAME} {RUN_COMMAND} {}", machine.to_ascii_lowercase())
}

fn seal(cx: &Cx<'_>, machine: &str, value: &Value) -> Value {
    hex::encode(cx.seal(&aad(machine), value.to_string().as_bytes())).into()
}

fn open(cx: &Cx<'_>, machine: &str, sealed: &Value) -> Result<Value, Refusal> {
    let sealed = hex::decode(sealed.as_str().unwrap_or_default()).unwrap_or_default();
    Ok(serde_json::from_slice(cx.open(&aad(machine), &sealed)?.expose())?)
}

/// A stored machine as it runs; none while it does not.
pub(crate) fn running(machine: &Resource) -> Option<Machine> {
    (Power::of(machine) == Power::Running).then(|| Machine {
        id: machine.id.clone(),
        vm_id: machine.body["properties"]["vmId"].as_str().unwrap_or_default().to_owned(),
        boot: boot_of(machine),
    })
}

/// Why a script ends whose machine went off.
pub(crate) fn preempted() -> Refusal {
    Refusal::new(409, "OperationPreempted", "The operation was preempted: the VM was stopped or restarted.")
}

/// Why a script ends that took too long.
pub(crate) fn timed_out() -> Refusal {
    Refusal::new(
        409,
        "VMExtensionProvisioningTimeout",
        "Provisioning of VM extension RunCommandLinux has timed out. Extension provisioning has taken too long to complete.",
    )
}

/// `VirtualMachines_RunCommand`.
pub(super) fn run(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let (kind, stored) = resource::subject(cx)?;
    if stored.body["properties"]["provisioningState"] == "Deleting" {
        return Err(power::marked_for_deletion(RUN_COMMAND, &stored));
    }
    let machine = running(&stored).ok_or_else(power::not_running)?;
    let command = Command::parse(&cx.request.json()?)?;
    match lro::in_progress(cx.tx, &machine.id)? {
        Some(other) if other.kind == RUN_COMMAND => {
            return Err(Refusal::new(
                409,
                "Conflict",
                "Run command extension execution is in progress. Please wait for completion before invoking a run \
                 command.",
            ));
        }
        Some(_) => {
            return Err(Refusal::new(
                409,
                "Conflict",
                "The request failed due to conflict with a concurrent request. To resolve it, please refer to \
                 https://aka.ms/activitylog to get more details on the conflicting requests.",
            ));
        }
        None => {}
    }
    let Some(room) = cx.room else { return Err(no_agent(&stored)) };
    if let Err(why) = room.understands(&command.script, &command.parameters) {
        return Err(Refusal::new(
            409,
            "OperationNotAllowed",
            format!("VM '{}' can't run this script: {why}.", stored.name),
        )
        .gap(GAP));
    }
    room::house(cx.tx, &machine)?;
    let payload = command.payload(cx, &machine);
    resource::act_within(cx, kind, &stored, RUN_COMMAND, payload, LIMIT)
}

/// What Azure says of a machine whose agent is silent.
pub(super) fn no_agent(machine: &Resource) -> Refusal {
    Refusal::new(
        409,
        "VMAgentStatusCommunicationError",
        format!(
            "VM '{}' has not reported status for VM agent or extensions. Verify that the OS is up and healthy, the VM has a \
             running VM agent, and that it can establish outbound connections to Azure storage.",
            machine.name
        ),
    )
    .gap(GAP)
}
