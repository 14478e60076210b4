//! The one thing that is ever run in a confidential VM by run-command: the start of the guest's agent.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Parameter with the URI below which the run's jobs and replies lie.
pub const MAILBOX: &str = "mailbox";
/// Parameter with the SHA-256 of the agent's binary, in lower-case hex.
pub const DIGEST: &str = "digest";

/// Parameter with the public key of whoever gives the agent its jobs (Ed25519), in lower-case hex.
pub const SIGNER: &str = "signer";

/// The script (`RunShellScript`). It installs the agent's binary if it is not there, from the mailbox and with the VM's
/// own identity, checks its digest, and starts it unless it is running. Its last line is a [`Started`] as JSON.
///
/// Named parameters come as variables or as `name=value` in their order. The token is handed to curl on its standard
/// input: arguments show to every process of the machine. A reader of the mailbox who has no role yet is no failure.
///
/// The embedded Azure's machines understand this text and no other.
pub const SCRIPT: &[&str] = &[
    "set -eu",
    "mailbox=${mailbox:-${1#mailbox=}}",
    "digest=${digest:-${2#digest=}}",
    "signer=${signer:-${3#signer=}}",
    "umask 077",
    "home=/opt/sealbook/$digest",
    "if [ ! -x \"$home/sealbook\" ]; then",
    "  mkdir -p \"$home\"",
    "  asked='http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fstorage.azure.com%2F'",
    "  answer=$(curl -sS --retry 5 --noproxy '*' -H Metadata:true \"$asked\")",
    "  token=$(printf '%s' \"$answer\" | sed -n 's/.*\"access_token\" *: *\"\\([^\"]*\\)\".*/\\1/p')",
    "  if [ -z \"$token\" ]; then",
    "    echo \"the machine gets no token for its identity: $answer\" >&2",
    "    exit 1",
    "  fi",
    "  status=$(printf 'header = \"Authorization: Bearer %s\"\\n' \"$token\" | curl -sS --retry 5 -K - -H 'x-ms-version: 2023-11-03' -o \"$home/new\" -w '%{http_code}' \"$mailbox/agent/$digest\")",
    "  case $status in",
    "    200) ;;",
    "    404) echo '{\"missing\":true}'; exit 0 ;;",
    "    403) echo '{\"forbidden\":true}'; exit 0 ;;",
    "    *) echo \"the agent can't be fetched: HTTP $status\" >&2; exit 1 ;;",
    "  esac",
    "  if ! echo \"$digest  $home/new\" | sha256sum -c - >/dev/null; then",
    "    rm -f \"$home/new\"",
    "    echo 'what lies in the mailbox is not the agent that was named' >&2",
    "    exit 1",
    "  fi",
    "  chmod 700 \"$home/new\"",
    "  mv \"$home/new\" \"$home/sealbook\"",
    "fi",
    "exec \"$home/sealbook\" guest start --mailbox \"$mailbox\" --signer \"$signer\"",
];

/// What the script answers when it succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Started {
    /// The agent, by an id that is new with every start of it.
    pub agent: String,
    /// The public key that it signs its replies with (Ed25519), in hex.
    pub key: String,
    /// Its version.
    pub version: String,
    /// How it is kept apart from the rest of its machine, in words.
    pub isolation: String,
    /// The binary is neither installed nor in the mailbox.
    pub missing: bool,
    /// The machine's identity may not read the mailbox.
    pub forbidden: bool,
}

/// What a script wrote to its standard output, out of the answer to run command (`RunCommandResult`): Linux machines
/// answer one status with both streams in its message, Windows machines one per stream. None when the script failed, or
/// the answer has another form.
#[must_use]
pub fn stdout(result: &Value) -> Option<&str> {
    let statuses = result["value"].as_array()?;
    let message = |code: &str| statuses.iter().find(|status| status["code"] == code)?["message"].as_str();
    if let Some(stream) = message("ComponentStatus/StdOut/succeeded") {
        return Some(stream);
    }
    let (_, rest) = message("ProvisioningState/succeeded")?.split_once("[stdout]\n")?;
    rest.rsplit_once("\n[stderr]").map(|(stream, _)| stream)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers() {
        let linux = |code: &str, message: &str| json!({ "value": [{ "code": code, "message": message }] });
        let windows = json!({ "value": [
            { "code": "ComponentStatus/StdOut/succeeded", "message": "a" },
            { "code": "ComponentStatus/StdErr/succeeded", "message": "b" },
        ] });
        let succeeded = "ProvisioningState/succeeded";
        for (result, expected) in [
            (linux(succeeded, "Enable succeeded: \n[stdout]\na\nb\n\n[stderr]\nc"), Some("a\nb\n")),
            (linux(succeeded, "Enable succeeded: \n[stdout]\n\n[stderr]\n"), Some("")),
            (linux(succeeded, "Enable succeeded: "), None),
            (linux("ProvisioningState/failed/1", "Enable failed: \n[stdout]\na\n[stderr]\n"), None),
            (windows, Some("a")),
            (json!({ "value": [] }), None),
            (json!(null), None),
        ] {
            assert_eq!(stdout(&result), expected, "{result}");
        }
    }
}
