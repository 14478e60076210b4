//! Connects to a cloud: the embedded one in the home, or Azure itself with the person's sign-in.

use std::env;

use sealbook_attestation::Roots;
use sealbook_azure::{Account, Azure, AzureError, Credential, Kind, Settings, Transport};
use sealbook_cloud::front::Endpoint;
use sealbook_cloud::front::client::Door;
use sealbook_cloud::{Cloud, CloudConfig, CloudError};
use sealbook_crypto::SecretString;
use sealbook_engine::host::Judge;
use sealbook_model::CloudName;
use sealbook_model::problem::{Problem, codes};

use crate::app::App;
use crate::args::{AzureArgs, CredentialChoice};
use crate::transport::EmbeddedTransport;
use crate::trust;

/// A cloud that answers, and who we are there.
pub struct Connection {
    /// The client.
    pub azure: Azure,
    /// The cloud's name.
    pub cloud: CloudName,
    /// Tenant, subscription, principal.
    pub account: Account,
    /// Whether faults were set on the embedded Azure.
    pub misbehaves: bool,
    /// Who judges evidence: a test root is never believed on Azure, nor a real one on the embedded Azure.
    pub judge: Judge,
}

/// Opens the home's embedded Azure.
pub fn open_embedded(app: &App) -> Result<Cloud, Problem> {
    let config = CloudConfig { room: Some(app.machines()), ..CloudConfig::new(app.home().cloud_dir()) };
    Cloud::open(config).map_err(|e| {
        let code = if matches!(e, CloudError::Newer { .. }) { codes::CLOUD_NEWER } else { codes::CLOUD_STATE };
        Problem::new(code, "the embedded Azure can't be opened").because(e.to_string())
    })
}

/// Connects and signs in.
pub async fn connect(app: &App, cloud: CloudName, args: &AzureArgs) -> Result<Connection, Problem> {
    app.policy().admits_cloud(cloud)?;
    let (settings, misbehaves, judge) = match cloud {
        CloudName::Embedded => embedded(app)?,
        CloudName::Azure => (azure(args)?, false, trust::judge(Roots::builtin())),
    };
    let azure = Azure::new(settings).map_err(|e| refused(&e))?;
    let account = azure.account().await.map_err(|e| refused(&e))?;
    app.policy().admits_subscription(&account.subscription_id)?;
    Ok(Connection { azure, cloud, account, misbehaves, judge })
}

/// How to reach the home's embedded Azure, whether it was told to misbehave, and who judges evidence there.
fn embedded(app: &App) -> Result<(Settings, bool, Judge), Problem> {
    let cloud = open_embedded(app)?;
    let misbehaves = cloud.faults().is_ok_and(|faults| !faults.is_empty());
    let seed = cloud
        .seed()
        .map_err(|e| Problem::new(codes::CLOUD_STATE, "the embedded Azure can't be read").because(e.to_string()))?;
    // A server that is up gets the requests, so that its log shows the run. One that died is no reason to fail.
    let door = Endpoint::find(&app.home().cloud_dir()).ok().flatten().and_then(|e| Door::new(&e).ok());
    let credential =
        Credential::Password { tenant: seed.tenant.clone(), user: seed.user.clone(), password: seed.password.clone() };
    let judge = trust::embedded_judge(cloud.clone());
    let transport = Transport::Injected(EmbeddedTransport::new(cloud, door, app.hooks()));
    let settings = Settings {
        tenant: Some(seed.tenant),
        subscription: Some(seed.subscription),
        ..Settings::new(credential, transport)
    };
    Ok((settings, misbehaves, judge))
}

/// A variable of the environment that says something.
fn set(name: &str) -> Option<String> {
    env::var(name).ok().filter(|v| !v.is_empty())
}

/// Refuses an environment that points at the embedded Azure: who reaches it would believe to be on Azure.
pub fn not_embedded(instead: &str) -> Result<(), Problem> {
    let local = |url: &String| url.contains("@127.0.0.1:") || url.contains("@localhost:");
    let proxy = |name: &'static str| set(name).filter(local).map(|_| name);
    let traces = [
        set("SEALBOOK_USER").map(|_| "SEALBOOK_USER"),
        set("SEALBOOK_PASSWORD").map(|_| "SEALBOOK_PASSWORD"),
        proxy("HTTPS_PROXY"),
        proxy("https_proxy"),
        proxy("ALL_PROXY"),
        proxy("all_proxy"),
        set("AZURE_POD_IDENTITY_AUTHORITY_HOST")
            .filter(|v| v.contains("127.0.0.1"))
            .map(|_| "AZURE_POD_IDENTITY_AUTHORITY_HOST"),
    ];
    if let Some(trace) = traces.into_iter().flatten().next() {
        return Err(Problem::new(codes::EMULATOR_IN_ENVIRONMENT, "this shell points at the embedded Azure")
            .because(format!("{trace} is set as `sealbook cloud env` sets it"))
            .fix(format!("open a fresh shell, or {instead}")));
    }
    Ok(())
}

/// Real Azure.
fn azure(args: &AzureArgs) -> Result<Settings, Problem> {
    not_embedded("use --cloud embedded")?;
    let credential = match args.credential {
        CredentialChoice::Developer => Credential::Developer,
        CredentialChoice::ManagedIdentity => Credential::ManagedIdentity { client_id: set("AZURE_CLIENT_ID") },
        CredentialChoice::WorkloadIdentity => Credential::WorkloadIdentity,
        CredentialChoice::ClientSecret => {
            let need = |name: &str| set(name).ok_or_else(|| sign_in(&format!("{name} is not set")));
            let tenant = args.tenant.clone().map_or_else(|| need("AZURE_TENANT_ID"), Ok)?;
            Credential::ClientSecret {
                tenant,
                client_id: need("AZURE_CLIENT_ID")?,
                secret: SecretString::from(need("AZURE_CLIENT_SECRET")?),
            }
        }
    };
    Ok(Settings {
        tenant: args.tenant.clone(),
        subscription: args.subscription.clone(),
        ..Settings::new(credential, Transport::Internet)
    })
}

/// Why there is no connection: nobody answered, Azure said no, or it does not know who we are.
fn refused(error: &AzureError) -> Problem {
    match error.kind {
        Kind::Connection => Problem::new(codes::AZURE_UNREACHABLE, "Azure could not be reached")
            .because(error.to_string())
            .fix("check the network, then try again"),
        Kind::Throttled | Kind::Server => Problem::new(
            codes::AZURE_UNREACHABLE,
            "Azure was reached, but can't serve us now",
        )
        .because(error.to_string())
        .fix("try again in a minute; on the embedded Azure, `sealbook cloud fault` shows what was broken on purpose"),
        Kind::SignIn | Kind::Unauthorized => sign_in(&error.to_string()),
        _ => Problem::new(codes::AZURE_REFUSED, "Azure refused to say who you are").because(error.to_string()),
    }
}

fn sign_in(why: &str) -> Problem {
    Problem::new(codes::SIGN_IN, "signing in to Azure failed")
        .because(why)
        .fix("sign in with `az login`, or choose another way with --credential")
}
