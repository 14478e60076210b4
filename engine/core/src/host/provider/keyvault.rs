//! `keyvault`: keys in Key Vault.

use std::sync::Arc;

use sealbook_crypto::rsa::RsaAesWrap;
use sealbook_model::grant::{Capability, Condition, Use, Verb};
use serde_json::Value;
use wasmtime::component::{HasData, Resource, ResourceTable};

use super::seat::{Seat, reports};
use crate::host::address::KeyUri;
use crate::host::bindings::sealbook::plugin::keyvault;
use crate::host::desk::{Desk, State};
use crate::host::effect::{KeyCreate, KeyDelete, KeyImport, KeyRotate, KeyRotationPolicy, KeyUpdate};
use crate::host::fault::Refusal;
use crate::host::handle::{Artifact, Key, Pair, Token};
use crate::host::pair;
use crate::step::{Failure, StepError};
use crate::tee::Released;

/// Longest wrapped key: an RSA-4096 ciphertext has 512 bytes.
const WRAPPED_MAX: usize = 4096;

/// Longest key transfer blob: an RSA-4096 key in base64url, twice over.
const BLOB_MAX: u64 = 16 << 10;

/// The interface's view of the store.
pub(crate) struct Keyvault<'a> {
    seat: Seat<'a>,
    table: &'a mut ResourceTable,
}
reports!(Keyvault);

pub(crate) struct HasKeyvault;

impl HasData for HasKeyvault {
    type Data<'a> = Keyvault<'a>;
}

impl State {
    pub(crate) fn keyvault(&mut self) -> Keyvault<'_> {
        let Self { desk, meter, reported, table, .. } = self;
        Keyvault { seat: Seat { desk: desk.as_ref(), meter, reported }, table }
    }
}

impl Keyvault<'_> {
    fn at(&mut self, what: &str, uri: &str, verb: Verb) -> Result<(Arc<Desk>, KeyUri), Refusal> {
        let (desk, uri) = (self.seat.desk(what)?, KeyUri::parse(uri)?);
        desk.allow(Capability::Keyvault, verb, uri.as_str(), None)?;
        Ok((desk, uri))
    }

    /// As [`Self::at`], for what is done to a key with all its versions.
    fn whole(&mut self, what: &str, uri: &str, verb: Verb) -> Result<(Arc<Desk>, KeyUri), Refusal> {
        let (desk, uri) = self.at(what, uri, verb)?;
        if uri.is_versioned() {
            return Err(invalid("uri", "name the key, not one of its versions").into());
        }
        Ok((desk, uri))
    }
}

