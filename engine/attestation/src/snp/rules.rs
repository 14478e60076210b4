//! What an owner demands of a guest and its host.

use super::product::Tcb;
use super::report::{GuestPolicy, Report};
use crate::verdict::{Outcome, Verdict};

/// Demands on a report. By default: no debugging, no migration agent, no unknown policy bits, privilege level 0 to 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// What the guest may be like.
    pub guest: GuestRules,
    /// The least TCB, part by part: reported and committed. `None` demands nothing.
    pub min_tcb: Option<Tcb>,
    /// The least TCB at launch.
    pub min_launch_tcb: Option<Tcb>,
    /// Whether a key that AMD gave to a cloud provider may sign.
    pub allow_vlek: bool,
    /// REPORT_DATA must be this.
    pub report_data: Option<[u8; 64]>,
    /// HOST_DATA must be this.
    pub host_data: Option<[u8; 32]>,
    /// MEASUREMENT must be one of these, when there are any.
    pub measurements: Vec<[u8; 48]>,
    /// CHIP_ID must be one of these, when there are any.
    pub chips: Vec<[u8; 64]>,
    /// SHA-384 of the key that signed the ID block must be one of these, when there are any.
    pub id_keys: Vec<[u8; 48]>,
    /// SHA-384 of the author's key must be one of these, when there are any.
    pub author_keys: Vec<[u8; 48]>,
}

/// Demands on POLICY and VMPL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestRules {
    /// The host may read and write the guest's memory.
    pub allow_debug: bool,
    /// A migration agent may move the guest.
    pub allow_migration_agent: bool,
    /// Two threads of a core may belong to different owners.
    pub allow_smt: bool,
    /// The guest must stay on one socket.
    pub require_single_socket: bool,
    /// The least version of the firmware's interface that the policy demands: major, minor.
    pub min_abi: Option<(u8, u8)>,
    /// The lowest privilege level that may have asked (0 is the highest, 3 the lowest).
    pub max_vmpl: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            guest: GuestRules {
                allow_debug: false,
                allow_migration_agent: false,
                allow_smt: true,
                require_single_socket: false,
                min_abi: None,
                max_vmpl: 3,
            },
            min_tcb: None,
            min_launch_tcb: None,
            allow_vlek: true,
            report_data: None,
            host_data: None,
            measurements: Vec::new(),
            chips: Vec::new(),
            id_keys: Vec::new(),
            author_keys: Vec::new(),
        }
    }
}

impl Rules {
    /// Notes `snp.policy`, `snp.vmpl`, and what else is demanded.
    pub(super) fn judge(&self, report: &Report, verdict: &mut Verdict) {
        self.guest.judge(report.policy, verdict);
        let most = self.guest.max_vmpl;
        let detail = match report.vmpl {
            u32::MAX => "the host asked for this report, not the guest".to_owned(),
            level => format!("level {level} asked; {most} is allowed at the lowest"),
        };
        verdict.check("snp.vmpl", report.vmpl <= most.min(3), detail);
        equals("snp.report_data", &report.report_data, self.report_data.as_ref(), verdict);
        equals("snp.host_data", &report.host_data, self.host_data.as_ref(), verdict);
        one_of("snp.measurement", &report.measurement, &self.measurements, verdict);
        one_of("snp.chip_allowed", &report.chip_id, &self.chips, verdict);
        one_of("snp.id_key", &report.id_key_digest, &self.id_keys, verdict);
        one_of("snp.author_key", &report.author_key_digest, &self.author_keys, verdict);
    }
}

impl GuestRules {
    fn judge(&self, policy: GuestPolicy, verdict: &mut Verdict) {
        let (major, minor) = policy.abi();
        let mut problems = Vec::new();
        for (name, allowed, what) in [
            ("debug_allowed", self.allow_debug, "the host may debug the guest: read and write its memory"),
            ("migration_agent_allowed", self.allow_migration_agent, "a migration agent may move the guest"),
            ("smt_allowed", self.allow_smt, "threads of one core may have different owners"),
        ] {
            if policy.has(name) && !allowed {
                problems.push(what.to_owned());
            }
        }
        if self.require_single_socket && !policy.has("single_socket_required") {
            problems.push("the guest may run on several sockets".to_owned());
        }
        if policy.unknown() != 0 {
            problems.push(format!("bits {:#x} have no meaning that is known", policy.unknown()));
        }
        if let Some((least_major, least_minor)) = self.min_abi.filter(|least| (major, minor) < *least) {
            problems
                .push(format!("it takes firmware {major}.{minor}, at least {least_major}.{least_minor} was demanded"));
        }
        let debug = if policy.has("debug_allowed") { "debugging allowed" } else { "no debugging" };
        let agent =
            if policy.has("migration_agent_allowed") { "migration agent allowed" } else { "no migration agent" };
        let detail =
            if problems.is_empty() { format!("{:#x}: {debug}, {agent}", policy.0) } else { problems.join("; ") };
        verdict.check("snp.policy", problems.is_empty(), detail);
    }
}

fn equals(name: &str, seen: &[u8], demanded: Option<&(impl AsRef<[u8]> + ?Sized)>, verdict: &mut Verdict) {
    match demanded.map(AsRef::as_ref) {
        None => verdict.note(name, Outcome::NotApplicable, "nothing was demanded"),
        Some(demanded) if demanded == seen => verdict.note(name, Outcome::Passed, hex::encode(seen)),
        Some(demanded) => {
            let detail = format!("it is {}, demanded was {}", hex::encode(seen), hex::encode(demanded));
            verdict.note(name, Outcome::Failed, detail);
        }
    }
}

fn one_of<const N: usize>(name: &str, seen: &[u8; N], allowed: &[[u8; N]], verdict: &mut Verdict) {
    if allowed.is_empty() {
        verdict.note(name, Outcome::NotApplicable, "no list was given");
    } else {
        let holds = allowed.contains(seen);
        let detail = if holds { "one of those listed" } else { "none of those listed" };
        verdict.check(name, holds, format!("{} is {detail}", hex::encode(seen)));
    }
}
