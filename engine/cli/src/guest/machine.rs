//! The machine that a process is in: its way to Azure, its trusted hardware, and whom it believes.
//!
//! On Azure these are the network, `/dev/tpmrm0` and the built-in roots. In a machine of the embedded Azure all three
//! lead through the machine's door; everything above is the same code.

use std::env;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use sealbook_attestation::Roots;
use sealbook_azure::{Azure, AzureError, Credential, HttpSend, Settings, Transport, TransportError};
use sealbook_cloud::front::client::{Door, SendError};
use sealbook_engine::host::Judge;
use sealbook_guest::Release;
use sealbook_guest::hardware::{self, Hardware};
use sealbook_guest::release::Open;
use sealbook_model::problem::{Problem, codes};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::order::Access;
use crate::{connect, trust};

/// Set where a process is in a machine of the embedded Azure: an [`Access`] as JSON.
pub const VARIABLE: &str = "SEALBOOK_MACHINE";

/// A machine, seen from inside.
pub struct Machine {
    /// The client, signed in as the machine's identity.
    pub azure: Azure,
    /// The machine's trusted hardware.
    pub tee: Release,
    /// Who judges evidence.
    pub judge: Judge,
    /// Cancelled when the machine is off.
    pub off: CancellationToken,
    /// Whether it is one of the embedded Azure's.
    pub embedded: bool,
}

impl Machine {
    /// The machine that this process is in, as its system-assigned identity or the one with this client id.
    ///
    /// # Errors
    /// The surroundings are those of the embedded Azure, but not of one of its machines.
    pub fn here(client_id: Option<String>) -> Result<Self, Problem> {
        let unusable = |why: &dyn std::fmt::Display| {
            Problem::new(codes::INTERNAL, "the client for Azure can't be made").because(why.to_string())
        };
        if let Some(access) = env::var(VARIABLE).ok().filter(|text| !text.is_empty()) {
            let strange = |why: &str| {
                Problem::new(codes::USAGE, format!("{VARIABLE} names no machine of the embedded Azure"))
                    .because(why)
                    .fix("sealbook cloud exec --machine RESOURCE-ID -- COMMAND")
            };
            let access = serde_json::from_str(&access).map_err(|_| strange("it is not JSON"))?;
            let access = Access::from_json(&access).map_err(strange)?;
            return Self::of(&access, client_id).map_err(|error| strange(&error));
        }
        connect::not_embedded("use `sealbook cloud exec --machine RESOURCE-ID -- COMMAND`")?;
        let settings = Settings::new(Credential::ManagedIdentity { client_id }, Transport::Internet);
        let azure = Azure::new(settings).map_err(|error: AzureError| unusable(&error))?;
        let open: Open = Arc::new(|| Ok(Box::new(hardware::Linux::open()?) as Box<dyn Hardware>));
        let roots = Roots::builtin();
        Ok(Self {
            azure,
            tee: Release::new(open, roots.clone(), trust::now),
            judge: trust::judge(roots),
            off: CancellationToken::new(),
            embedded: false,
        })
    }

    /// A machine of the embedded Azure. Call it inside of a runtime.
    ///
    /// # Errors
    /// What is wrong with the access, in words.
    pub fn of(access: &Access, client_id: Option<String>) -> Result<Self, String> {
        let door = Door::at(access.port, access.pid, &access.secret).map_err(|e| e.to_string())?;
        let off = CancellationToken::new();
        let way: Arc<dyn HttpSend> = Arc::new(Way { door, off: off.clone() });
        let roots = Roots::from_pem(&access.roots).map_err(|e| e.to_string())?;
        let credential = Credential::ManagedIdentity { client_id };
        let azure = Azure::new(Settings::new(credential, Transport::Injected(Arc::clone(&way))));
        let runtime = Handle::current();
        let open: Open =
            Arc::new(move || Ok(Box::new(hardware::Door::new(Arc::clone(&way), runtime.clone())) as Box<dyn Hardware>));
        Ok(Self {
            azure: azure.map_err(|e| e.to_string())?,
            tee: Release::new(open, roots.clone(), trust::now),
            judge: trust::judge(roots),
            off,
            embedded: true,
        })
    }

    /// Refuses a machine that nothing can be attested of.
    ///
    /// # Errors
    /// A problem that says what is missing.
    pub async fn demand_report(&self) -> Result<(), Problem> {
        let lacking = |why: &str| {
            Problem::new(codes::NOT_CONFIDENTIAL, "this is not a confidential VM that can be attested").because(why)
        };
        match self.tee.has_report().await {
            Ok(true) => Ok(()),
            Ok(false) => Err(lacking("its TPM holds no report of a paravisor")
                .fix("run it in a VM whose security type is ConfidentialVM")),
            Err(failure) => Err(lacking(&failure.to_string())
                .fix("run it in a confidential VM with a vTPM, as root or in the group tss")),
        }
    }
}

/// The machine's way to Azure: its own door.
#[derive(Debug)]
struct Way {
    door: Door,
    off: CancellationToken,
}

#[async_trait]
impl HttpSend for Way {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let answer = self.door.send(request).await.map_err(|error| match error {
            SendError::Lost { reason } => TransportError::Lost { host, why: reason },
            error @ SendError::Refused { .. } => TransportError::Unreachable { host, why: error.to_string() },
            SendError::Invalid { reason } => TransportError::Refused { host, why: reason },
        })?;
        if answer.status() == StatusCode::GONE && answer.headers().contains_key(sealbook_cloud::Machine::STATE) {
            self.off.cancel();
        }
        Ok(answer)
    }
}