impl keyvault::Host for Keyvault<'_> {
    async fn get(&mut self, uri: String) -> Result<Option<String>, Refusal> {
        let (desk, uri) = self.at("keyvault.get", &uri, Verb::Read)?;
        let found = self.seat.look("keyvault.get", desk.azure.keys().get(uri.as_str())).await?;
        Ok(found.map(|bundle| bundle.to_string()))
    }

    async fn versions(&mut self, uri: String) -> Result<Vec<String>, Refusal> {
        let (desk, uri) = self.at("keyvault.versions", &uri, Verb::Read)?;
        let all = self.seat.look("keyvault.versions", desk.azure.keys().versions(uri.unversioned())).await?;
        Ok(all.iter().map(Value::to_string).collect())
    }

    async fn create(&mut self, effect: String, uri: String, parameters: String) -> Result<String, Refusal> {
        let (desk, uri) = self.whole("keyvault.create", &uri, Verb::Create)?;
        let parameters = self.seat.json("parameters", &parameters)?;
        let create = KeyCreate::new(&desk, uri, parameters, desk.mark(&effect))?;
        Ok(self.seat.effect("keyvault.create", effect, create).await?.to_string())
    }

    async fn import(
        &mut self,
        effect: String,
        uri: String,
        parameters: String,
        blob: Resource<Artifact>,
    ) -> Result<String, Refusal> {
        let (desk, uri) = self.whole("keyvault.import", &uri, Verb::Create)?;
        let parameters = self.seat.json("parameters", &parameters)?;
        let Artifact(blob) = self.table.get(&blob)?;
        if blob.is_secret() || blob.length() > BLOB_MAX {
            return Err(invalid("blob", "it is no key transfer blob").into());
        }
        let content = (self.seat.look("keyvault.import", blob.read_all()).await?, blob.sha256().to_owned());
        let import = KeyImport::new(&desk, uri, parameters, content, desk.mark(&effect))?;
        Ok(self.seat.effect("keyvault.import", effect, import).await?.to_string())
    }

    async fn update(&mut self, effect: String, uri: String, parameters: String) -> Result<String, Refusal> {
        let (desk, uri) = self.at("keyvault.update", &uri, Verb::Update)?;
        let update = KeyUpdate::new(&desk, uri, self.seat.json("parameters", &parameters)?)?;
        Ok(self.seat.effect("keyvault.update", effect, update).await?.to_string())
    }

    async fn rotate(&mut self, effect: String, uri: String) -> Result<String, Refusal> {
        let (desk, uri) = self.whole("keyvault.rotate", &uri, Verb::Create)?;
        let rotate = KeyRotate::new(&desk, uri);
        Ok(self.seat.effect("keyvault.rotate", effect, rotate).await?.to_string())
    }

    async fn rotation_policy(&mut self, uri: String) -> Result<String, Refusal> {
        let (desk, uri) = self.whole("keyvault.rotation-policy", &uri, Verb::Read)?;
        let keys = desk.azure.keys();
        let read = keys.rotation_policy(uri.unversioned());
        Ok(self.seat.look("keyvault.rotation-policy", read).await?.to_string())
    }

    async fn set_rotation_policy(&mut self, effect: String, uri: String, policy: String) -> Result<String, Refusal> {
        let (desk, uri) = self.whole("keyvault.set-rotation-policy", &uri, Verb::Update)?;
        let set = KeyRotationPolicy::new(&desk, uri, self.seat.json("policy", &policy)?);
        Ok(self.seat.effect("keyvault.set-rotation-policy", effect, set).await?.to_string())
    }

    async fn delete(&mut self, effect: String, uri: String) -> Result<Option<String>, Refusal> {
        let (desk, uri) = self.whole("keyvault.delete", &uri, Verb::Create)?;
        let delete = KeyDelete::new(&desk, uri, desk.mark(&effect));
        let bundle = self.seat.effect("keyvault.delete", effect, delete).await?;
        Ok((!bundle.is_null()).then(|| bundle.to_string()))
    }

    async fn wrap(&mut self, uri: String, algorithm: String, secret: Resource<Key>) -> Result<Vec<u8>, Refusal> {
        let (desk, uri) = self.at("keyvault.wrap", &uri, Verb::Wrap)?;
        check_algorithm(&algorithm)?;
        let bytes = self.table.get(&secret)?.bytes.clone();
        self.seat.look("keyvault.wrap", desk.azure.keys().wrap(uri.as_str(), &algorithm, &bytes)).await
    }

    async fn release(
        &mut self,
        uri: String,
        token: Resource<Token>,
        algorithm: String,
    ) -> Result<Resource<Pair>, Refusal> {
        let (desk, uri) = self.at("keyvault.release", &uri, Verb::Release)?;
        let tee = super::attestation::tee(&desk)?;
        let wrap = RsaAesWrap::from_name(&algorithm).ok_or_else(|| {
            let names = RsaAesWrap::ALL.map(RsaAesWrap::name).join(", ");
            invalid("algorithm", &format!("a key is released by one of {names}"))
        })?;
        let attested = Arc::clone(&self.table.get(&token)?.attested);
        let released = async {
            let Released { key, policy } = tee.release(&desk.azure, uri.as_str(), &attested, wrap).await?;
            let name = format!("released-{}", hex::encode(&sealbook_crypto::sha256(uri.as_str().as_bytes())[..8]));
            let wanted = Use { interface: Capability::Keyvault, verb: Verb::Release, target: uri.as_str(), role: None };
            // Under which policy it was released is known now, and does not change: such a condition is met or never.
            let met = |condition: &Condition| matches!(condition, Condition::Policy(p) if policy.as_ref() == Some(p));
            let gate = desk.call.gate.conditions(&wanted).into_iter().filter(|condition| !met(condition)).collect();
            pair::keep(&desk, &name, &key, gate)
        };
        let pair = self.seat.look("keyvault.release", released).await?;
        Ok(self.table.push(pair)?)
    }

    async fn unwrap(&mut self, uri: String, algorithm: String, wrapped: Vec<u8>) -> Result<Resource<Key>, Refusal> {
        let (desk, uri) = self.at("keyvault.unwrap", &uri, Verb::Unwrap)?;
        check_algorithm(&algorithm)?;
        if wrapped.len() > WRAPPED_MAX {
            return Err(invalid("wrapped", "no wrapped key is that long").into());
        }
        let bytes =
            self.seat.look("keyvault.unwrap", desk.azure.keys().unwrap(uri.as_str(), &algorithm, &wrapped)).await?;
        let name = hex::encode(&sealbook_crypto::sha256(&wrapped)[..8]);
        let reference = format!("key:{}/unwrapped-{name}", desk.call.step);
        desk.keys.replace(&desk.call.run, &reference, bytes.clone());
        Ok(self.table.push(Key { reference, bytes })?)
    }
}

fn check_algorithm(algorithm: &str) -> Result<(), Failure> {
    let ok = (1..=32).contains(&algorithm.len())
        && algorithm.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if ok { Ok(()) } else { Err(invalid("algorithm", "it is a name like RSA-OAEP-256")) }
}

fn invalid(field: &str, message: &str) -> Failure {
    StepError::InvalidInput { field: field.into(), message: message.into() }.into()
}
