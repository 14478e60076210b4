//! What an operation gets: the transaction, two clocks, the caller and the request.

use std::net::Ipv4Addr;

use chrono::{DateTime, Utc};
use rusqlite::Transaction;
use sealbook_crypto::{SealKey, SecretBytes};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::audit::Entry;
use crate::authorization::evaluate::{self, Decision};
use crate::http::Request;
use crate::identity::principals::{self, Principal};
use crate::lro::{self, Lro, NewLro};
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::room::MachineRoom;
use crate::store::resources::{self, Filter, Resource};
use crate::store::settings;

/// Kind of a principal, with the words that Azure uses for `principalType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PrincipalKind {
    /// A person.
    User,
    /// An application or a managed identity.
    ServicePrincipal,
}

impl PrincipalKind {
    /// Azure's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::ServicePrincipal => "ServicePrincipal",
        }
    }

    /// Parses Azure's word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "User" => Some(Self::User),
            "ServicePrincipal" => Some(Self::ServicePrincipal),
            _ => None,
        }
    }
}

/// Who calls, as a validated token says. All fields are empty for an open operation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caller {
    /// Object id.
    pub oid: String,
    /// Kind of principal; `None` when nobody is signed in.
    pub kind: Option<PrincipalKind>,
    /// Tenant.
    pub tenant: String,
    /// Client application that asked for the token.
    pub app_id: String,
    /// User principal name of a person.
    pub upn: Option<String>,
    /// Issuer of the token.
    pub issuer: String,
}

impl Caller {
    /// What `systemData` and logs call the caller: the user's name, else the application id.
    pub fn name(&self) -> &str {
        self.upn.as_deref().unwrap_or(&self.app_id)
    }

    /// The `identity` of an audit record.
    pub fn identity(&self) -> Value {
        json!({ "claim": {
            "oid": self.oid,
            "appid": self.app_id,
            "upn": self.upn,
            "idtyp": if self.kind == Some(PrincipalKind::User) { "user" } else { "app" },
            "tid": self.tenant,
        } })
    }
}

/// The context of one request: everything an operation may read or change.
pub(crate) struct Cx<'a> {
    /// The request's one IMMEDIATE transaction.
    pub tx: &'a Transaction<'a>,
    /// Cloud clock: retention, rotation, long-running operations, role propagation, everything shown to users.
    pub now: DateTime<Utc>,
    /// Wall clock: tokens and TLS.
    pub wall: DateTime<Utc>,
    /// The request.
    pub request: &'a Request,
    /// Who calls.
    pub caller: Caller,
    /// This request's id (`x-ms-request-id`).
    pub request_id: Uuid,
    /// The caller's correlation id, else this request's own.
    pub correlation_id: String,
    /// The tenant that the request is about: that of what it names, else that of its caller, else the first.
    pub tenant: String,
    /// Where scripts for virtual machines are carried out, if anywhere.
    pub room: Option<&'a dyn MachineRoom>,
    pub(crate) sealing: &'a SealKey,
    pub(crate) entries: Vec<(Entry, Value)>,
}

