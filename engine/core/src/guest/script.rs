//! The one thing that is ever run in a confidential VM by run-command: the start of the guest's agent.

use serde::{Deserialize, Serialize};

/// Parameter with the URI below which the run's jobs and replies lie.
pub const MAILBOX: &str = "mailbox";
/// Parameter with the SHA-256 of the agent's binary, in lower-case hex.
pub const DIGEST: &str = "digest";

/// The script (`RunShellScript`). It installs the agent's binary if it is not there, from the mailbox and with the VM's
/// own identity, checks its digest, and starts it unless it is running. Its last line is a [`Started`] as JSON.
///
/// The embedded Azure's machines understand this text and no other.
pub const SCRIPT: &[&str] = &[
    "set -eu",
    "umask 077",
    "home=/opt/sealbook/$digest",
    "if [ ! -x \"$home/sealbook\" ]; then",
    "  mkdir -p \"$home\"",
    "  asked='http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fstorage.azure.com%2F'",
    "  token=$(curl -sSf --noproxy '*' -H Metadata:true \"$asked\" | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')",
    "  if ! printf 'header = \"Authorization: Bearer %s\"\\n' \"$token\" | curl -sSf -K - -H 'x-ms-version: 2023-11-03' -o \"$home/new\" \"$mailbox/agent/$digest\"; then",
    "    echo '{\"missing\":true}'",
    "    exit 0",
    "  fi",
    "  echo \"$digest  $home/new\" | sha256sum -c - >/dev/null",
    "  chmod 700 \"$home/new\"",
    "  mv \"$home/new\" \"$home/sealbook\"",
    "fi",
    "exec \"$home/sealbook\" guest start --mailbox \"$mailbox\"",
];

/// What the script answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Started {
    /// The agent, by an id that is new with every start of it.
    pub agent: String,
    /// Its version.
    pub version: String,
    /// How it is kept apart from the rest of its machine, in words.
    pub isolation: String,
    /// The binary is neither installed nor in the mailbox.
    pub missing: bool,
}
