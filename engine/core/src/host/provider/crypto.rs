//! `crypto`: keys and key pairs as handles.

use std::sync::Arc;

use sealbook_crypto::rsa::{Padding, RsaBits};
use sealbook_crypto::{SecretBytes, constant_time_eq, random};
use sealbook_model::grant::{Capability, Verb};
use wasmtime::component::{HasData, Resource, ResourceTable};

use super::seat::{Seat, not_given, reports};
use crate::host::bindings::sealbook::plugin::crypto;
use crate::host::desk::{Desk, State};
use crate::host::fault::{Fault, Refusal};
use crate::host::handle::{Artifact, Key, Pair, is_name};
use crate::host::pair;
use crate::host::sealing::{self, SealOptions};
use crate::step::{Failure, StepError};

/// The interface's view of the store.
pub(crate) struct Crypto<'a> {
    seat: Seat<'a>,
    table: &'a mut ResourceTable,
}
reports!(Crypto);

pub(crate) struct HasCrypto;

impl HasData for HasCrypto {
    type Data<'a> = Crypto<'a>;
}

impl State {
    pub(crate) fn crypto(&mut self) -> Crypto<'_> {
        let Self { desk, meter, reported, table, .. } = self;
        Crypto { seat: Seat { desk: desk.as_ref(), meter, reported }, table }
    }
}

impl Crypto<'_> {
    fn granted(&mut self, what: &str) -> Result<Arc<Desk>, Refusal> {
        let desk = self.seat.desk(what)?;
        desk.allow(Capability::Crypto, Verb::Use, "", None)?;
        Ok(desk)
    }
}

