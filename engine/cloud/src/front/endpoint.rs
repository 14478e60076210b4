//! How to reach a running server: the endpoint file, and the environment that points official clients at it.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use sealbook_crypto::SecretString;
use serde::{Deserialize, Serialize};

use super::lock;
use crate::Seed;
use crate::opening::private;

const FILE: &str = "endpoint.json";
const FORMAT: u32 = 1;

/// Where a server listens and what its doors demand.
#[derive(Debug)]
pub struct Endpoint {
    /// The cloud's folder.
    pub dir: PathBuf,
    /// The loopback port of every door.
    pub port: u16,
    /// The process that serves.
    pub pid: u32,
    /// What the engine's door demands in `x-sealbook-door`.
    pub door: SecretString,
    /// The user name that the proxy demands.
    pub proxy_user: String,
    /// The password that the proxy demands.
    pub proxy_secret: SecretString,
    /// What the managed-identity door demands in `X-IDENTITY-HEADER`.
    pub identity: SecretString,
}

/// The endpoint file, format 1.
#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    port: u16,
    pid: u32,
    door: String,
    proxy_user: String,
    proxy_secret: String,
    identity: String,
}

impl Endpoint {
    /// Makes the endpoint of a server that is about to start, with fresh secrets.
    pub(super) fn new(dir: PathBuf, port: u16, pid: u32) -> Self {
        Self {
            dir,
            port,
            pid,
            door: fresh_secret(),
            proxy_user: "sealbook".to_owned(),
            proxy_secret: fresh_secret(),
            identity: fresh_secret(),
        }
    }

    /// Finds the server of the cloud in `dir`. None: nobody serves there.
    ///
    /// A file that a killed server left behind does not count, although its port may be open: by now it may belong
    /// to a stranger, who must not be sent any secret. The server's lock tells.
    ///
    /// # Errors
    /// The file can't be read, is not valid, or was written by a newer release.
    pub fn find(dir: &Path) -> io::Result<Option<Self>> {
        if lock::is_held(dir)? { Self::read(dir) } else { Ok(None) }
    }

