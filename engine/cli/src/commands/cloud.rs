//! `cloud …`: the embedded Azure for `az`, SDKs and experiments.

use std::process::Stdio;

use chrono::Duration;
use sealbook_cloud::front::{Endpoint, FOREIGN_VARIABLES, MachineDoor, Options, Server, SignIn, environment};
use sealbook_cloud::{CloudError, Fault, FaultKind, Item, MachineIdentities};
use sealbook_model::problem::{Problem, codes};
use serde_json::json;
use zeroize::Zeroizing;

use super::bills::Bills;
use crate::app::{App, Failure};
use crate::args::{CloudCommand, FaultArgs, FaultChoice, Output};
use crate::guest::Access;
use crate::guest::machine::VARIABLE;
use crate::render::table::table;
use crate::render::text::{Tone, line};
use crate::{connect, out, prompt};

/// Carries out a `cloud` command.
pub async fn cloud(app: &App, command: CloudCommand) -> Result<u8, Failure> {
    match command {
        CloudCommand::Serve { port, identity } => serve(app, port, &identity).await,
        CloudCommand::Exec { who, mut identity, machine, command } => {
            identity.extend(machine.clone());
            // Whoever names an identity and nobody else wants to be that identity.
            let default = if identity.is_empty() { SignIn::Learner } else { SignIn::Machine };
            exec(app, who.map_or(default, SignIn::from), &identity, machine.as_deref(), &command).await
        }
        CloudCommand::Env { who } => env(app, who.map_or(SignIn::Learner, SignIn::from)),
        CloudCommand::Reset { yes } => reset(app, yes),
        CloudCommand::Fault(args) => fault(app, &args),
        CloudCommand::Clock { forward } => clock(app, forward.as_deref()),
        CloudCommand::Show => show(app),
        CloudCommand::Requests => requests(app),
        CloudCommand::Roots => roots(app),
    }
}

/// Serves until it is stopped.
async fn serve(app: &App, port: u16, machine: &[String]) -> Result<u8, Failure> {
    let cloud = connect::open_embedded(app)?;
    let server = start(app, &cloud, port, machine).await?;
    let endpoint = server.endpoint();
    match app.output() {
        Output::Json => out::json_line(
            &json!({ "event": "serving", "port": endpoint.port, "pid": endpoint.pid, "ca": endpoint.ca_pem() }),
        ),
        Output::Human => {
            out::note(&format!("The embedded Azure listens on 127.0.0.1:{}. Stop it with Ctrl-C.", endpoint.port));
            out::note(
                "In another shell: eval \"$(sealbook cloud env)\", then az login -u \"$SEALBOOK_USER\" -p \"$SEALBOOK_PASSWORD\"",
            );
        }
    }
    crate::signals::stop_requested()
        .await
        .map_err(|e| Problem::new(codes::INTERNAL, "signals can't be heard").because(e.to_string()))?;
    server.shutdown().await;
    Ok(0)
}

/// Runs a command with the right environment, serving for as long as it runs unless somebody serves already.
async fn exec(
    app: &App,
    who: SignIn,
    identities: &[String],
    machine: Option<&str>,
    command: &[String],
) -> Result<u8, Failure> {
    let cloud = connect::open_embedded(app)?;
    let seed = cloud.seed().map_err(|e| broken(&e))?;
    let inside = match machine {
        Some(machine) => Some(enter(&cloud, machine).await?),
        None => None,
    };
    let (running, own) = match running(app) {
        Some(_) if !identities.is_empty() => {
            return Err(Problem::new(codes::CLOUD_IN_USE, "the embedded Azure is being served already")
                .because("whose identities a machine has is said when its server starts")
                .fix("stop `sealbook cloud serve`, or start it with --identity")
                .into());
        }
        Some(endpoint) => (Some(endpoint), None),
        None => (None, Some(start(app, &cloud, 0, identities).await?)),
    };
    let Some(endpoint) = running.as_ref().or(own.as_ref().map(Server::endpoint)) else { return Ok(1) };
    let Some((program, arguments)) = command.split_first() else {
        return Err(Problem::new(codes::USAGE, "no command was given")
            .fix("sealbook cloud exec -- az group list")
            .into());
    };
    let mut child = tokio::process::Command::new(program);
    for name in FOREIGN_VARIABLES {
        child.env_remove(name);
    }
    child.args(arguments).envs(environment(endpoint, &seed, who)).env_remove(VARIABLE).stdin(Stdio::inherit());
    if let Some((_, access)) = &inside {
        child.env(VARIABLE, access.as_str());
    }
    let status = child
        .status()
        .await
        .map_err(|e| Problem::new(codes::USAGE, format!("`{program}` can't be started")).because(e.to_string()))?;
    if let Some(server) = own {
        server.shutdown().await;
    }
    // The command's own exit code, or 128 and the signal that ended it, as a shell says it.
    #[cfg(unix)]
    let code = status.code().or_else(|| std::os::unix::process::ExitStatusExt::signal(&status).map(|s| 128 + s));
    #[cfg(not(unix))]
    let code = status.code();
    Ok(code.and_then(|c| u8::try_from(c).ok()).unwrap_or(1))
}

