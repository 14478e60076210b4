//! User delegation keys: derived from a secret of the account, never stored.
//!
//! Source: "Get User Delegation Key" of the Azure Storage REST API.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Duration, SecondsFormat, Utc};
use rusqlite::OptionalExtension;
use sealbook_crypto::SecretBytes;
use serde_json::json;

use super::fields;
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::storage::account::Account;
use crate::storage::blob::{headers, xml};

/// The operation that hands out keys; only a token opens it.
pub(super) const OPERATION: &str = "Service_GetUserDelegationKey";

/// Table of the accounts' secrets: one from the first key on.
pub(in crate::storage::blob) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS storage_delegation (
    account INTEGER PRIMARY KEY,
    secret  BLOB NOT NULL
) STRICT;
";

/// How long a key is good, at most.
const LIFE: Duration = Duration::days(7);

/// What a user delegation key is made for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key<'a> {
    /// Object id of who delegates.
    pub oid: &'a str,
    /// Tenant.
    pub tenant: &'a str,
    /// First instant.
    pub start: DateTime<Utc>,
    /// Last instant.
    pub expiry: DateTime<Utc>,
    /// `b`.
    pub service: &'a str,
    /// Version of the protocol that it was asked for with.
    pub version: &'a str,
}

impl Key<'_> {
    /// The key itself: a tag over what it is made for, so that no other claim has the same key.
    pub fn value(&self, secret: &SecretBytes) -> SecretBytes {
        let (start, expiry) = (self.start.timestamp(), self.expiry.timestamp());
        let claim = format!(
            "user-delegation-key|{}|{}|{start}|{expiry}|{}|{}",
            self.oid.to_lowercase(),
            self.tenant.to_lowercase(),
            self.service,
            self.version
        );
        sealbook_crypto::hmac_sha256(secret.expose(), claim.as_bytes()).to_vec().into()
    }
}

fn place(account: &Account) -> String {
    format!("storage-delegation/{}", account.uid)
}

/// The secret of an account that has handed out keys.
pub(super) fn secret(cx: &Cx<'_>, account: &Account) -> Result<Option<SecretBytes>, Refusal> {
    let sealed: Option<Vec<u8>> = cx
        .tx
        .prepare_cached("SELECT secret FROM storage_delegation WHERE account = ?1")?
        .query_row([account.id], |row| row.get(0))
        .optional()?;
    sealed.map(|sealed| cx.open(&place(account), &sealed)).transpose()
}

/// Makes all keys of an account invalid, and with them all signatures made with them.
pub(in crate::storage) fn revoke(cx: &Cx<'_>, account: &Account) -> Result<(), Refusal> {
    cx.tx.prepare_cached("DELETE FROM storage_delegation WHERE account = ?1")?.execute([account.id])?;
    Ok(())
}

fn secret_or_new(cx: &Cx<'_>, account: &Account) -> Result<SecretBytes, Refusal> {
    if let Some(secret) = secret(cx, account)? {
        return Ok(secret);
    }
    let fresh: SecretBytes = cx.random::<32>().to_vec().into();
    let sealed = cx.seal(&place(account), fresh.expose());
    cx.tx
        .prepare_cached("INSERT INTO storage_delegation (account, secret) VALUES (?1, ?2)")?
        .execute(rusqlite::params![account.id, sealed])?;
    Ok(fresh)
}

/// Get User Delegation Key: for the caller, from a start to an expiry within seven days from now.
///
/// # Errors
/// `InvalidXmlDocument` and `InvalidXmlNodeValue`.
pub(in crate::storage::blob) fn get_user_delegation_key(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let account = crate::storage::blob::account(cx)?;
    let asked = xml::members(&cx.request.body, "KeyInfo")?;
    let member = |name: &str| asked.iter().find(|(n, _)| n == name).map_or("", |(_, text)| text.as_str());
    if !member("DelegatedUserTid").is_empty() {
        return Err(invalid(member("DelegatedUserTid")).gap("signatures bound to a user"));
    }
    let read = |text: &str| fields::time(text).ok_or_else(|| invalid(text));
    let start = if member("Start").is_empty() { cx.wall } else { read(member("Start"))? };
    let expiry = read(member("Expiry"))?;
    if expiry <= start || expiry <= cx.wall || expiry > cx.wall + LIFE {
        return Err(invalid(member("Expiry")));
    }
    let version = cx.request.header("x-ms-version").ok_or_else(|| headers::missing("x-ms-version"))?;
    let key = Key { oid: &cx.caller.oid, tenant: &cx.tenant, start, expiry, service: "b", version };
    let value = key.value(&secret_or_new(cx, &account)?);
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut xml = xml::Xml::default();
    xml.open("UserDelegationKey", &[]);
    xml.text("SignedOid", key.oid);
    xml.text("SignedTid", key.tenant);
    xml.text("SignedStart", &time(start));
    xml.text("SignedExpiry", &time(expiry));
    xml.text("SignedService", key.service);
    xml.text("SignedVersion", key.version);
    xml.text("Value", &STANDARD.encode(value.expose()));
    xml.close("UserDelegationKey");
    Ok(Answer::xml(200, &xml.finish()))
}

/// Azure's refusal of a time; it repeats the value as the name of the element, too.
fn invalid(value: &str) -> Refusal {
    Refusal::new(400, "InvalidXmlNodeValue", "The value for one of the XML nodes is not in the correct format.")
        .details(vec![json!({ "XmlNodeName": value, "XmlNodeValue": value })])
}
