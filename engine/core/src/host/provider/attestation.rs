//! `attestation`: tokens of the confidential VM that a step runs in, and verdicts on evidence.

use std::sync::Arc;

use sealbook_model::grant::{Capability, Verb};
use wasmtime::component::{HasData, Resource, ResourceTable};

use super::seat::{Seat, not_given, reports};
use crate::host::bindings::sealbook::plugin::attestation;
use crate::host::desk::{Desk, State};
use crate::host::fault::{Fault, Refusal};
use crate::host::handle::Token;
use crate::step::{Failure, StepError};
use crate::tee::{Attested, Tee};

/// The interface's view of the store.
pub(crate) struct Attestation<'a> {
    seat: Seat<'a>,
    table: &'a mut ResourceTable,
}
reports!(Attestation);

pub(crate) struct HasAttestation;

impl HasData for HasAttestation {
    type Data<'a> = Attestation<'a>;
}

impl State {
    pub(crate) fn attestation(&mut self) -> Attestation<'_> {
        let Self { desk, meter, reported, table, .. } = self;
        Attestation { seat: Seat { desk: desk.as_ref(), meter, reported }, table }
    }
}

/// The machine's trusted hardware.
///
/// # Errors
/// On any other machine.
pub(super) fn tee(desk: &Desk) -> Result<Arc<dyn Tee>, Failure> {
    desk.tee.clone().ok_or_else(|| {
        StepError::Precondition {
            message: "this step does not run in a confidential VM, so there is nothing that could be attested".into(),
            fix: "write where = \"guest\" into the playbook's step".into(),
        }
        .into()
    })
}

impl attestation::Host for Attestation<'_> {
    async fn attest(&mut self, provider: String) -> Result<Resource<Token>, Refusal> {
        let desk = self.seat.desk("attestation.attest")?;
        desk.allow(Capability::Attestation, Verb::Use, &provider, None)?;
        let tee = tee(&desk)?;
        let attest = async {
            let attested = tee.attest(&desk.azure, &provider, desk.user_data()).await?;
            Ok::<_, Failure>(desk.tokens.keep(&desk.call, "attested", attested))
        };
        let token = self.seat.look("attestation.attest", attest).await?;
        Ok(self.table.push(token)?)
    }

    async fn open(&mut self, reference: String) -> Result<Resource<Token>, Refusal> {
        let desk = self.seat.desk("attestation.open")?;
        if !desk.may_open(&reference) {
            return Err(not_given(&reference).into());
        }
        let token = desk.tokens.get(&desk.call.run, &reference).ok_or_else(|| not_given(&reference))?;
        Ok(self.table.push(token)?)
    }

    async fn present(&mut self, document: String) -> Result<Resource<Token>, Refusal> {
        let desk = self.seat.desk("attestation.present")?;
        let document = self.seat.json("document", &document)?;
        desk.allow(Capability::Attestation, Verb::Use, document["provider"].as_str().unwrap_or_default(), None)?;
        tee(&desk)?;
        let attested = Attested::presented(document).ok_or_else(|| StepError::InvalidInput {
            field: "document".into(),
            message: "it holds no token that names a transfer key".into(),
        })?;
        Ok(self.table.push(desk.tokens.keep(&desk.call, "presented", attested))?)
    }

    async fn verify(&mut self, document: String, rules: String) -> Result<String, Refusal> {
        let desk = self.seat.desk("attestation.verify")?;
        let (document, rules) = (self.seat.json("document", &document)?, self.seat.json("rules", &rules)?);
        desk.allow(Capability::Attestation, Verb::Use, document["provider"].as_str().unwrap_or_default(), None)?;
        let judge = Arc::clone(&desk.judge);
        let judged = async move {
            let verdict = tokio::task::spawn_blocking(move || judge(&document, &rules)).await;
            let verdict = verdict.map_err(|error| Fault::Host(format!("evidence was not judged: {error}")))?;
            serde_json::to_string(&verdict).map_err(|error| Fault::Host(format!("a verdict can't be written: {error}")))
        };
        self.seat.look("attestation.verify", judged).await
    }
}

impl attestation::HostToken for Attestation<'_> {
    async fn claims(&mut self, token: Resource<Token>) -> wasmtime::Result<String> {
        Ok(self.table.get(&token)?.attested.claims.to_string())
    }

    async fn document(&mut self, token: Resource<Token>) -> wasmtime::Result<String> {
        Ok(self.table.get(&token)?.attested.document.to_string())
    }

    async fn reference(&mut self, token: Resource<Token>) -> wasmtime::Result<String> {
        Ok(self.table.get(&token)?.reference.clone())
    }

    async fn drop(&mut self, token: Resource<Token>) -> wasmtime::Result<()> {
        self.table.delete(token)?;
        Ok(())
    }
}