/// Opens a machine's door; what a process needs to come through it, for [`VARIABLE`].
async fn enter(cloud: &sealbook_cloud::Cloud, id: &str) -> Result<(MachineDoor, Zeroizing<String>), Problem> {
    let Some(machine) = cloud.machine(id).map_err(|e| broken(&e))? else {
        return Err(Problem::new(codes::USAGE, format!("`{id}` is no virtual machine that runs"))
            .fix("sealbook cloud show lists resources; az vm start starts one"));
    };
    let door = MachineDoor::open(cloud.clone(), machine).await.map_err(in_use)?;
    let access = Access::through(&door, cloud).await.map_err(|e| {
        Problem::new(codes::CLOUD_STATE, "the embedded Azure can't be read or changed").because(e.to_string())
    })?;
    Ok((door, Zeroizing::new(access.to_json().to_string())))
}

/// Prints exports for a shell.
fn env(app: &App, who: SignIn) -> Result<u8, Failure> {
    let Some(endpoint) = running(app) else {
        return Err(Problem::new(codes::CLOUD_NOT_RUNNING, "the embedded Azure is not being served")
            .fix("start it in another terminal: sealbook cloud serve; or run one command: sealbook cloud exec -- COMMAND")
            .into());
    };
    let seed = connect::open_embedded(app)?.seed().map_err(|e| broken(&e))?;
    let variables = environment(&endpoint, &seed, who);
    match app.output() {
        Output::Json => out::json(&variables.into_iter().collect::<std::collections::BTreeMap<_, _>>()),
        Output::Human => {
            let exports = variables.iter().map(|(k, v)| format!("export {k}='{}'\n", v.replace('\'', "'\\''")));
            out::data(&format!("unset {}\n{}", FOREIGN_VARIABLES.join(" "), exports.collect::<String>()));
        }
    }
    Ok(0)
}

/// Empties the embedded Azure, for every process that has it open.
fn reset(app: &App, yes: bool) -> Result<u8, Failure> {
    if !yes {
        prompt::needs_terminal(&app.ui(), "reset deletes the embedded Azure with everything in it", "--yes")?;
        if !prompt::yes("Delete the embedded Azure with everything in it?", false)
            .map_err(|e| prompt::broken_off(&e))?
        {
            out::note("Nothing was changed.");
            return Ok(0);
        }
    }
    match connect::open_embedded(app) {
        Ok(cloud) => cloud.reset().map_err(|e| broken(&e))?,
        // What can't be opened can't be emptied in place; nobody else can have it open either.
        Err(_) => std::fs::remove_dir_all(app.home().cloud_dir()).map_err(|e| {
            Problem::new(codes::CLOUD_STATE, "the embedded Azure could not be deleted").because(e.to_string())
        })?,
    }
    out::note("The embedded Azure is empty: a new tenant, a new subscription.");
    Ok(0)
}

