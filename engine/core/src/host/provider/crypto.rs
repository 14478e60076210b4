//! `crypto`: keys as handles.

use std::sync::Arc;

use sealbook_crypto::{SecretBytes, constant_time_eq, random};
use sealbook_model::grant::{Capability, Verb};
use wasmtime::component::{HasData, Resource, ResourceTable};

use super::seat::{Seat, not_given, reports};
use crate::host::bindings::sealbook::plugin::crypto;
use crate::host::desk::{Desk, State};
use crate::host::fault::Refusal;
use crate::host::handle::{Key, is_name};
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

fn invalid(field: &str, message: &str) -> Failure {
    StepError::InvalidInput { field: field.into(), message: message.into() }.into()
}
