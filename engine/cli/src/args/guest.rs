//! `guest`: what runs inside a confidential virtual machine.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum GuestCommand {
    /// Attest this confidential VM and have a key released to it. With --unwrap, also unwrap a data key with it.
    Release(GuestReleaseArgs),
    /// Attest this confidential VM and list every check. With --out, write its evidence.
    Attest(GuestAttestArgs),
    /// Start the agent that takes a run's steps out of its mailbox: what run-command calls, not people.
    #[command(hide = true)]
    Start(GuestStartArgs),
    /// Be that agent.
    #[command(hide = true)]
    Agent(GuestAgentArgs),
    /// Be a virtual machine of the embedded Azure: what the embedded Azure starts, not people.
    #[command(hide = true)]
    Serve,
    /// Try from inside what a machine must not be able to do.
    #[cfg(debug_assertions)]
    #[command(hide = true)]
    Probe(GuestProbe),
}

/// Who judges the machine, and who it is.
#[derive(Debug, Args)]
pub struct ProviderArgs {
    /// The attestation provider, such as https://sharedweu.weu.attest.azure.net
    #[arg(long, value_name = "URL")]
    pub attest_url: String,
    /// What the evidence and the token shall answer, at most 64 bytes; 32 random bytes if not given.
    #[arg(long, value_name = "TEXT")]
    pub nonce: Option<String>,
    /// The client id of a user-assigned identity; the system-assigned one if not given.
    #[arg(long, value_name = "CLIENT ID")]
    pub identity: Option<String>,
}

#[derive(Debug, Args)]
pub struct GuestReleaseArgs {
    #[command(flatten)]
    pub provider: ProviderArgs,
    /// The key's address, such as https://NAME.vault.azure.net/keys/KEY
    #[arg(long, value_name = "URL")]
    pub kid: String,
    /// A data key that was wrapped with it by RSA-OAEP-256, raw or in Base64; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub unwrap: Option<PathBuf>,
    /// A new file, for you alone, that gets the data key; without --unwrap, the released private key as PEM. Without
    /// this, the release is proved and no key is written.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct GuestAttestArgs {
    #[command(flatten)]
    pub provider: ProviderArgs,
    /// A new file that gets what the machine presented, with the token: JSON, as `attest verify --type az-snp-vtpm`
    /// reads it.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct GuestStartArgs {
    /// Where the run's jobs and replies lie.
    #[arg(long, value_name = "URL")]
    pub mailbox: String,
    /// The public key of the run that gives the agent its jobs (Ed25519), in hex.
    #[arg(long, value_name = "HEX")]
    pub signer: String,
    /// What the agent leaves on the machine until it is restarted: its lock, what it said, its log.
    #[arg(long, value_name = "FOLDER", default_value = "/run/sealbook")]
    pub state: PathBuf,
}

#[derive(Debug, Args)]
pub struct GuestAgentArgs {
    #[command(flatten)]
    pub start: GuestStartArgs,
    /// The id of this start of the agent.
    #[arg(long, value_name = "ID")]
    pub instance: String,
}

/// What is tried.
#[cfg(debug_assertions)]
#[derive(Debug, Args)]
pub struct GuestProbe {
    /// A file or folder to read.
    #[arg(long)]
    pub read: Vec<PathBuf>,
    /// A folder to write a file into.
    #[arg(long)]
    pub write: Vec<PathBuf>,
    /// A loopback port to connect to.
    #[arg(long)]
    pub connect: Vec<u16>,
}
