//! Activation of managed HSMs by their security domain. It carries no mark: whether the managed HSM was active before is
//! what tells, together with the mark on the managed HSM itself.

use std::time::Duration;

use async_trait::async_trait;
use sealbook_azure::{Answer, Arm, AzureError, Hsms, Kind, Transfer};
use sealbook_crypto::security_domain::{self, Datum, Holder};
use sealbook_model::id::StepPath;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::Effect;
use crate::host::address::{ArmId, HsmUri};
use crate::host::artifact::Shelf;
use crate::host::desk::Desk;
use crate::host::failure;
use crate::host::marks::Mark;
use crate::host::reconcile::{Progress, Seen, Strangers};
use crate::step::{Failure, StepError};

/// Wait between looks at a transfer.
const APART: Duration = Duration::from_secs(1);

/// A managed HSM by both its names, and how it is looked at.
pub(crate) struct Pool {
    arm: Arm,
    hsms: Hsms,
    id: ArmId,
    uri: HsmUri,
    mark: Mark,
    strangers: Strangers,
    cancel: CancellationToken,
}

impl Pool {
    pub(crate) fn new(desk: &Desk, id: ArmId, uri: HsmUri, mark: Mark) -> Self {
        let strangers = if desk.call.adopt { Strangers::Use } else { Strangers::Refuse };
        let (arm, hsms) = (desk.azure.arm(), desk.azure.hsms());
        Self { arm, hsms, id, uri, mark, strangers, cancel: desk.call.cancel.clone() }
    }

    /// Whether it is active, and whose it is.
    async fn look(&self, given_by_activity: bool) -> Result<Option<Seen>, Failure> {
        let Some(pool) = self.arm.get(self.id.as_str(), None).await.map_err(|error| failure::of(&error))? else {
            return Err(StepError::Precondition {
                message: format!("There is no managed HSM {}", self.id.as_str()),
                fix: "Run the step that creates it, or correct the id.".into(),
            }
            .into());
        };
        let properties = &pool["properties"];
        if !properties["hsmUri"].as_str().is_some_and(|uri| uri.eq_ignore_ascii_case(self.uri.as_str())) {
            let message = format!("{} is not at {}", self.id.as_str(), self.uri.as_str());
            return Err(StepError::InvalidInput { field: "uri".into(), message }.into());
        }
        let active = properties["securityDomainProperties"]["activationStatus"] == "Active";
        Ok(Some(Seen {
            thing: json!({ "active": active }),
            bearer: self.mark.bearer_of_tags(&pool),
            state: Progress::Settled,
            as_asked: given_by_activity && active,
        }))
    }

    /// Awaits the end of a transfer. Stopped here, the effect is looked up again.
    async fn transferred(&self, which: Transfer) -> Result<(), Failure> {
        while !self.hsms.transfer_done(self.uri.as_str(), which).await.map_err(|error| failure::of(&error))? {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(StepError::Cancelled.into()),
                () = tokio::time::sleep(APART) => {}
            }
        }
        Ok(())
    }
}

/// Downloads the security domain into an artifact.
pub(crate) struct DomainDownload {
    pool: Pool,
    certificates: Vec<Vec<u8>>,
    required: u8,
    shelf: Shelf,
    step: StepPath,
    name: String,
}

impl DomainDownload {
    pub(crate) fn new(desk: &Desk, pool: Pool, certificates: Vec<Vec<u8>>, required: u8, name: String) -> Self {
        Self { pool, certificates, required, shelf: desk.shelf.clone(), step: desk.call.step.clone(), name }
    }
}

#[async_trait]
impl Effect for DomainDownload {
    fn kind(&self) -> &'static str {
        "hsm-download"
    }

    fn target(&self) -> String {
        self.pool.id.as_str().into()
    }

    fn request(&self) -> Value {
        let holders = self.certificates.iter().map(|der| security_domain::certificate::thumbprint(der));
        json!({ "holders": holders.collect::<Vec<_>>(), "required": self.required, "name": self.name })
    }

    async fn look(&self) -> Result<Option<Seen>, Failure> {
        self.pool.look(false).await
    }

    async fn send(&self) -> Result<Answer, AzureError> {
        let document = self.pool.hsms.download(self.pool.uri.as_str(), &self.certificates, self.required).await?;
        Ok(Answer::Done(Some(document.into())))
    }

    /// The file is on the disk before the journal says that there is one.
    async fn made(&self, answer: Option<Value>) -> Result<Value, Failure> {
        let document = answer.as_ref().and_then(Value::as_str).unwrap_or_default();
        let written = self.shelf.write(&self.step, &self.name, document.as_bytes().to_vec(), false).await?;
        self.pool.transferred(Transfer::Download).await?;
        Ok(json!({ "artifact": written.reference, "sha256": written.sha256() }))
    }

    fn strangers(&self) -> Strangers {
        self.pool.strangers
    }
}

/// Carries a security domain into another managed HSM.
pub(crate) struct DomainUpload {
    pool: Pool,
    data: Vec<Datum>,
    sha256: String,
}

impl DomainUpload {
    pub(crate) fn new(pool: Pool, data: Vec<Datum>, sha256: String) -> Self {
        Self { pool, data, sha256 }
    }
}

#[async_trait]
impl Effect for DomainUpload {
    fn kind(&self) -> &'static str {
        "hsm-upload"
    }

    fn target(&self) -> String {
        self.pool.id.as_str().into()
    }

    fn request(&self) -> Value {
        json!({ "domain": self.sha256 })
    }

    async fn look(&self) -> Result<Option<Seen>, Failure> {
        self.pool.look(true).await
    }

    async fn send(&self) -> Result<Answer, AzureError> {
        let certificate = self.pool.hsms.transfer_certificate(self.pool.uri.as_str()).await?;
        let unusable =
            || AzureError::new(Kind::Other, "UnreadableAnswer", "the transfer key's certificate can't be used");
        let holder = Holder::of_certificate(&certificate).ok_or_else(unusable)?;
        let document = security_domain::carry(&self.data, &holder).map_err(|_| unusable())?;
        self.pool.hsms.upload(self.pool.uri.as_str(), &document).await?;
        Ok(Answer::Done(None))
    }

    async fn made(&self, _answer: Option<Value>) -> Result<Value, Failure> {
        self.pool.transferred(Transfer::Upload).await?;
        Ok(json!({ "active": true }))
    }

    fn strangers(&self) -> Strangers {
        self.pool.strangers
    }
}
