//! The command line, as types. Its help is the reference.

mod guest;
mod policy;
mod sealed;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sealbook_cloud::front::SignIn;
use sealbook_model::CloudName;

#[cfg(debug_assertions)]
pub use guest::GuestProbe;
pub use guest::{GuestAgentArgs, GuestAttestArgs, GuestCommand, GuestReleaseArgs, GuestStartArgs, ProviderArgs};
pub use policy::{NewPolicyArgs, PolicyCommand};
pub use sealed::{CommonArgs, LayoutChoice, OpenArgs, SealArgs};

/// Guided, resumable labs about confidential computing and customer-managed keys on Azure.
///
/// A lab runs on an embedded Azure on this machine unless you say `--cloud azure`: no subscription, no cost.
#[derive(Debug, Parser)]
#[command(name = "sealbook", version, max_term_width = 100, after_help = EXAMPLES, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  sealbook list                      what there is to learn
  sealbook plan cmk-storage          what a lab would do, and what it would cost
  sealbook run cmk-storage           do it, with explanations
  sealbook run cmk-storage --hands-on   do it yourself; Sealbook judges
  sealbook resume                    go on after an interruption
  sealbook report                    the latest run as a web page
  sealbook undo                      clean up

Exit codes: 0 done, 1 bug, 2 usage or needs a terminal, 10 playbook invalid, 11 not granted,
12 sign-in needed, 20 step failed (resumable), 21 evidence did not verify, 130 interrupted (resumable)";

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Where runs, keys and the embedded Azure are kept.
    #[arg(long, global = true, env = "SEALBOOK_HOME", value_name = "FOLDER", hide_env_values = true)]
    pub home: Option<PathBuf>,
    /// For people, or as JSON on stdout (NDJSON for run, resume and undo).
    #[arg(long, global = true, value_enum, default_value_t = Output::Human)]
    pub output: Output,
    /// How to show progress: auto takes rich on a terminal and plain elsewhere.
    #[arg(long, global = true, value_enum, default_value_t = UiChoice::Auto)]
    pub ui: UiChoice,
    /// Colours: auto takes them on a terminal unless NO_COLOR is set.
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Human,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum UiChoice {
    Auto,
    Rich,
    Plain,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CloudChoice {
    /// The Azure inside this program: no subscription, no cost.
    Embedded,
    /// Azure itself, with your sign-in: real resources, real cost.
    Azure,
}

impl From<CloudChoice> for CloudName {
    fn from(choice: CloudChoice) -> Self {
        match choice {
            CloudChoice::Embedded => Self::Embedded,
            CloudChoice::Azure => Self::Azure,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the playbooks.
    List,
    /// Show what a playbook teaches, its inputs and its choices.
    Show {
        /// A playbook's id, or the path of one.
        playbook: String,
    },
    /// Preview a run: steps, grants, costs and what is left behind. Changes nothing.
    Plan(PlanArgs),
    /// Print what a playbook does as `az` commands, for Bash or PowerShell, or as a document.
    Export(ExportArgs),
    /// Run a playbook.
    Run(RunArgs),
    /// Go on with an interrupted or failed run (the latest when none is named).
    Resume(ResumeArgs),
    /// List the runs of this home.
    Runs {
        #[command(subcommand)]
        command: Option<RunsCommand>,
    },
    /// Show where a run stands.
    Status {
        /// A run's id or the beginning of it; the latest when none is named.
        run: Option<String>,
    },
    /// Print a run's journal.
    Log {
        /// A run's id or the beginning of it; the latest when none is named.
        run: Option<String>,
    },
    /// Write a run as one web page: steps, evidence, pictures, costs, what remains.
    Report {
        /// A run's id or the beginning of it; the latest when none is named.
        run: Option<String>,
        /// Where to; `-` is standard output. Without it, sealbook-RUN.html in this folder. With --output json the data
        /// goes to standard output and no page is written.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Write what this home recorded of a run, chained and signed, for others to verify.
    Transcript {
        /// A run's id or the beginning of it; the latest when none is named.
        run: Option<String>,
        /// Where to; `-` is standard output. Without it, sealbook-RUN.ndjson in this folder.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Verify a transcript, offline and without the home that wrote it.
    VerifyTranscript {
        /// The transcript; `-` is standard input.
        file: PathBuf,
        /// The public key of the home that it must come from, as 64 hex digits.
        #[arg(long, value_name = "HEX")]
        key: Option<String>,
        /// Trust these roots too when its evidence is judged; docs/attestation.md has the form of the file.
        #[arg(long, value_name = "FILE")]
        roots: Option<PathBuf>,
    },
    /// Give the next hint for the step a run stands at.
    Hint {
        /// A run's id or the beginning of it; the latest when none is named.
        run: Option<String>,
    },
    /// Look again at what a run proved, with fresh eyes.
    Verify {
        /// A run's id or the beginning of it; the latest when none is named.
        run: Option<String>,
        /// Only this step.
        step: Option<String>,
        #[command(flatten)]
        azure: AzureArgs,
    },
    /// Clean up what a run made; list what remains, until when, and at what cost.
    Undo {
        /// A run's id or the beginning of it; the latest when none is named.
        run: Option<String>,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        azure: AzureArgs,
    },
    /// Check a playbook and report all its problems.
    Check {
        /// A playbook's folder or its playbook.toml; an id checks a standard one.
        path: String,
    },
    /// Inside a confidential VM in Azure: attest it, have a key released to it.
    Guest {
        #[command(subcommand)]
        command: GuestCommand,
    },
    /// Print a JSON Schema.
    Schema {
        #[arg(value_enum)]
        what: SchemaChoice,
        /// With `plugin`: which one.
        plugin: Option<String>,
    },
    /// Explain a problem code.
    Explain {
        /// For example SB0103; without one, all codes are listed.
        code: Option<String>,
    },
    /// Seal a file of any size under a key of its own, wrapped by a key encryption key.
    Seal(SealArgs),
    /// Open a sealed file, or one of the labs: what does not verify is not written.
    Open(OpenArgs),
    /// Release policies of keys: test one against a token, have it explained, write one.
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Evidence of confidential computing: verify it, offline, or show what is in it.
    Attest {
        #[command(subcommand)]
        command: AttestCommand,
    },
    /// The embedded Azure: serve it to `az` and SDKs, move its clock, break it.
    Cloud {
        #[command(subcommand)]
        command: CloudCommand,
    },
    /// Look for what would stand in a lab's way on this machine, and name the cure.
    Doctor,
    /// Print a completion script for a shell.
    Completions {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
pub enum AttestCommand {
    /// Verify evidence and list every check. Exits with 21 when it does not verify.
    Verify(AttestVerifyArgs),
    /// Show what a piece of evidence states. Verifies nothing.
    Show {
        /// A report, a quote, a certificate, or evidence in JSON.
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub struct AttestVerifyArgs {
    /// What kind of evidence it is.
    #[arg(long = "type", value_enum)]
    pub kind: EvidenceType,
    /// The evidence, then what vouches for it: certificates (PEM, DER, or the answer of Azure's THIM service) with SNP,
    /// collateral in JSON with TDX.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The instant for which it is judged; now, if not given.
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// What it must answer: the quote's nonce, or the first bytes of the report data.
    #[arg(long, value_name = "HEX")]
    pub nonce: Option<String>,
    /// Accept a guest that its host may debug.
    #[arg(long)]
    pub allow_debug: bool,
    /// Trust these roots too; docs/attestation.md has the form of the file.
    #[arg(long, value_name = "PEM")]
    pub roots: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EvidenceType {
    /// A report of AMD SEV-SNP, and its certificates.
    Snp,
    /// A confidential VM on Azure with SEV-SNP: the paravisor's report, VCEK and vTPM quote in JSON.
    AzSnpVtpm,
    /// A confidential VM on Azure with TDX: the paravisor's report, TD quote and vTPM quote in JSON, and collateral.
    AzTdxVtpm,
    /// A quote of Intel TDX, and its collateral.
    Tdx,
}

#[derive(Debug, Args)]
pub struct PlanArgs {
    /// A playbook's id, or the path of one.
    pub playbook: String,
    #[command(flatten)]
    pub inputs: InputArgs,
    /// Where it would run.
    #[arg(long, value_enum, default_value_t = CloudChoice::Embedded)]
    pub cloud: CloudChoice,
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// A playbook's id, or the path of one.
    pub playbook: String,
    /// Which form.
    #[arg(long, value_enum, default_value_t = ExportFormat::Bash)]
    pub format: ExportFormat,
    #[command(flatten)]
    pub inputs: InputArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// A script for Bash.
    Bash,
    /// A script for PowerShell 7.4 or later.
    Powershell,
    /// A document in Markdown.
    Markdown,
}

#[derive(Debug, Args)]
pub struct InputArgs {
    /// Go on from an earlier run: take what it made, such as its key store.
    #[arg(long, value_name = "RUN")]
    pub from: Option<String>,
    /// An input (none that is secret) or the answer to a choice; repeatable.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// A secret input from a file (`-`: standard input), so that it shows in no process list; repeatable.
    #[arg(long = "set-file", value_name = "NAME=FILE")]
    pub set_file: Vec<String>,
}

/// How to reach Azure itself. Ignored on the embedded Azure.
#[derive(Debug, Default, Clone, Args)]
pub struct AzureArgs {
    /// With --cloud azure: the tenant.
    #[arg(long, env = "AZURE_TENANT_ID", hide_env_values = true)]
    pub tenant: Option<String>,
    /// With --cloud azure: the subscription.
    #[arg(long, env = "AZURE_SUBSCRIPTION_ID", hide_env_values = true)]
    pub subscription: Option<String>,
    /// With --cloud azure: how to sign in.
    #[arg(long, value_enum, default_value_t = CredentialChoice::Developer)]
    pub credential: CredentialChoice,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CredentialChoice {
    /// Azure CLI or Azure Developer CLI.
    #[default]
    Developer,
    /// The managed identity of this machine.
    ManagedIdentity,
    /// A federated token (AZURE_FEDERATED_TOKEN_FILE).
    WorkloadIdentity,
    /// AZURE_CLIENT_ID and AZURE_CLIENT_SECRET.
    ClientSecret,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// A playbook's id, or the path of one.
    pub playbook: String,
    #[command(flatten)]
    pub inputs: InputArgs,
    /// Where to run it.
    #[arg(long, value_enum, default_value_t = CloudChoice::Embedded)]
    pub cloud: CloudChoice,
    #[command(flatten)]
    pub azure: AzureArgs,
    /// Do the steps yourself; Sealbook judges, hints, and helps where you ask.
    #[arg(long)]
    pub hands_on: bool,
    /// Consent to the plan and take the defaults. Costs that need typed consent are not answered by this. On the
    /// embedded Azure, where nothing costs, a run without a terminal does not ask.
    #[arg(long, short)]
    pub yes: bool,
    /// The text that a costly choice asks you to type; repeatable.
    #[arg(long, value_name = "TEXT")]
    pub confirm: Vec<String>,
}

#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// A run's id or the beginning of it; the latest when none is named.
    pub run: Option<String>,
    /// Do not ask. A run that was started with --yes does not ask anyway.
    #[arg(long, short)]
    pub yes: bool,
    /// Ask, although the run was started with --yes.
    #[arg(long, conflicts_with = "yes")]
    pub ask: bool,
    #[command(flatten)]
    pub azure: AzureArgs,
}

#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// Remove a run from this home, its secrets first. What it made in the cloud stays: undo it before.
    Rm {
        /// A run's id.
        run: String,
        /// Remove it although things it made may still exist.
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaChoice {
    /// The format of playbook.toml.
    Playbook,
    /// The format of part.toml.
    Part,
    /// A plugin's inputs and outputs.
    Plugin,
}

#[derive(Debug, Subcommand)]
pub enum CloudCommand {
    /// Serve the embedded Azure on this machine until Ctrl-C.
    Serve {
        /// The port of the proxy; 0 picks one.
        #[arg(long, default_value_t = 0)]
        port: u16,
        /// A resource whose managed identity callers shall have, as on a machine of that resource; repeatable.
        #[arg(long, value_name = "RESOURCE ID")]
        identity: Vec<String>,
    },
    /// Run a command (az, python, …) against the embedded Azure.
    Exec {
        /// As whom SDKs sign in: the learner, unless --identity says otherwise.
        #[arg(long = "as", value_name = "WHO", value_enum)]
        who: Option<WhoChoice>,
        /// A resource whose managed identity the command shall have, as on a machine of that resource; repeatable.
        #[arg(long, value_name = "RESOURCE ID")]
        identity: Vec<String>,
        /// A running confidential VM that the command shall be in: with its identity and its TPM, which
        /// `sealbook guest` finds there.
        #[arg(long, value_name = "RESOURCE ID", conflicts_with = "who")]
        machine: Option<String>,
        /// The command and its arguments, after `--`.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Print the environment that a running `cloud serve` needs, as exports for a shell.
    Env {
        /// As whom SDKs sign in: the learner, unless this says otherwise.
        #[arg(long = "as", value_name = "WHO", value_enum)]
        who: Option<WhoChoice>,
    },
    /// Delete the embedded Azure with everything in it.
    Reset {
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
    /// Make the embedded Azure misbehave, or list (no argument) and clear the faults.
    Fault(FaultArgs),
    /// Show or move the embedded Azure's clock.
    Clock {
        /// How far to move it, for example 7d, 36h, 90m.
        #[arg(long, value_name = "SPAN")]
        forward: Option<String>,
    },
    /// List what exists in the embedded Azure.
    Show,
    /// Print the requests that the embedded Azure was asked.
    Requests,
    /// Print the test roots of the embedded Azure, as `attest verify --roots` reads them.
    Roots,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WhoChoice {
    /// The person whom the labs give roles to.
    Learner,
    /// The service principal of an application.
    App,
}

impl From<WhoChoice> for SignIn {
    fn from(choice: WhoChoice) -> Self {
        match choice {
            WhoChoice::Learner => Self::Learner,
            WhoChoice::App => Self::Application,
        }
    }
}

#[derive(Debug, Args)]
pub struct FaultArgs {
    /// Which fault.
    #[arg(value_enum)]
    pub kind: Option<FaultChoice>,
    /// Only requests whose path contains this.
    #[arg(long = "match", value_name = "TEXT")]
    pub matching: Option<String>,
    /// Only requests to hosts that contain this.
    #[arg(long)]
    pub host: Option<String>,
    /// Only this method.
    #[arg(long)]
    pub method: Option<String>,
    /// How often; without it, until cleared.
    #[arg(long)]
    pub times: Option<u32>,
    /// Seconds: Retry-After, the length of a slow operation, or the delay of roles.
    #[arg(long)]
    pub seconds: Option<u32>,
    /// With a quota or a SKU: only in this region.
    #[arg(long)]
    pub region: Option<String>,
    /// With a flaw of confidential machines: only the machine of this name.
    #[arg(long)]
    pub machine: Option<String>,
    /// Clear all faults.
    #[arg(long, conflicts_with = "kind")]
    pub clear: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FaultChoice {
    /// 429 with Retry-After.
    Throttle,
    /// 500.
    ServerError,
    /// The connection breaks before the request is carried out.
    DropRequest,
    /// The connection breaks after the request was carried out.
    DropAnswer,
    /// Long-running operations take longer.
    SlowOperation,
    /// Role assignments take longer to arrive.
    RbacDelay,
    /// A quota of zero.
    QuotaZero,
    /// A region without the SKU.
    MissingSku,
    /// Confidential machines that the host may debug, from their next start.
    DebuggableGuest,
    /// Confidential machines whose image somebody changed, from their next start.
    TamperedImage,
    /// Confidential machines whose host misses its updates, from their next start.
    OutdatedHost,
}
