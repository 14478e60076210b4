//! The parameters of the script that starts the agent, as the machine that runs it reads them.

use sealbook_engine::guest::{DIGEST, MAILBOX, SIGNER};

/// The end of every blob service's host name in the public cloud.
const BLOBS: &str = ".blob.core.windows.net";

/// The parameters of the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Where the run's jobs and replies lie: a folder in a container, without a query.
    pub mailbox: String,
    /// SHA-256 of the agent's program, in lower-case hex; empty: the program that is there.
    pub digest: String,
    /// The public key of whoever gives the jobs (Ed25519), in lower-case hex.
    pub signer: String,
}

/// Why the script can't be run with what it was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadParameters {
    /// Other parameters than those three, or in another order.
    #[error("the guest agent takes the parameters `mailbox`, `digest` and `signer`, in this order")]
    Names,
    /// No address of a folder in a blob container.
    #[error("`mailbox` is not the address of a folder (https://ACCOUNT.blob.core.windows.net/CONTAINER/FOLDER)")]
    Mailbox,
    /// No SHA-256 digest.
    #[error("`digest` is not a SHA-256 digest: 64 digits of lower-case hex")]
    Digest,
    /// No public key.
    #[error("`signer` is not a public key: 64 digits of lower-case hex")]
    Signer,
}

impl Parameters {
    /// Reads the parameters (name, value).
    ///
    /// # Errors
    /// [`BadParameters`], by the first thing that is wrong.
    pub fn parse(given: &[(String, String)]) -> Result<Self, BadParameters> {
        let [(first, mailbox), (second, digest), (third, signer)] = given else { return Err(BadParameters::Names) };
        if first != MAILBOX || second != DIGEST || third != SIGNER {
            return Err(BadParameters::Names);
        }
        if !is_mailbox(mailbox) {
            return Err(BadParameters::Mailbox);
        }
        let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if !matches!(digest.len(), 0 | 64) || !hex(digest) {
            return Err(BadParameters::Digest);
        }
        if signer.len() != 64 || !hex(signer) {
            return Err(BadParameters::Signer);
        }
        Ok(Self { mailbox: mailbox.clone(), digest: digest.clone(), signer: signer.clone() })
    }
}

/// Whether a URL may be a mailbox: that of a folder in a blob container, and nothing more: a query would carry a right of its own.
#[must_use]
pub fn is_mailbox(url: &str) -> bool {
    let plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let parts: Vec<&str> = url.strip_prefix("https://").unwrap_or_default().split('/').collect();
    match parts[..] {
        [host, container, folder] => host.strip_suffix(BLOBS).is_some_and(plain) && plain(container) && plain(folder),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters() {
        let digest = "0f".repeat(32);
        let mailbox = "https://lab1.blob.core.windows.net/mail-1/k3f7qa";
        let upper = digest.to_uppercase();
        type Given<'a> = &'a [(&'a str, &'a str)];
        let table: &[(Given<'_>, Result<(), BadParameters>)] = &[
            (&[("mailbox", mailbox), ("digest", &digest), ("signer", &digest)], Ok(())),
            (&[("digest", &digest), ("mailbox", mailbox), ("signer", &digest)], Err(BadParameters::Names)),
            (&[("mailbox", mailbox), ("digest", &digest)], Err(BadParameters::Names)),
            (&[("mailbox", mailbox)], Err(BadParameters::Names)),
            (&[], Err(BadParameters::Names)),
            (&[("mailbox", mailbox), ("digest", &digest), ("more", "")], Err(BadParameters::Names)),
            (&[("mailbox", mailbox), ("digest", &upper), ("signer", &digest)], Err(BadParameters::Digest)),
            (&[("mailbox", mailbox), ("digest", "0f"), ("signer", &digest)], Err(BadParameters::Digest)),
            (&[("mailbox", mailbox), ("digest", &digest), ("signer", "")], Err(BadParameters::Signer)),
            (&[("mailbox", mailbox), ("digest", &digest), ("signer", &upper)], Err(BadParameters::Signer)),
            (&[("mailbox", ""), ("digest", &digest), ("signer", &digest)], Err(BadParameters::Mailbox)),
            (
                &[("mailbox", "http://lab1.blob.core.windows.net/mail/x"), ("digest", &digest), ("signer", &digest)],
                Err(BadParameters::Mailbox),
            ),
            (
                &[("mailbox", "https://lab1.blob.core.windows.net/"), ("digest", &digest), ("signer", &digest)],
                Err(BadParameters::Mailbox),
            ),
            (
                &[("mailbox", "https://evil.example/mail/x"), ("digest", &digest), ("signer", &digest)],
                Err(BadParameters::Mailbox),
            ),
            (
                &[("mailbox", "https://a.blob.core.windows.net/c/x?sig=x"), ("digest", &digest), ("signer", &digest)],
                Err(BadParameters::Mailbox),
            ),
            (
                &[("mailbox", "https://a@b.blob.core.windows.net/c/x"), ("digest", &digest), ("signer", &digest)],
                Err(BadParameters::Mailbox),
            ),
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
}
