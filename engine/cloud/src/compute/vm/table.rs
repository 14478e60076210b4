//! Operations on virtual machines.

use http::Method;
use serde_json::{Value, json};

use super::{commands, power};
use crate::arm::resource;
use crate::arm::rows::{in_subscription, polling};
use crate::compute::API;
use crate::compute::sizes::{SIZES, Size};
use crate::cx::Cx;
use crate::fault;
use crate::http::Answer;
use crate::operation::{Operation, Params, Rows};
use crate::refusal::Refusal;
use crate::resources::locations;

macro_rules! machines {
    ($rest:literal) => {
        concat!(
            "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachines",
            $rest
        )
    };
}

const ROWS: Rows = Rows::control(API);

const READ: &str = "Microsoft.Compute/virtualMachines/read";
const WRITE: &str = "Microsoft.Compute/virtualMachines/write";
const ONE: &str = machines!("/{name}");
const COMMAND: &str = machines!("/{name}/runCommands/{command}");

static MACHINES: &[Operation] = &[
    ROWS.row("VirtualMachines_CreateOrUpdate", Method::PUT, ONE, WRITE, resource::put).lasting(true),
    ROWS.row("VirtualMachines_Update", Method::PATCH, ONE, WRITE, resource::patch).lasting(true),
    ROWS.row("VirtualMachines_Get", Method::GET, ONE, READ, power::get),
    ROWS.row(
        "VirtualMachines_Delete",
        Method::DELETE,
        ONE,
        "Microsoft.Compute/virtualMachines/delete",
        resource::delete,
    )
    .lasting(true),
    ROWS.row("VirtualMachines_List", Method::GET, machines!(""), READ, resource::list),
    ROWS.row(
        "VirtualMachines_ListAll",
        Method::GET,
        in_subscription!("Microsoft.Compute/virtualMachines"),
        READ,
        resource::list,
    ),
    ROWS.row(
        "VirtualMachines_InstanceView",
        Method::GET,
        machines!("/{name}/instanceView"),
        "Microsoft.Compute/virtualMachines/instanceView/read",
        power::view,
    ),
    ROWS.row(
        "VirtualMachines_Start",
        Method::POST,
        machines!("/{name}/start"),
        "Microsoft.Compute/virtualMachines/start/action",
        power::start,
    )
    .lasting(true),
    ROWS.row(
        "VirtualMachines_PowerOff",
        Method::POST,
        machines!("/{name}/powerOff"),
        "Microsoft.Compute/virtualMachines/powerOff/action",
        power::power_off,
    )
    .lasting(true),
    ROWS.row(
        "VirtualMachines_Restart",
        Method::POST,
        machines!("/{name}/restart"),
        "Microsoft.Compute/virtualMachines/restart/action",
        power::restart,
    )
    .lasting(true),
    ROWS.row(
        "VirtualMachines_Deallocate",
        Method::POST,
        machines!("/{name}/deallocate"),
        "Microsoft.Compute/virtualMachines/deallocate/action",
        power::deallocate,
    )
    .lasting(true),
    ROWS.row(
        "VirtualMachines_ListAvailableSizes",
        Method::GET,
        machines!("/{name}/vmSizes"),
        "Microsoft.Compute/virtualMachines/vmSizes/read",
        sizes_of_machine,
    ),
    ROWS.row(
        "VirtualMachineSizes_List",
        Method::GET,
        in_subscription!("Microsoft.Compute/locations/{location}/vmSizes"),
        "Microsoft.Compute/locations/vmSizes/read",
        sizes_of_region,
    ),
];

static COMMANDS: &[Operation] = &[
    ROWS.row(
        "VirtualMachines_RunCommand",
        Method::POST,
        machines!("/{name}/runCommand"),
        "Microsoft.Compute/virtualMachines/runCommand/action",
        commands::run,
    )
    .lasting(true),
    ROWS.row(
        "VirtualMachineRunCommands_CreateOrUpdate",
        Method::PUT,
        COMMAND,
        "Microsoft.Compute/virtualMachines/runCommands/write",
        managed_command,
    )
    .lasting(true),
    ROWS.row(
        "VirtualMachineRunCommands_GetByVirtualMachine",
        Method::GET,
        COMMAND,
        "Microsoft.Compute/virtualMachines/runCommands/read",
        no_command,
    ),
    ROWS.row(
        "VirtualMachineRunCommands_ListByVirtualMachine",
        Method::GET,
        machines!("/{name}/runCommands"),
        "Microsoft.Compute/virtualMachines/runCommands/read",
        no_commands,
    ),
];

static POLLS: &[Operation] = &polling!("Microsoft.Compute", "operations", API);

/// All tables.
pub(crate) fn tables() -> Vec<&'static [Operation]> {
    vec![MACHINES, COMMANDS, POLLS]
}

fn document(size: &Size) -> Value {
    json!({
        "name": size.name,
        "numberOfCores": size.cpus,
        "osDiskSizeInMB": 1_047_552,
        "resourceDiskSizeInMB": size.temporary,
        "memoryInMB": size.memory,
        "maxDataDiskCount": size.data_disks,
    })
}

fn offered(cx: &Cx<'_>, location: &str) -> Result<Answer, Refusal> {
    let missing = fault::missing_skus(cx)?;
    let here = SIZES.iter().filter(|s| s.offered_in(location) && !missing.iter().any(|m| m.covers(location, s.name)));
    let value: Vec<Value> = here.map(document).collect();
    Ok(Answer::ok(&json!({ "value": value })))
}

/// `VirtualMachineSizes_List`.
fn sizes_of_region(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let name = params.get("location");
    let location = locations::find(name)
        .ok_or_else(|| Refusal::new(400, "InvalidLocation", format!("The provided location '{name}' is not valid.")))?;
    offered(cx, location.name)
}

/// `VirtualMachines_ListAvailableSizes`.
fn sizes_of_machine(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let machine = resource::subject(cx)?.1;
    offered(cx, machine.location.as_deref().unwrap_or_default())
}

/// The machine that a path below it names.
fn machine(cx: &Cx<'_>) -> Result<crate::store::resources::Resource, Refusal> {
    let mut id = crate::arm::target(cx.request);
    while let Some(parent) = id.parent() {
        id = parent;
    }
    cx.existing(&id.spelled(super::NAME))
}

/// `VirtualMachineRunCommands_CreateOrUpdate`: managed run commands need an agent that runs any script.
fn managed_command(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let machine = machine(cx)?;
    if power::Power::of(&machine) != power::Power::Running {
        return Err(power::not_running());
    }
    Err(commands::no_agent(&machine).gap("managed run commands"))
}

/// `VirtualMachineRunCommands_GetByVirtualMachine`: none was ever accepted.
fn no_command(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    machine(cx)?;
    cx.existing(&crate::arm::target(cx.request))?;
    Ok(Answer::empty(204))
}

/// `VirtualMachineRunCommands_ListByVirtualMachine`: none was ever accepted.
fn no_commands(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    machine(cx)?;
    Ok(Answer::ok(&json!({ "value": [] })))
}
