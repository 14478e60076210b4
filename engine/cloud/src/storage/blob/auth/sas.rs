//! Shared access signatures: what they say, and whether it was signed by somebody who may say it.
//!
//! Sources: "Create a user delegation SAS", "Create a service SAS" and "Create an account SAS" of the Azure Storage
//! REST API.

use std::net::Ipv4Addr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};

use super::fields::{self, Fields, OVERRIDES};
use super::{Credential, delegation, failed, keys_allowed, mismatch};
use crate::cx::{Caller, Cx};
use crate::http::{Answer, Request};
use crate::identity::principals;
use crate::refusal::Refusal;
use crate::storage::account::{self, Account};
use crate::storage::blob::VERSIONS;
use crate::time::http_date;

/// Where requests to the embedded Azure come from.
const CALLER: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Whose word a signature is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A principal's, with a user delegation key.
    Delegation,
    /// That of an account key, for one container or blob.
    Service,
    /// That of an account key, for kinds of resources.
    Account,
}

/// A shared access signature as a request carries it.
pub(in crate::storage::blob) struct Sas<'a> {
    kind: Kind,
    fields: Fields<'a>,
}

impl<'a> Sas<'a> {
    /// Reads the signature of a request. Refused when it has a form that Azure or the embedded Azure does not take.
    pub fn read(request: &'a Request) -> Result<Self, Refusal> {
        let fields = Fields(request);
        let kind = match (request.query("skoid"), request.query("srt").or_else(|| request.query("ss"))) {
            (Some(_), _) => Kind::Delegation,
            (None, Some(_)) => Kind::Account,
            (None, None) => Kind::Service,
        };
        let version = fields.get("sv");
        if !VERSIONS.contains(&version) || (kind == Kind::Delegation && version < "2018-11-09") {
            return Err(failed(format!("The signed version '{version}' is not supported.")));
        }
        for (name, what) in [
            ("si", "stored access policies"),
            ("ses", "encryption scopes"),
            ("sduoid", "signatures bound to a user"),
            ("skdutid", "signatures bound to a user"),
            ("saoid", "signatures for hierarchical namespaces"),
            ("suoid", "signatures for hierarchical namespaces"),
        ] {
            if !fields.get(name).is_empty() {
                return Err(failed(format!("{name} is not supported.")).gap(what));
            }
        }
        match (kind, fields.get("sr")) {
            (Kind::Account, _) | (_, "b" | "c") => Ok(Self { kind, fields }),
            (_, other @ ("bs" | "bv" | "d")) => {
                Err(failed(format!("sr={other} is not supported.")).gap(format!("signatures with sr={other}")))
            }
            (_, other) => Err(failed(format!("sr is mandatory and can't be '{other}'."))),
        }
    }

    /// Whether a principal delegated, whose own rights then count as well.
    pub fn is_delegated(&self) -> bool {
        self.kind == Kind::Delegation
    }

    /// `sp`.
    pub(super) fn permissions(&self) -> &str {
        self.fields.get("sp")
    }

    /// The kinds of resources of an account signature (`srt`); None: it is for one container or blob.
    pub(super) fn resource_types(&self) -> Option<&str> {
        (self.kind == Kind::Account).then(|| self.fields.get("srt"))
    }

    /// Verifies everything that does not depend on the operation. The caller is whoever delegated, or nobody in
    /// particular when an account key signed.
    ///
    /// # Errors
    /// `AuthenticationFailed`, `KeyBasedAuthenticationNotPermitted`, `AuthorizationSourceIPMismatch`,
    /// `AuthorizationProtocolMismatch`, `AuthorizationServiceMismatch`.
    pub fn verify(&self, cx: &Cx<'_>, account: &Account) -> Result<Caller, Refusal> {
        if !self.is_delegated() {
            keys_allowed(cx, account)?;
        }
        self.check_times(cx.wall)?;
        let caller = match self.kind {
            Kind::Account => self.by_access_key(cx, account, &self.fields.of_account(&account.name))?,
            Kind::Service => self.by_access_key(cx, account, &self.fields.of_service(&account.name))?,
            Kind::Delegation => self.by_delegation(cx, account)?,
        };
        match self.fields.get("spr") {
            "" | "https" | "https,http" | "http,https" => {}
            "http" => return Err(mismatch("AuthorizationProtocolMismatch", "protocol")),
            other => return Err(failed(format!("spr can't be '{other}'."))),
        }
        let range = self.fields.get("sip");
        match fields::covers(range, CALLER) {
            _ if range.is_empty() => {}
            Some(true) => {}
            Some(false) => {
                return Err(mismatch("AuthorizationSourceIPMismatch", &format!("source IP {CALLER}")));
            }
            None => return Err(failed(format!("sip can't be '{range}'."))),
        }
        if self.kind == Kind::Account && !self.fields.get("ss").contains('b') {
            return Err(mismatch("AuthorizationServiceMismatch", "service"));
        }
        Ok(caller)
    }