impl crypto::Host for Crypto<'_> {
    async fn generate(&mut self, name: String, bits: u32) -> Result<Resource<Key>, Refusal> {
        let desk = self.granted("crypto.generate")?;
        if !is_name(&name) {
            return Err(invalid("name", "a key's name is 1 to 64 letters, digits, `-`, `_` and `.`").into());
        }
        let length = match bits {
            128 | 256 => bits as usize / 8,
            _ => return Err(invalid("bits", "a key has 128 or 256 bits").into()),
        };
        let reference = format!("key:{}/{name}", desk.call.step);
        let fresh = || SecretBytes::new(random::<32>()[..length].to_vec());
        let mut bytes = desk.keys.get_or_insert(&desk.call.run, &reference, fresh);
        if bytes.len() != length {
            bytes = fresh();
            desk.keys.replace(&desk.call.run, &reference, bytes.clone());
        }
        Ok(self.table.push(Key { reference, bytes })?)
    }

    async fn open(&mut self, reference: String) -> Result<Resource<Key>, Refusal> {
        let desk = self.granted("crypto.open")?;
        if !desk.may_open(&reference) {
            return Err(not_given(&reference).into());
        }
        // In memory only: after a restart the step that made it has to run again.
        let bytes = desk.keys.get(&desk.call.run, &reference).ok_or_else(|| not_given(&reference))?;
        Ok(self.table.push(Key { reference, bytes })?)
    }

    async fn generate_pair(&mut self, name: String, bits: u32) -> Result<Resource<Pair>, Refusal> {
        let desk = self.granted("crypto.generate-pair")?;
        // It leaves something behind: an artifact.
        desk.effects_allowed("crypto.generate-pair")?;
        let bits =
            RsaBits::from_bits(bits.into()).ok_or_else(|| invalid("bits", "a key pair has 2048, 3072 or 4096 bits"))?;
        let made = self.seat.look("crypto.generate-pair", pair::generate(&desk, &name, bits)).await?;
        Ok(self.table.push(made)?)
    }

    async fn open_pair(&mut self, reference: String) -> Result<Resource<Pair>, Refusal> {
        let desk = self.granted("crypto.open-pair")?;
        if !desk.may_open(&reference) {
            return Err(not_given(&reference).into());
        }
        let opened = self.seat.look("crypto.open-pair", pair::open(&desk, &reference)).await?;
        Ok(self.table.push(opened)?)
    }

    async fn transfer_blob(
        &mut self,
        target: Resource<Pair>,
        exchange: String,
        name: String,
    ) -> Result<Resource<Artifact>, Refusal> {
        let desk = self.granted("crypto.transfer-blob")?;
        let exchange = self.seat.json("exchange", &exchange)?;
        let blob = pair::transfer_blob(self.table.get(&target)?.key(&desk)?, &exchange)?;
        let written = desk.shelf.write(&desk.call.step, &name, blob, false);
        let artifact = self.seat.look("crypto.transfer-blob", written).await?;
        Ok(self.table.push(Artifact(artifact))?)
    }

    async fn seal(&mut self, recipient: Resource<Pair>, secret: Resource<Key>) -> Result<Vec<u8>, Refusal> {
        self.granted("crypto.seal")?;
        let (pair, secret) = (self.table.get(&recipient)?, self.table.get(&secret)?);
        let sealed = pair.public().encrypt(Padding::OaepSha256, secret.bytes.expose());
        Ok(sealed.map_err(|error| Fault::Host(format!("a key can't be encrypted: {error}")))?)
    }

    async fn unseal(&mut self, recipient: Resource<Pair>, sealed: Vec<u8>) -> Result<Resource<Key>, Refusal> {
        let desk = self.granted("crypto.unseal")?;
        let pair = self.table.get(&recipient)?.key(&desk)?;
        let bytes = pair.decrypt(Padding::OaepSha256, &sealed).map_err(|_| StepError::Permanent {
            message: "it does not decrypt with this pair (RSA-OAEP-256): another key wrapped it, or it was changed"
                .into(),
        })?;
        let name = hex::encode(&sealbook_crypto::sha256(&sealed)[..8]);
        let reference = format!("key:{}/unsealed-{name}", desk.call.step);
        desk.keys.replace(&desk.call.run, &reference, bytes.clone());
        Ok(self.table.push(Key { reference, bytes })?)
    }

    async fn seal_file(
        &mut self,
        secret: Resource<Key>,
        source: Resource<Artifact>,
        name: String,
        options: String,
    ) -> Result<Resource<Artifact>, Refusal> {
        let desk = self.granted("crypto.seal-file")?;
        let options = SealOptions::read(&self.seat.json("options", &options)?)?;
        let key = self.table.get(&secret)?.bytes.clone();
        let Artifact(source) = self.table.get(&source)?;
        pair::stays(source).await?;
        let sealed = sealing::seal(&desk, key, source, &name, options);
        let artifact = self.seat.look("crypto.seal-file", sealed).await?;
        Ok(self.table.push(Artifact(artifact))?)
    }

    async fn describe_file(&mut self, source: Resource<Artifact>) -> Result<String, Refusal> {
        self.granted("crypto.describe-file")?;
        let Artifact(source) = self.table.get(&source)?;
        Ok(self.seat.look("crypto.describe-file", sealing::describe(source)).await?.to_string())
    }

    async fn open_file(
        &mut self,
        secret: Resource<Key>,
        source: Resource<Artifact>,
        name: String,
        layout: String,
    ) -> Result<Resource<Artifact>, Refusal> {
        let desk = self.granted("crypto.open-file")?;
        let layout = layout.parse()?;
        let key = self.table.get(&secret)?.bytes.clone();
        let Artifact(source) = self.table.get(&source)?;
        let opened = sealing::open(&desk, key, source, &name, layout);
        let artifact = self.seat.look("crypto.open-file", opened).await?;
        Ok(self.table.push(Artifact(artifact))?)
    }

    async fn same(&mut self, a: Resource<Key>, b: Resource<Key>) -> wasmtime::Result<bool> {
        let (a, b) = (self.table.get(&a)?, self.table.get(&b)?);
        Ok(constant_time_eq(a.bytes.expose(), b.bytes.expose()))
    }
}

impl crypto::HostKey for Crypto<'_> {
    async fn bits(&mut self, key: Resource<Key>) -> wasmtime::Result<u32> {
        Ok(u32::try_from(self.table.get(&key)?.bytes.len() * 8).unwrap_or(u32::MAX))
    }

    async fn reference(&mut self, key: Resource<Key>) -> wasmtime::Result<String> {
        Ok(self.table.get(&key)?.reference.clone())
    }

    async fn drop(&mut self, key: Resource<Key>) -> wasmtime::Result<()> {
        self.table.delete(key)?;
        Ok(())
    }
}

impl crypto::HostPair for Crypto<'_> {
    async fn public(&mut self, pair: Resource<Pair>) -> wasmtime::Result<String> {
        Ok(pair::jwk(self.table.get(&pair)?.public()).to_string())
    }

    async fn reference(&mut self, pair: Resource<Pair>) -> wasmtime::Result<String> {
        Ok(self.table.get(&pair)?.reference.clone())
    }

    async fn drop(&mut self, pair: Resource<Pair>) -> wasmtime::Result<()> {
        self.table.delete(pair)?;
        Ok(())
    }
}

fn invalid(field: &str, message: &str) -> Failure {
    StepError::InvalidInput { field: field.into(), message: message.into() }.into()
}
