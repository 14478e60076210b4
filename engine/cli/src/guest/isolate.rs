//! Keeps a machine's process away from the account that it runs under, as far as the kernel can.
//!
//! Landlock (Linux 5.13 and later) takes away the rights to files outside of the machine's own folder and, from ABI 4 on,
//! to TCP ports other than the door's; from ABI 6 on, signals to other processes, too. To listen, a port that the kernel
//! chooses is left: what a machine serves, it publishes through its door. It does not cover UDP, nor what the account can
//! read over loopback ports of its own choice when the kernel is older.
//!
//! Source: <https://docs.kernel.org/userspace-api/landlock.html>.

use std::io;
use std::path::Path;

/// What the isolation is called when there is none.
const NONE: &str = "guest not isolated from this account";

/// Gives up everything but `disk` and the loopback port of the door. Says in words what came about.
///
/// The process must not have other threads yet.
#[cfg(target_os = "linux")]
pub fn enter(disk: &Path, port: u16) -> io::Result<String> {
    close_memory()?;
    Ok(landlock(disk, port).unwrap_or_else(|error| format!("{NONE}: {error}")))
}

/// Memory holds keys: no core file, and no other process of the account may look into it.
#[cfg(target_os = "linux")]
pub fn close_memory() -> io::Result<()> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

#[cfg(not(target_os = "linux"))]
pub fn close_memory() -> io::Result<()> {
    Ok(())
}

#[cfg(not(target_os = "linux"))]
pub fn enter(_: &Path, _: u16) -> io::Result<String> {
    Ok(NONE.to_owned())
}

#[cfg(target_os = "linux")]
fn landlock(disk: &Path, port: u16) -> Result<String, landlock::RulesetError> {
    use landlock::{
        ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, NetPort, Ruleset, RulesetAttr,
        RulesetCreatedAttr, RulesetStatus, Scope, path_beneath_rules,
    };

    /// The newest ABI whose rights are asked for; an older kernel grants fewer.
    const ASKED: ABI = ABI::V6;
    /// Where libraries lie that a program may load late.
    const LIBRARIES: [&str; 5] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache"];
    const DEVICES: [&str; 3] = ["/dev/null", "/dev/random", "/dev/urandom"];

    let program = std::env::current_exe().ok();
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ASKED))?
        .handle_access(AccessNet::from_all(ASKED))?
        .scope(Scope::from_all(ASKED))?
        .create()?
        .add_rules(path_beneath_rules(LIBRARIES, AccessFs::from_read(ASKED)))?
        .add_rules(path_beneath_rules(program, AccessFs::from_read(ASKED)))?
        .add_rules(path_beneath_rules(DEVICES, AccessFs::ReadFile | AccessFs::WriteFile))?
        .add_rules(path_beneath_rules([disk], AccessFs::from_all(ASKED) & !AccessFs::Execute))?
        .add_rule(NetPort::new(port, AccessNet::ConnectTcp))?
        // Port 0 stands for whichever one the kernel chooses.
        .add_rule(NetPort::new(0, AccessNet::BindTcp))?
        .restrict_self()?;
    Ok(match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, _) => NONE.to_owned(),
        (_, LandlockStatus::Available { effective_abi, .. }) => {
            format!("guest isolated by Landlock ABI {effective_abi}")
        }
        _ => "guest isolated by Landlock".to_owned(),
    })
}