/// Sets, lists or clears faults.
fn fault(app: &App, args: &FaultArgs) -> Result<u8, Failure> {
    let cloud = connect::open_embedded(app)?;
    if args.clear {
        cloud.clear_faults().map_err(|e| broken(&e))?;
    } else if let Some(choice) = args.kind {
        cloud.fault(&described(choice, args)).map_err(|e| broken(&e))?;
    }
    let faults = cloud.faults().map_err(|e| broken(&e))?;
    match app.output() {
        Output::Json => out::json(&faults),
        Output::Human if faults.is_empty() => out::note("No faults."),
        Output::Human => {
            let or_all = |text: &Option<String>| text.clone().unwrap_or_else(|| "any".into());
            let rows: Vec<Vec<String>> = faults
                .iter()
                .map(|f| {
                    vec![
                        name(f),
                        parameters(&f.kind),
                        or_all(&f.host),
                        or_all(&f.method),
                        or_all(&f.path),
                        f.times.map_or_else(|| "until cleared".into(), |t| t.to_string()),
                    ]
                })
                .collect();
            out::data(&table(&["FAULT", "WITH", "HOST HAS", "METHOD", "PATH HAS", "TIMES"], &rows));
        }
    }
    Ok(0)
}

/// The name of a fault, as it is typed.
fn name(fault: &Fault) -> String {
    match fault.kind {
        FaultKind::Throttle { .. } => "throttle",
        FaultKind::ServerError => "server-error",
        FaultKind::DropBefore => "drop-request",
        FaultKind::DropAfter => "drop-answer",
        FaultKind::SlowOperation { .. } => "slow-operation",
        FaultKind::RoleDelay { .. } => "rbac-delay",
        FaultKind::NoQuota { .. } => "quota-zero",
        FaultKind::NoSku { .. } => "missing-sku",
        FaultKind::DebuggableGuest { .. } => "debuggable-guest",
        FaultKind::TamperedImage { .. } => "tampered-image",
        FaultKind::OutdatedHost { .. } => "outdated-host",
    }
    .to_owned()
}

/// What else was said of a fault.
fn parameters(kind: &FaultKind) -> String {
    let seconds = |span: &std::time::Duration| format!("{} s", span.as_secs());
    let place = |region: &Option<String>| region.clone().unwrap_or_else(|| "any region".into());
    match kind {
        FaultKind::Throttle { retry_after } => format!("{retry_after} s"),
        FaultKind::SlowOperation { extra: span } | FaultKind::RoleDelay { delay: span } => seconds(span),
        FaultKind::NoQuota { region, .. } | FaultKind::NoSku { region, .. } => place(region),
        FaultKind::DebuggableGuest { machine }
        | FaultKind::TamperedImage { machine }
        | FaultKind::OutdatedHost { machine } => machine.clone().unwrap_or_else(|| "any machine".into()),
        FaultKind::ServerError | FaultKind::DropBefore | FaultKind::DropAfter => String::new(),
    }
}

/// The fault that the arguments describe.
fn described(choice: FaultChoice, args: &FaultArgs) -> Fault {
    let seconds = |default: u32| args.seconds.unwrap_or(default);
    let span = |default| std::time::Duration::from_secs(u64::from(seconds(default)));
    let kind = match choice {
        FaultChoice::Throttle => FaultKind::Throttle { retry_after: seconds(1) },
        FaultChoice::ServerError => FaultKind::ServerError,
        FaultChoice::DropRequest => FaultKind::DropBefore,
        FaultChoice::DropAnswer => FaultKind::DropAfter,
        FaultChoice::SlowOperation => FaultKind::SlowOperation { extra: span(5) },
        FaultChoice::RbacDelay => FaultKind::RoleDelay { delay: span(10) },
        FaultChoice::QuotaZero => FaultKind::NoQuota { region: args.region.clone(), family: None },
        FaultChoice::MissingSku => FaultKind::NoSku { region: args.region.clone(), size: None },
        FaultChoice::DebuggableGuest => FaultKind::DebuggableGuest { machine: args.machine.clone() },
        FaultChoice::TamperedImage => FaultKind::TamperedImage { machine: args.machine.clone() },
        FaultChoice::OutdatedHost => FaultKind::OutdatedHost { machine: args.machine.clone() },
    };
    Fault { kind, host: args.host.clone(), path: args.matching.clone(), method: args.method.clone(), times: args.times }
}

/// Prints the roots of the test world.
fn roots(app: &App) -> Result<u8, Failure> {
    let roots = connect::open_embedded(app)?.test_roots().map_err(|e| broken(&e))?;
    match app.output() {
        Output::Json => out::json(&json!({ "roots": roots })),
        Output::Human => out::data(&roots),
    }
    Ok(0)
}

