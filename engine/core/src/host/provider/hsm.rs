//! `hsm`: activation and local roles of managed HSMs.

use std::sync::Arc;

use sealbook_crypto::rsa::RsaKey;
use sealbook_crypto::security_domain::{self, DomainError, Opened, certificate};
use sealbook_model::grant::{Capability, Verb};
use serde_json::{Value, json};
use uuid::Uuid;
use wasmtime::component::{HasData, Resource, ResourceTable};

use super::seat::{Seat, reports};
use crate::host::address::{ArmId, HsmUri, LocalScope};
use crate::host::bindings::sealbook::plugin::hsm;
use crate::host::desk::{Desk, State};
use crate::host::effect::{DomainDownload, DomainUpload, LocalAssign, LocalUnassign, Place, Pool};
use crate::host::fault::{Fault, Refusal};
use crate::host::handle::{Artifact, Pair, is_name};
use crate::step::{Failure, StepError};

/// Longest security domain that is read.
const DOMAIN_MAX: u64 = 1 << 20;
/// How long the holders' certificates are valid. They carry keys and are checked by nobody: what counts is who has the
/// private keys. As long as X.509 has two digits for the year (RFC 5280 §4.1.2.5.1).
const VALID: (certificate::Day, certificate::Day) = ((2024, 1, 1), (2049, 12, 31));

/// The interface's view of the store.
pub(crate) struct Hsm<'a> {
    seat: Seat<'a>,
    table: &'a mut ResourceTable,
}
reports!(Hsm);

pub(crate) struct HasHsm;

impl HasData for HasHsm {
    type Data<'a> = Hsm<'a>;
}

impl State {
    pub(crate) fn hsm(&mut self) -> Hsm<'_> {
        let Self { desk, meter, reported, table, .. } = self;
        Hsm { seat: Seat { desk: desk.as_ref(), meter, reported }, table }
    }
}

impl Hsm<'_> {
    /// A managed HSM that is to be activated: its resource is looked at, too.
    fn pool(&mut self, what: &str, effect: &str, id: &str, uri: &str) -> Result<(Arc<Desk>, Pool), Refusal> {
        let (desk, id, uri) = (self.seat.desk(what)?, ArmId::parse(id)?, HsmUri::parse(uri)?);
        desk.allow(Capability::Hsm, Verb::Write, uri.as_str(), None)?;
        desk.allow(Capability::Azure, Verb::Read, id.as_str(), None)?;
        let pool = Pool::new(&desk, id, uri, desk.mark(effect));
        Ok((desk, pool))
    }

    /// A scope in which `role` may be assigned.
    fn place(&mut self, what: &str, uri: &str, scope: &str, role: &str) -> Result<(Arc<Desk>, Place), Refusal> {
        let (desk, uri, scope) = (self.seat.desk(what)?, HsmUri::parse(uri)?, LocalScope::parse(scope)?);
        desk.allow(Capability::Hsm, Verb::Assign, &scope.within(&uri), Some(role))?;
        let place = Place::new(&desk, uri, scope);
        Ok((desk, place))
    }

    fn keys(&self, desk: &Desk, holders: &[Resource<Pair>]) -> Result<Vec<&RsaKey>, Refusal> {
        holders.iter().map(|pair| Ok(self.table.get(pair)?.key(desk)?)).collect()
    }

    /// Opens a security domain, and says under which digest the artifact is known.
    async fn opened(
        &mut self,
        what: &str,
        domain: &Resource<Artifact>,
        holders: &[Resource<Pair>],
    ) -> Result<(Opened, String), Refusal> {
        let Artifact(artifact) = self.table.get(domain)?;
        if artifact.is_secret() || artifact.length() > DOMAIN_MAX {
            return Err(invalid("domain", "it is no security domain").into());
        }
        let bytes = self.seat.look(what, artifact.read_all()).await?;
        let document: Value =
            serde_json::from_slice(&bytes).map_err(|_| invalid("domain", "it is no security domain: no JSON"))?;
        let sha256 = self.table.get(domain)?.0.sha256().to_owned();
        let desk = self.seat.desk(what)?;
        let opened = security_domain::open(&document, &self.keys(&desk, holders)?).map_err(|error| match error {
            DomainError::Quorum { .. } => invalid("holders", &error.to_string()),
            DomainError::Malformed => invalid("domain", &error.to_string()),
        })?;
        Ok((opened, sha256))
    }
}