    fn check_times(&self, now: DateTime<Utc>) -> Result<(), Refusal> {
        let (start, expiry) = (self.fields.get("st"), self.fields.get("se"));
        let read = |name: &str, text: &str| {
            fields::time(text).ok_or_else(|| failed(format!("{name} is mandatory and can't be '{text}'.")))
        };
        let expiry = read("se", expiry)?;
        let start = if start.is_empty() { None } else { Some(read("st", start)?) };
        within(start, expiry, now)
    }

    fn by_access_key(&self, cx: &Cx<'_>, account: &Account, text: &str) -> Result<Caller, Refusal> {
        let keys = account::access_keys(cx, account)?;
        if keys.iter().any(|key| self.signed_by(key.expose(), text)) {
            return Ok(Caller::default());
        }
        Err(did_not_match(text))
    }

    fn signed_by(&self, key: &[u8], text: &str) -> bool {
        let tag = STANDARD.decode(self.fields.get("sig")).unwrap_or_default();
        sealbook_crypto::verify_hmac_sha256(key, text.as_bytes(), &tag).is_ok()
    }

    fn by_delegation(&self, cx: &Cx<'_>, account: &Account) -> Result<Caller, Refusal> {
        let text = self.fields.of_delegation(&account.name);
        let (Some(start), Some(expiry)) = (fields::time(self.fields.get("skt")), fields::time(self.fields.get("ske")))
        else {
            return Err(failed("skt and ske are mandatory."));
        };
        let oid = self.fields.get("skoid");
        let key = delegation::Key {
            oid,
            tenant: self.fields.get("sktid"),
            start,
            expiry,
            service: self.fields.get("sks"),
            version: self.fields.get("skv"),
        };
        let secret = delegation::secret(cx, account)?;
        if !secret.is_some_and(|secret| self.signed_by(key.value(&secret).expose(), &text)) {
            return Err(did_not_match(&text));
        }
        within(Some(start), expiry, cx.wall)?;
        let principal = principals::get(cx.tx, oid)?
            .ok_or_else(|| failed(format!("The principal '{oid}' that delegated does not exist.")))?;
        Ok(Caller {
            oid: principal.oid,
            kind: Some(principal.kind),
            tenant: cx.tenant.clone(),
            app_id: principal.app_id.unwrap_or_default(),
            upn: principal.upn,
            issuer: String::new(),
        })
    }
}

fn did_not_match(text: &str) -> Refusal {
    failed(format!("Signature did not match. String to sign used was {text}"))
}

fn within(start: Option<DateTime<Utc>>, expiry: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), Refusal> {
    let begin = start.unwrap_or(now);
    if expiry <= begin {
        return Err(failed(format!(
            "Signed expiry time [{}] must be after signed start time [{}]",
            http_date(expiry),
            http_date(begin)
        )));
    }
    if now < begin || now >= expiry {
        return Err(failed(format!(
            "Signature not valid in the specified time frame: Start [{}] - Expiry [{}] - Current [{}]",
            http_date(begin),
            http_date(expiry),
            http_date(now)
        )));
    }
    Ok(())
}

/// Replaces headers of an answer by those that a signature asks for.
pub(in crate::storage::blob) fn override_headers(request: &Request, answer: &mut Answer) {
    if Credential::of(request) != Credential::Signature {
        return;
    }
    for (field, header) in OVERRIDES {
        if let Some(value) = request.query(field).filter(|value| !value.is_empty()) {
            answer.set(header, value);
        }
    }
}