impl Cx<'_> {
    /// Seals bytes for the database; `aad` names the row they belong to.
    pub fn seal(&self, aad: &str, plaintext: &[u8]) -> Vec<u8> {
        self.sealing.seal(aad.as_bytes(), plaintext)
    }

    /// Opens what [`Cx::seal`] sealed under the same `aad`.
    pub fn open(&self, aad: &str, sealed: &[u8]) -> Result<SecretBytes, Refusal> {
        self.sealing
            .open(aad.as_bytes(), sealed)
            .map_err(|_| Refusal::internal(format!("a sealed value of {aad} does not open with the cloud's key")))
    }

    /// Whether a principal may do `action` at `scope` now (`data`: a data action).
    pub fn allows(&self, principal: &str, action: &str, data: bool, scope: &str) -> Result<Decision, Refusal> {
        evaluate::decide(self, principal, action, data, scope)
    }

    /// Whether the caller may do `action` at `scope` now.
    pub fn authorize(&self, action: &str, data: bool, scope: &str) -> Result<Decision, Refusal> {
        self.allows(&self.caller.oid, action, data, scope)
    }

    /// The managed identities of the machine that asks, system-assigned first: those that a front door names, or those
    /// that a virtual machine holds now, when it asks through its own door.
    pub fn machine_identities(&self) -> Result<Vec<Principal>, Refusal> {
        if let Some(machine) = &self.request.machine {
            return principals::held_by(self.tx, &machine.id);
        }
        let mut held = Vec::new();
        for oid in &self.request.identities {
            held.extend(principals::get(self.tx, oid)?);
        }
        Ok(held)
    }

    /// Starts a long-running operation that completes `lro.takes` from now on the cloud clock
    /// (longer under a slow-LRO fault). On completion the provider's `complete` hook runs.
    pub fn start(&mut self, lro: NewLro<'_>) -> Result<Lro, Refusal> {
        lro::start(self, lro)
    }

    /// Records an audit entry for the caller. It is kept even when the operation is refused afterwards.
    pub fn audit(&mut self, entry: Entry) {
        let identity = self.caller.identity();
        self.entries.push((entry, identity));
    }

    /// Records an audit entry for another identity (a service that acts with its managed identity).
    pub fn audit_as(&mut self, entry: Entry, identity: Value) {
        self.entries.push((entry, identity));
    }

    /// Reads a resource by id.
    pub fn resource(&self, id: &str) -> Result<Option<Resource>, Refusal> {
        resources::get(self.tx, id)
    }

    /// Reads a resource by id, else refuses with `ResourceNotFound`.
    pub fn existing(&self, id: &ResourceId) -> Result<Resource, Refusal> {
        self.resource(&id.to_string())?.ok_or_else(|| {
            Refusal::new(
                404,
                "ResourceNotFound",
                format!(
                    "The Resource '{}/{}' under resource group '{}' was not found. For more details please go to \
                     https://aka.ms/ARMResourceNotFoundFix",
                    id.kind(),
                    id.name(),
                    id.group().unwrap_or_default()
                ),
            )
        })
    }

    /// Writes a resource; `systemData` is kept up to date. Refused with `ResourceGroupNotFound` without its group.
    pub fn put_resource(&mut self, id: &ResourceId, mut body: Value) -> Result<Resource, Refusal> {
        if let (Some(subscription), Some(group)) = (id.subscription(), id.group())
            && id.namespace().is_some()
        {
            crate::resources::groups::require_writable(self, subscription, group)?;
        }
        let time = crate::time::rfc3339(self.now);
        let by = self.caller.name();
        let by_kind = match self.caller.kind {
            Some(PrincipalKind::User) => "User",
            _ => "Application",
        };
        let old = resources::get(self.tx, &id.to_string())?;
        let mut system = old.map(|r| r.body["systemData"].clone()).unwrap_or_default();
        if !system.is_object() {
            system = json!({ "createdBy": by, "createdByType": by_kind, "createdAt": time });
        }
        system["lastModifiedBy"] = by.into();
        system["lastModifiedByType"] = by_kind.into();
        system["lastModifiedAt"] = time.into();
        body["systemData"] = system;
        resources::put(self.tx, id, body, self.now)
    }

    /// Removes a resource row, the rows below it and the role assignments at or below it, and cancels what is in
    /// progress there. Says whether the resource was there.
    pub fn delete_resource(&mut self, id: &str) -> Result<bool, Refusal> {
        lro::cancel(self.tx, id)?;
        crate::authorization::assignments::delete_below(self.tx, id)?;
        resources::delete(self.tx, id)
    }

    /// Lists resources.
    pub fn resources(&self, filter: Filter<'_>) -> Result<Vec<Resource>, Refusal> {
        resources::list(self.tx, filter)
    }

    /// Reads a setting.
    pub fn setting<T: rusqlite::types::FromSql>(&self, name: &str) -> Result<Option<T>, Refusal> {
        settings::get(self.tx, name)
    }

    /// The public address that the caller comes from, as firewalls, logs and refusals name it
    /// (see [`crate::Cloud::set_client_address`]).
    pub fn client_address(&self) -> Result<Ipv4Addr, Refusal> {
        settings::client_address(self.tx)
    }

    /// Random bytes for names, nonces and ids.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        sealbook_crypto::random::<N>()
    }
}
