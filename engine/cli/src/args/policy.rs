//! `policy`: release policies of keys.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Say whether a key under a policy would be released to a token, and if not, which clause failed and why. The
    /// token's signature and times are not looked at.
    Test {
        /// The policy: its JSON, the envelope of Key Vault or az, a key with it, or its base64url (`-`: standard input).
        policy: PathBuf,
        /// A token of Azure Attestation, or its claims as JSON (`-`: standard input).
        token: PathBuf,
    },
    /// Say in words what a policy asks, and what it may get wrong; with a token, what comes of each clause.
    Explain {
        /// The policy: its JSON, the envelope of Key Vault or az, a key with it, or its base64url (`-`: standard input).
        policy: PathBuf,
        /// A token of Azure Attestation, or its claims as JSON (`-`: standard input).
        token: Option<PathBuf>,
    },
    /// Write a policy that a token fulfils: kind of machine, compliance, no debugging, and what you add.
    New(NewPolicyArgs),
}

#[derive(Debug, Args)]
pub struct NewPolicyArgs {
    /// A token of Azure Attestation, or its claims as JSON (`-`: standard input).
    pub token: PathBuf,
    /// Also demand this token's launch measurement: the same firmware.
    #[arg(long)]
    pub measurement: bool,
    /// Also demand this token's user data.
    #[arg(long)]
    pub user_data: bool,
    /// Trust this issuer instead of the token's.
    #[arg(long, value_name = "URL")]
    pub authority: Option<String>,
    /// Write it to a new file instead of standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}