/// Shows or moves the clock.
fn clock(app: &App, forward: Option<&str>) -> Result<u8, Failure> {
    let cloud = connect::open_embedded(app)?;
    if let Some(text) = forward {
        let by = span(text).ok_or_else(|| {
            Problem::new(codes::USAGE, format!("`{text}` is no span of time")).fix("for example 7d, 36h, 90m, 30s")
        })?;
        cloud.advance(by.to_std().unwrap_or_default()).map_err(|e| broken(&e))?;
    }
    let now = cloud.now().map_err(|e| broken(&e))?;
    match app.output() {
        Output::Json => out::json(&json!({ "now": now })),
        Output::Human => out::data(&now.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)),
    }
    Ok(0)
}

/// Lists what exists, and what costs by the hour.
fn show(app: &App) -> Result<u8, Failure> {
    let cloud = connect::open_embedded(app)?;
    let items = cloud.inventory().map_err(|e| broken(&e))?;
    let bills = Bills::of(&cloud).map_err(|e| broken(&e))?;
    match app.output() {
        Output::Json => {
            let with_bill = |item: &Item| {
                let mut shown = json!(item);
                if let Some(bill) = bills.json(item) {
                    shown["bill"] = bill;
                }
                shown
            };
            out::json(&items.iter().map(with_bill).collect::<Vec<_>>());
        }
        Output::Human if items.is_empty() => out::note("The embedded Azure is empty."),
        Output::Human => {
            let rows = items.iter().map(|i| vec![i.kind.clone(), i.id.clone()]).collect::<Vec<_>>();
            out::data(&table(&["KIND", "ID"], &rows));
            let told: Vec<_> = bills.told().map(|told| line(Tone::Warn, "costs", told)).collect();
            if !told.is_empty() {
                app.data(&told);
            }
        }
    }
    Ok(0)
}

/// Prints the request log.
fn requests(app: &App) -> Result<u8, Failure> {
    let cloud = connect::open_embedded(app)?;
    let log = cloud.requests(0).map_err(|e| broken(&e))?;
    match app.output() {
        Output::Json => log.iter().for_each(|r| out::json_line(&json!({ "time": r.time, "status": r.status, "method": r.method, "host": r.host, "path": r.path, "query": r.query, "operation": r.operation, "code": r.code, "caller": r.caller, "fault": r.fault }))),
        Output::Human => {
            let rows: Vec<Vec<String>> = log
                .iter()
                .map(|r| vec![r.time.format("%H:%M:%S%.3f").to_string(), r.status.to_string(), r.method.clone(), r.operation.clone(), format!("{}{}", r.host, r.path)])
                .collect();
            out::data(&table(&["TIME", "STATUS", "METHOD", "OPERATION", "URL"], &rows));
        }
    }
    Ok(0)
}

async fn start(app: &App, cloud: &sealbook_cloud::Cloud, port: u16, machine: &[String]) -> Result<Server, Problem> {
    let mut identities = Vec::new();
    for resource in machine {
        let found = cloud.identities_of(resource).map_err(|e| broken(&e))?;
        if found.is_empty() {
            return Err(Problem::new(codes::USAGE, format!("`{resource}` has no managed identity"))
                .fix("name a resource with an identity; sealbook cloud show lists resources"));
        }
        identities.extend(found);
    }
    let options = Options { port, identities: MachineIdentities(identities), ..Options::default() };
    Server::start(cloud.clone(), &app.home().cloud_dir(), options).await.map_err(in_use)
}

/// The server that is up for this home.
fn running(app: &App) -> Option<Endpoint> {
    Endpoint::find(&app.home().cloud_dir()).ok().flatten()
}

fn in_use(error: impl std::fmt::Display) -> Problem {
    Problem::new(codes::CLOUD_IN_USE, "the embedded Azure can't be served").because(error.to_string())
}

fn broken(error: &CloudError) -> Problem {
    Problem::new(codes::CLOUD_STATE, "the embedded Azure can't be read or changed")
        .because(error.to_string())
        .fix("`sealbook doctor` looks for the cause")
}

/// Reads `7d`, `36h`, `90m`, `30s`.
fn span(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.len().checked_sub(1)?);
    let number: i64 = number.parse().ok()?;
    match unit {
        "d" => Duration::try_days(number),
        "h" => Duration::try_hours(number),
        "m" => Duration::try_minutes(number),
        "s" => Duration::try_seconds(number),
        _ => None,
    }
}
