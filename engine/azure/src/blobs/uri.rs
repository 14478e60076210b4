//! Blob URIs, taken apart and checked.

use crate::error::{AzureError, Kind};

const DOMAIN: &str = ".blob.core.windows.net";
/// Longest blob name that Storage takes.
const LONGEST: usize = 1024;

/// A container, or a blob in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BlobUri {
    pub host: String,
    pub container: String,
    pub blob: Option<String>,
}

impl BlobUri {
    /// Parses `https://{account}.blob.core.windows.net/{container}[/{name}]`. Names may have slashes, but nothing that a
    /// URL would interpret or have to escape.
    pub fn parse(uri: &str) -> Result<Self, AzureError> {
        let refused = |why: &str| {
            let message = format!(
                "{uri:?} is not the URI of a blob (https://ACCOUNT.blob.core.windows.net/CONTAINER/NAME): {why}"
            );
            AzureError::new(Kind::BadRequest, "InvalidBlobUri", message)
        };
        let rest = uri.strip_prefix("https://").ok_or_else(|| refused("it must start with https://"))?;
        let (host, path) = rest.split_once('/').ok_or_else(|| refused("it names no container"))?;
        let host = host.to_ascii_lowercase();
        let account = host.strip_suffix(DOMAIN).ok_or_else(|| refused("its host is no storage account"))?;
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if !(3..=24).contains(&account.len()) || !account.bytes().all(plain) {
            return Err(refused("storage accounts have 3 to 24 lower-case letters and digits"));
        }
        let (container, blob) = path.split_once('/').map_or((path, None), |(container, blob)| (container, Some(blob)));
        let fits = (3..=63).contains(&container.len()) && container.bytes().all(|byte| plain(byte) || byte == b'-');
        if !fits || container.starts_with('-') || container.ends_with('-') || container.contains("--") {
            return Err(refused("containers have 3 to 63 lower-case letters, digits and single hyphens"));
        }
        if let Some(blob) = blob {
            let segment =
                |part: &str| !part.is_empty() && !part.chars().all(|c| c == '.') && part.chars().all(is_plain);
            if blob.len() > LONGEST || !blob.split('/').all(segment) {
                return Err(refused("the blob's name has empty or dotted segments, or characters that URLs interpret"));
            }
        }
        Ok(Self { container: container.to_owned(), blob: blob.map(str::to_owned), host })
    }

    /// Wants a container.
    pub fn container(self) -> Result<Self, AzureError> {
        if self.blob.is_none() {
            return Ok(self);
        }
        Err(AzureError::new(
            Kind::BadRequest,
            "InvalidBlobUri",
            format!("{} names a blob, not a container", self.url()),
        ))
    }

    /// Wants a blob.
    pub fn blob(self) -> Result<Self, AzureError> {
        if self.blob.is_some() {
            return Ok(self);
        }
        Err(AzureError::new(
            Kind::BadRequest,
            "InvalidBlobUri",
            format!("{} names a container, not a blob", self.url()),
        ))
    }

    pub fn url(&self) -> String {
        match &self.blob {
            Some(blob) => format!("https://{}/{}/{blob}", self.host, self.container),
            None => format!("https://{}/{}", self.host, self.container),
        }
    }
}

fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || "-_.~()+,;=@!$'&".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blobs_of_storage_accounts_pass() {
        let fine = [
            ("https://acc1.blob.core.windows.net/data", None),
            ("https://acc1.blob.core.windows.net/my-data/a.bin", Some("a.bin")),
            ("https://acc1.blob.core.windows.net/data/2026/01/a_b.bin", Some("2026/01/a_b.bin")),
        ];
        for (uri, blob) in fine {
            let parsed = BlobUri::parse(uri).unwrap();
            assert_eq!((parsed.blob.as_deref(), parsed.url().as_str()), (blob, uri));
        }
        let refused = [
            "http://acc1.blob.core.windows.net/data/a",
            "https://acc1.blob.core.windows.net",
            "https://acc1.blob.core.windows.net/",
            "https://acc1.blob.core.windows.net/data/",
            "https://acc1.blob.core.windows.net/data//a",
            "https://acc1.blob.core.windows.net/data/../other/a",
            "https://acc1.blob.core.windows.net/data/%2e%2e/a",
            "https://acc1.blob.core.windows.net/data/a?sig=x",
            "https://acc1.blob.core.windows.net/data/a#x",
            "https://acc1.blob.core.windows.net/data/a b",
            "https://acc1.blob.core.windows.net/data/a\nb",
            "https://acc1.blob.core.windows.net/Data/a",
            "https://acc1.blob.core.windows.net/da--ta/a",
            "https://acc1.blob.core.windows.net/-data/a",
            "https://acc1.blob.core.windows.net:10000/data/a",
            "https://user:pw@acc1.blob.core.windows.net/data/a",
            "https://acc1.blob.core.windows.net.evil.example/data/a",
            "https://a.b.blob.core.windows.net/data/a",
            "https://acc1.dfs.core.windows.net/data/a",
            "https://acc1.blob.core.windows.net\\evil/data/a",
        ];
        for uri in refused {
            let error = BlobUri::parse(uri).unwrap_err();
            assert_eq!((error.kind, error.code.as_str()), (Kind::BadRequest, "InvalidBlobUri"), "{uri}");
        }
    }

    #[test]
    fn containers_and_blobs_are_kept_apart() {
        let container = BlobUri::parse("https://acc1.blob.core.windows.net/data").unwrap();
        let blob = BlobUri::parse("https://acc1.blob.core.windows.net/data/a").unwrap();
        assert!(container.clone().container().is_ok() && container.blob().is_err());
        assert!(blob.clone().blob().is_ok() && blob.container().is_err());
    }
}
