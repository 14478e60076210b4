//! `attestation`: tokens of the confidential VM that a step runs in, and verdicts on evidence.

use std::sync::Arc;

use sealbook_attestation::Verdict;
use sealbook_crypto::random;
use sealbook_model::grant::{Capability, Condition, Verb};
use sealbook_model::problem::codes;
use serde_json::Value;
use wasmtime::component::{HasData, Resource, ResourceTable};

use super::seat::{Seat, not_given, reports};
use crate::host::bindings::sealbook::plugin::attestation;
use crate::host::desk::{Desk, State};
use crate::host::fault::{Fault, Refusal};
use crate::host::handle::{Proof, Token};
use crate::step::{Failure, StepError};
use crate::tee::{Attested, GPU_NONCE, Tee, gpu_nonce};

/// Where a token of Azure's attestation service has the launch measurement of a confidential VM.
const MEASUREMENT: &str = "/x-ms-isolation-tee/x-ms-sevsnpvm-launchmeasurement";

/// The scope of grants for the machine's GPU, and the type of its evidence documents.
const GPU: &str = "gpu";
const GPU_TYPE: &str = "nvidia-gpu";

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
            if let Some(measurement) = attested.claims.pointer(MEASUREMENT).and_then(Value::as_str) {
                desk.seen.note(&desk.call.run, Condition::Measurement(measurement.to_ascii_lowercase()));
            }
            Ok::<_, Failure>(desk.tokens.keep(&desk.call, "attested", attested))
        };
        let token = self.seat.look("attestation.attest", attest).await?;
        Ok(self.table.push(token)?)
    }

    async fn attest_gpu(&mut self, rules: String) -> Result<Resource<Proof>, Refusal> {
        let desk = self.seat.desk("attestation.attest-gpu")?;
        let rules = self.seat.json("rules", &rules)?;
        desk.allow(Capability::Attestation, Verb::Use, GPU, None)?;
        let tee = tee(&desk)?;
        let attest = gpu(&desk, tee.as_ref(), rules);
        let proof = self.seat.look("attestation.attest-gpu", attest).await?;
        Ok(self.table.push(proof)?)
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
        let scope = if document["type"] == GPU_TYPE { GPU } else { document["provider"].as_str().unwrap_or_default() };
        desk.allow(Capability::Attestation, Verb::Use, scope, None)?;
        let judged = async { written(&judged(&desk, document, rules).await?) };
        Ok(self.seat.look("attestation.verify", judged).await?.to_string())
    }
}

impl attestation::HostProof for Attestation<'_> {
    async fn verdict(&mut self, proof: Resource<Proof>) -> wasmtime::Result<String> {
        Ok(self.table.get(&proof)?.verdict.to_string())
    }

    async fn document(&mut self, proof: Resource<Proof>) -> wasmtime::Result<String> {
        Ok(self.table.get(&proof)?.document.to_string())
    }

    async fn reference(&mut self, proof: Resource<Proof>) -> wasmtime::Result<String> {
        Ok(self.table.get(&proof)?.reference.clone())
    }

    async fn drop(&mut self, proof: Resource<Proof>) -> wasmtime::Result<()> {
        self.table.delete(proof)?;
        Ok(())
    }
}

/// Judges evidence, away from the threads that drive other calls.
async fn judged(desk: &Desk, document: Value, rules: Value) -> Result<Verdict, Fault> {
    let judge = Arc::clone(&desk.judge);
    let verdict = tokio::task::spawn_blocking(move || judge(&document, &rules)).await;
    verdict.map_err(|error| Fault::Host(format!("evidence was not judged: {error}")))
}

fn written(verdict: &Verdict) -> Result<Value, Fault> {
    serde_json::to_value(verdict).map_err(|error| Fault::Host(format!("a verdict can't be written: {error}")))
}

/// Has the GPU measured and judged. The nonce is this host's: it names the step, and is used once. What `rules` say comes
/// on top of what is always demanded.
async fn gpu(desk: &Desk, tee: &dyn Tee, mut rules: Value) -> Result<Proof, Failure> {
    let (user_data, salt) = (desk.user_data(), random::<GPU_NONCE>());
    let nonce = gpu_nonce(&user_data, &salt);
    let mut document = tee.gpu(&desk.azure, nonce).await?;
    document["user_data"] = hex::encode(user_data).into();
    document["salt"] = hex::encode(salt).into();
    if !rules.is_object() {
        return Err(StepError::InvalidInput { field: "rules".into(), message: "they are an object".into() }.into());
    }
    rules["nonce"] = hex::encode(nonce).into();
    let verdict = judged(desk, document.clone(), rules).await?;
    if !verdict.passed() {
        let why = verdict
            .deciding()
            .map_or_else(|| "nothing could be checked".to_owned(), |check| format!("{}: {}", check.name, check.detail));
        let message = format!("the machine's GPU does not verify: {why}");
        return Err(StepError::Component { code: codes::EVIDENCE_REFUSED.into(), message }.into());
    }
    desk.seen.note(&desk.call.run, Condition::Gpu);
    Ok(Proof { reference: format!("proof:{}/gpu", desk.call.step), verdict: written(&verdict)?, document })
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