impl hsm::Host for Hsm<'_> {
    async fn download(
        &mut self,
        effect: String,
        id: String,
        uri: String,
        holders: Vec<Resource<Pair>>,
        quorum: u32,
        name: String,
    ) -> Result<Resource<Artifact>, Refusal> {
        let (desk, pool) = self.pool("hsm.download", &effect, &id, &uri)?;
        if !is_name(&name) {
            return Err(invalid("name", "an artifact's name is 1 to 64 letters, digits, `-`, `_` and `.`").into());
        }
        let required = u8::try_from(quorum).ok().filter(|q| (2..=holders.len()).contains(&usize::from(*q)));
        let required = required.ok_or_else(|| invalid("quorum", "it is between 2 and the number of holders"))?;
        if !(3..=10).contains(&holders.len()) {
            return Err(invalid("holders", "a security domain has between 3 and 10 holders").into());
        }
        let mut certificates = Vec::new();
        for (number, key) in (1..).zip(self.keys(&desk, &holders)?) {
            let made = certificate::self_signed(key, &format!("security domain holder {number}"), VALID);
            certificates.push(made.map_err(|e| Fault::Host(format!("a certificate can't be made: {e}")))?);
        }
        let download = DomainDownload::new(&desk, pool, certificates, required, name);
        let made = self.seat.effect("hsm.download", effect, download).await?;
        let reference = made["artifact"].as_str().unwrap_or_default();
        let artifact = self.seat.look("hsm.download", desk.shelf.open(reference)).await?;
        Ok(self.table.push(Artifact(artifact))?)
    }

    async fn examine(&mut self, domain: Resource<Artifact>, holders: Vec<Resource<Pair>>) -> Result<String, Refusal> {
        let desk = self.seat.desk("hsm.examine")?;
        // It looks at what the step was given and reaches nobody.
        desk.allow(Capability::Crypto, Verb::Use, "", None)?;
        let (opened, _) = self.opened("hsm.examine", &domain, &holders).await?;
        let tags: Vec<&str> = opened.data.iter().map(|datum| datum.tag.as_str()).collect();
        Ok(json!({ "shares": opened.shares, "required": opened.required, "secrets": tags }).to_string())
    }

    async fn upload(
        &mut self,
        effect: String,
        id: String,
        uri: String,
        domain: Resource<Artifact>,
        holders: Vec<Resource<Pair>>,
    ) -> Result<(), Refusal> {
        let (_, pool) = self.pool("hsm.upload", &effect, &id, &uri)?;
        let (opened, sha256) = self.opened("hsm.upload", &domain, &holders).await?;
        let upload = DomainUpload::new(pool, opened.data, sha256);
        self.seat.effect("hsm.upload", effect, upload).await?;
        Ok(())
    }

    async fn assigned(
        &mut self,
        uri: String,
        scope: String,
        principal: String,
        role: String,
    ) -> Result<Option<hsm::LocalAssignment>, Refusal> {
        let (_, place) = self.place("hsm.assigned", &uri, &scope, &role)?;
        let principal = guid("principal", &principal)?;
        let found = self.seat.look("hsm.assigned", place.find(principal, &role)).await?;
        Ok(found.map(|name| hsm::LocalAssignment { name, already: true }))
    }

    async fn assign(
        &mut self,
        effect: String,
        uri: String,
        scope: String,
        principal: String,
        role: String,
    ) -> Result<hsm::LocalAssignment, Refusal> {
        let (desk, place) = self.place("hsm.assign", &uri, &scope, &role)?;
        let assign = LocalAssign::new(place, guid("principal", &principal)?, role, &desk.mark(&effect));
        let made = self.seat.effect("hsm.assign", effect, assign).await?;
        let name = made["name"].as_str().unwrap_or_default().to_owned();
        Ok(hsm::LocalAssignment { name, already: made["already"] == true })
    }

    async fn unassign(
        &mut self,
        effect: String,
        uri: String,
        scope: String,
        name: String,
        role: String,
    ) -> Result<bool, Refusal> {
        let (desk, place) = self.place("hsm.unassign", &uri, &scope, &role)?;
        let name = guid("name", &name)?;
        // The grant is for one role: an assignment of another is not touched.
        if self.seat.look("hsm.unassign", place.gives(name, &role)).await? == Some(false) {
            return Err(invalid("role", "this assignment gives another role").into());
        }
        let unassign = LocalUnassign::new(&desk, place, name);
        Ok(self.seat.effect("hsm.unassign", effect, unassign).await? == true)
    }
}

fn guid(field: &str, text: &str) -> Result<Uuid, Failure> {
    Uuid::try_parse(text).map_err(|_| invalid(field, "it is a GUID"))
}

fn invalid(field: &str, message: &str) -> Failure {
    StepError::InvalidInput { field: field.into(), message: message.into() }.into()
}