    /// Reads the endpoint file, whether its server lives or not.
    pub(super) fn read(dir: &Path) -> io::Result<Option<Self>> {
        let text = match fs::read(dir.join(FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, format!("{FILE}: {what}"));
        let stored: Stored = serde_json::from_slice(&text).map_err(|error| invalid(error.to_string()))?;
        if stored.format > FORMAT {
            return Err(invalid(format!("format {} was written by a newer release", stored.format)));
        }
        Ok(Some(Self {
            dir: dir.to_owned(),
            port: stored.port,
            pid: stored.pid,
            door: stored.door.into(),
            proxy_user: stored.proxy_user,
            proxy_secret: stored.proxy_secret.into(),
            identity: stored.identity.into(),
        }))
    }

    /// Writes the endpoint file, readable only by its owner, in one step.
    pub(super) fn write(&self) -> io::Result<()> {
        let stored = Stored {
            format: FORMAT,
            port: self.port,
            pid: self.pid,
            door: self.door.expose().to_owned(),
            proxy_user: self.proxy_user.clone(),
            proxy_secret: self.proxy_secret.expose().to_owned(),
            identity: self.identity.expose().to_owned(),
        };
        write_private(&self.dir.join(FILE), &serde_json::to_vec_pretty(&stored)?)
    }

    /// Removes the endpoint file if it still is this server's.
    pub(super) fn remove(&self) -> io::Result<()> {
        match Self::read(&self.dir) {
            Ok(Some(found)) if found.pid == self.pid && found.port == self.port => fs::remove_file(self.dir.join(FILE)),
            _ => Ok(()),
        }
    }

    /// The proxy's URL with its credentials in it.
    #[must_use]
    pub fn proxy_url(&self) -> String {
        format!("http://{}:{}@127.0.0.1:{}", self.proxy_user, self.proxy_secret.expose(), self.port)
    }

    /// The URL of the doors without credentials.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The certificate of the local authority that the proxy's leaf certificates chain to.
    #[must_use]
    pub fn ca_pem(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// The folder for the settings of `az`, apart from the person's own.
    #[must_use]
    pub fn az_config_dir(&self) -> PathBuf {
        self.dir.join("az")
    }
}

/// Variables that would lead an official client past the embedded Azure, or to another identity: unset them.
pub const FOREIGN_VARIABLES: &[&str] = &[
    "ALL_PROXY",
    "all_proxy",
    "AZURE_AUTHORITY_HOST",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_PASSWORD",
    "AZURE_STORAGE_ACCOUNT",
    "AZURE_STORAGE_AUTH_MODE",
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_TOKEN_CREDENTIALS",
    "AZURE_USERNAME",
    "ARM_CLIENT_ID",
    "ARM_CLIENT_SECRET",
    "ARM_SUBSCRIPTION_ID",
    "ARM_TENANT_ID",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "MSI_ENDPOINT",
    "MSI_SECRET",
];

/// As whom official clients sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignIn {
    /// The person in front of the labs: whom they give roles to.
    Learner,
    /// The service principal of an application: Owner of the subscription, without any role on data.
    Application,
    /// The managed identity of the machine that the command runs on.
    Machine,
}

/// The public client of the Azure CLI, with which a person's sign-in by password works.
const AZURE_CLI: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";

/// The environment in which `az` and the official SDKs talk to the embedded Azure, unmodified.
///
/// The values hold secrets of the embedded Azure in clear: that is what they are for.
#[must_use]
pub fn environment(endpoint: &Endpoint, seed: &Seed, who: SignIn) -> Vec<(String, String)> {
    let path = |path: PathBuf| path.to_string_lossy().into_owned();
    let proxy = endpoint.proxy_url();
    let ca = path(endpoint.ca_pem());
    let secret = |text: &SecretString| text.expose().to_owned();
    // What the environment credential of the official SDKs reads.
    let credential = match who {
        SignIn::Learner => vec![
            ("AZURE_CLIENT_ID", AZURE_CLI.to_owned()),
            ("AZURE_USERNAME", seed.user.clone()),
            ("AZURE_PASSWORD", secret(&seed.password)),
        ],
        SignIn::Application => {
            vec![("AZURE_CLIENT_ID", seed.client_id.clone()), ("AZURE_CLIENT_SECRET", secret(&seed.client_secret))]
        }
        // Nothing: SDKs go on to the managed identity when the environment holds no credential.
        SignIn::Machine => Vec::new(),
    };
    let common = [
        ("HTTPS_PROXY", proxy.clone()),
        ("HTTP_PROXY", proxy),
        ("NO_PROXY", "127.0.0.1,localhost".to_owned()),
        // Python and curl prefer these names where both are set.
        ("https_proxy", endpoint.proxy_url()),
        ("http_proxy", endpoint.proxy_url()),
        ("no_proxy", "127.0.0.1,localhost".to_owned()),
        ("CURL_CA_BUNDLE", ca.clone()),
        ("REQUESTS_CA_BUNDLE", ca.clone()),
        ("SSL_CERT_FILE", ca),
        ("AZURE_TENANT_ID", seed.tenant.clone()),
        ("AZURE_SUBSCRIPTION_ID", seed.subscription.clone()),
        ("SEALBOOK_USER", seed.user.clone()),
        ("SEALBOOK_PASSWORD", secret(&seed.password)),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", endpoint.url()),
        ("AZURE_CONFIG_DIR", path(endpoint.az_config_dir())),
        ("AZURE_CORE_COLLECT_TELEMETRY", "no".to_owned()),
    ];
    common.into_iter().chain(credential).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// 256 random bits in hex: safe in a URL, a header and a shell.
pub(super) fn fresh_secret() -> SecretString {
    hex::encode(sealbook_crypto::random::<32>()).into()
}

/// Writes a file that only its owner may read, so that a reader sees the old bytes or the new ones, never a part.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = private().write(true).create(true).truncate(true).open(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}
