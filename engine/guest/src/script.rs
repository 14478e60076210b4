//! The script that starts the agent, its parameters, and how its answer is read.
//!
//! Source: <https://learn.microsoft.com/azure/virtual-machines/linux/run-command>.

use serde_json::Value;

/// The script, by lines, for the command `RunShellScript`. Its parameters are [`MAILBOX`] and [`DIGEST`], in this order;
/// its standard output is one line of JSON: `{"agent": "<instance id>", "version": "…", "isolation": "…"}`.
///
/// The embedded Azure's machines run this script and no other.
pub const SCRIPT: &[&str] =
    &["#!/bin/sh", "# Starts the Sealbook guest agent.", "set -eu", r#"exec sealbook guest start "$1" "$2""#];

/// Parameter: the URL of the blob container that the agent reads its work from and writes its answers to.
pub const MAILBOX: &str = "mailbox";

/// Parameter: SHA-256 of the agent's program, in lower-case hex.
pub const DIGEST: &str = "digest";

/// The end of every blob service's host name in the public cloud.
const BLOBS: &str = ".blob.core.windows.net";

/// The parameters of the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// The container's URL, without a query.
    pub mailbox: String,
    /// SHA-256 of the agent's program, in lower-case hex.
    pub digest: String,
}

/// Why the script can't be run with what it was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadParameters {
    /// Other parameters than those two, or in another order.
    #[error("the guest agent takes the parameters `mailbox` and `digest`, in this order")]
    Names,
    /// No address of a blob container.
    #[error("`mailbox` is not the address of a blob container (https://ACCOUNT.blob.core.windows.net/CONTAINER)")]
    Mailbox,
    /// No SHA-256 digest.
    #[error("`digest` is not a SHA-256 digest: 64 digits of lower-case hex")]
    Digest,
}

impl Parameters {
    /// Reads the parameters (name, value).
    ///
    /// # Errors
    /// [`BadParameters`], by the first thing that is wrong.
    pub fn parse(given: &[(String, String)]) -> Result<Self, BadParameters> {
        let [(first, mailbox), (second, digest)] = given else { return Err(BadParameters::Names) };
        if first != MAILBOX || second != DIGEST {
            return Err(BadParameters::Names);
        }
        if !is_container(mailbox) {
            return Err(BadParameters::Mailbox);
        }
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if digest.len() != 64 || !digest.bytes().all(hex) {
            return Err(BadParameters::Digest);
        }
        Ok(Self { mailbox: mailbox.clone(), digest: digest.clone() })
    }
}

/// Whether a URL is that of a blob container, and nothing more: a query would carry a right of its own.
fn is_container(url: &str) -> bool {
    let plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    url.strip_prefix("https://")
        .and_then(|rest| rest.split_once('/'))
        .and_then(|(host, container)| Some((host.strip_suffix(BLOBS)?, container)))
        .is_some_and(|(account, container)| plain(account) && plain(container))
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
    fn parameters() {
        let digest = "0f".repeat(32);
        let mailbox = "https://lab1.blob.core.windows.net/mail-1";
        let upper = digest.to_uppercase();
        type Given<'a> = &'a [(&'a str, &'a str)];
        let table: &[(Given<'_>, Result<(), BadParameters>)] = &[
            (&[("mailbox", mailbox), ("digest", &digest)], Ok(())),
            (&[("digest", &digest), ("mailbox", mailbox)], Err(BadParameters::Names)),
            (&[("mailbox", mailbox)], Err(BadParameters::Names)),
            (&[], Err(BadParameters::Names)),
            (&[("mailbox", mailbox), ("digest", &digest), ("more", "")], Err(BadParameters::Names)),
            (&[("mailbox", mailbox), ("digest", &upper)], Err(BadParameters::Digest)),
            (&[("mailbox", mailbox), ("digest", "0f")], Err(BadParameters::Digest)),
            (&[("mailbox", ""), ("digest", &digest)], Err(BadParameters::Mailbox)),
            (
                &[("mailbox", "http://lab1.blob.core.windows.net/mail"), ("digest", &digest)],
                Err(BadParameters::Mailbox),
            ),
            (&[("mailbox", "https://lab1.blob.core.windows.net/"), ("digest", &digest)], Err(BadParameters::Mailbox)),
            (&[("mailbox", "https://evil.example/mail"), ("digest", &digest)], Err(BadParameters::Mailbox)),
            (
                &[("mailbox", "https://a.blob.core.windows.net/c?sig=x"), ("digest", &digest)],
                Err(BadParameters::Mailbox),
            ),
            (&[("mailbox", "https://a@b.blob.core.windows.net/c"), ("digest", &digest)], Err(BadParameters::Mailbox)),
        ];
        for (given, expected) in table {
            let given: Vec<_> = given.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            let read = Parameters::parse(&given);
            assert_eq!(&read.clone().map(|_| ()), expected, "{given:?}");
            if let Ok(read) = read {
                assert_eq!((read.mailbox.as_str(), read.digest.as_str()), (mailbox, digest.as_str()));
            }
        }
    }

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
