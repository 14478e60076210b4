//! Device codes (RFC 8628): a device asks for a code, a person approves it elsewhere, the device polls for tokens.
//!
//! Codes live on the cloud clock, so that a lesson need not wait for one to expire. Device codes are stored as digests.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Duration, Utc};
use rusqlite::{Connection, OptionalExtension, params};
use sealbook_crypto::SecretString;
use serde_json::json;

use super::login::{self, Authority};
use super::sign_in::{self, Form};
use crate::cx::Cx;
use crate::http::Answer;
use crate::identity::principals::{self, Principal};
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::store::millis;

/// Table of the codes that were given out, and of the wrong entries on the verification page.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS device_codes (
    digest    BLOB PRIMARY KEY,
    user_code TEXT NOT NULL UNIQUE,
    client    TEXT NOT NULL,
    tenant    TEXT,
    scope     TEXT NOT NULL,
    state     TEXT NOT NULL,
    oid       TEXT,
    expires   INTEGER NOT NULL,
    polled    INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS device_guesses (
    time INTEGER NOT NULL
) STRICT;
";

/// The grant's name at the token endpoint (RFC 8628 §3.4).
pub(super) const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// Where a person enters the code.
const PAGE: &str = "https://login.microsoftonline.com/common/oauth2/deviceauth";
/// How long a code lives, in seconds of cloud time.
const LIFETIME: i64 = 900;
/// How long a device waits between polls, in seconds.
const INTERVAL: i64 = 5;
/// Letters of a user code: no vowels, so no words, and nothing that is mistaken for a digit (RFC 8628 §6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Length of a user code.
const LENGTH: usize = 9;

fn user_code() -> String {
    let mut code = String::new();
    while code.len() < LENGTH {
        // Bytes above the last multiple of 20 would favour the first letters.
        let [byte] = sealbook_crypto::random::<1>();
        if byte < 240
            && let Some(letter) = LETTERS.get(usize::from(byte % 20))
        {
            code.push(char::from(*letter));
        }
    }
    code
}

/// `POST /{tenant}/oauth2/v2.0/devicecode` (RFC 8628 §3.1).
pub(super) fn start(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let form = Form(cx.request.form());
    let tenant = match login::authority(cx, params.get("tenant"))? {
        Authority::Shared => None,
        Authority::Tenant(tenant) => Some(tenant.id),
    };
    if let Some(tenant) = &tenant {
        cx.tenant.clone_from(tenant);
    }
    let client = form.require("client_id")?;
    sign_in::public_client(cx, client)?;
    let scope = form.require("scope")?;
    sign_in::require_audience(&sign_in::audience_of_scope(scope)?)?;
    let device_code = SecretString::new(URL_SAFE_NO_PAD.encode(cx.random::<64>()));
    let user_code = user_code();
    let gone = millis(cx.now - Duration::seconds(LIFETIME));
    cx.tx.prepare_cached("DELETE FROM device_codes WHERE expires < ?1")?.execute([gone])?;
    cx.tx
        .prepare_cached(
            "INSERT INTO device_codes (digest, user_code, client, tenant, scope, state, expires)
             VALUES (?1, ?2, ?3, ?4, ?5, 'waiting', ?6)",
        )?
        .execute(params![
            digest(device_code.expose()),
            user_code,
            client,
            tenant,
            scope,
            millis(cx.now + Duration::seconds(LIFETIME)),
        ])?;
    Ok(Answer::ok(&json!({
        "user_code": user_code,
        "device_code": device_code.expose(),
        "verification_uri": PAGE,
        "expires_in": LIFETIME,
        "interval": INTERVAL,
        "message": format!(
            "To sign in, use a web browser to open the page {PAGE} and enter the code {user_code} to authenticate."
        ),
    })))
}

fn digest(device_code: &str) -> [u8; 32] {
    sealbook_crypto::sha256(device_code.as_bytes())
}

/// What a redeemed code grants.
pub(super) struct Granted {
    /// Who approved it.
    pub principal: Principal,
    /// The scope that was asked for with the code.
    pub scope: String,
}

struct Issued {
    tenant: Option<String>,
    scope: String,
    state: String,
    oid: Option<String>,
    expires: i64,
    polled: Option<i64>,
}

fn refused(error: &str, message: &str) -> Refusal {
    Refusal::new(400, error, message)
}

fn unknown() -> Refusal {
    refused("bad_verification_code", "AADSTS70018: Invalid verification code: the device code is not known.")
}

/// The tokens' grant for an approved device code, once; else the refusals of RFC 8628 §3.5 by Entra's names.
pub(super) fn redeem(cx: &mut Cx<'_>, form: &Form, authority: &Authority) -> Result<Granted, Refusal> {
    let client = form.require("client_id")?;
    let digest = digest(form.require("device_code")?);
    let issued = cx
        .tx
        .prepare_cached(
            "SELECT tenant, scope, state, oid, expires, polled FROM device_codes WHERE digest = ?1 AND client = ?2",
        )?
        .query_row(params![digest, client], |row| {
            Ok(Issued {
                tenant: row.get(0)?,
                scope: row.get(1)?,
                state: row.get(2)?,
                oid: row.get(3)?,
                expires: row.get(4)?,
                polled: row.get(5)?,
            })
        })
        .optional()?
        .ok_or_else(unknown)?;
    if let (Authority::Tenant(asked), Some(tenant)) = (authority, &issued.tenant)
        && !asked.id.eq_ignore_ascii_case(tenant)
    {
        return Err(unknown());
    }
    let now = millis(cx.now);
    if now >= issued.expires {
        return Err(refused(
            "expired_token",
            "AADSTS70020: The provided value for the input parameter 'device_code' is not valid. This device code has \
             expired.",
        ));
    }
    match issued.state.as_str() {
        "approved" => {}
        "declined" => {
            return Err(refused("authorization_declined", "AADSTS65004: User declined to consent to access the app."));
        }
        _ => {
            cx.tx
                .prepare_cached("UPDATE device_codes SET polled = ?2 WHERE digest = ?1")?
                .execute(params![digest, now])?;
            let early = issued.polled.is_some_and(|polled| now < polled + INTERVAL * 1_000);
            return Err(pending(early).keep());
        }
    }
    cx.tx.prepare_cached("DELETE FROM device_codes WHERE digest = ?1")?.execute([digest])?;
    let principal = match &issued.oid {
        Some(oid) => principals::get(cx.tx, oid)?,
        None => None,
    };
    match principal {
        Some(principal) if sign_in::belongs(cx, &principal, authority)? => {
            Ok(Granted { principal, scope: issued.scope })
        }
        _ => Err(unknown()),
    }
}

/// The two refusals after which a device goes on polling; a faster one than it was told to is told to slow down.
fn pending(early: bool) -> Refusal {
    if early {
        return refused(
            "slow_down",
            "AADSTS70016: OAuth 2.0 device flow error. Authorization is pending. Poll less often.",
        );
    }
    refused(
        "authorization_pending",
        "AADSTS70016: OAuth 2.0 device flow error. Authorization is pending. Continue polling.",
    )
}

/// A code that waits for a person.
pub(crate) struct Waiting {
    user_code: String,
    /// Application that asked.
    pub client: String,
    /// Tenant whose people may approve it; anyone when `None`.
    pub tenant: Option<String>,
}

/// The waiting code that a person typed; case, spaces and hyphens don't matter.
pub(crate) fn waiting(tx: &Connection, now: DateTime<Utc>, typed: &str) -> Result<Option<Waiting>, Refusal> {
    let code: String = typed.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_uppercase();
    let found = tx
        .prepare_cached(
            "SELECT user_code, client, tenant FROM device_codes
             WHERE user_code = ?1 AND state = 'waiting' AND expires > ?2",
        )?
        .query_row(params![code, millis(now)], |row| {
            Ok(Waiting { user_code: row.get(0)?, client: row.get(1)?, tenant: row.get(2)? })
        })
        .optional()?;
    Ok(found)
}

/// Approves a code for a user.
pub(crate) fn approve(tx: &Connection, waiting: &Waiting, oid: &str) -> Result<(), Refusal> {
    tx.prepare_cached("UPDATE device_codes SET state = 'approved', oid = ?2 WHERE user_code = ?1")?
        .execute([&waiting.user_code, oid])?;
    Ok(())
}

/// Declines a code.
pub(crate) fn decline(tx: &Connection, waiting: &Waiting) -> Result<(), Refusal> {
    tx.prepare_cached("UPDATE device_codes SET state = 'declined' WHERE user_code = ?1")?
        .execute([&waiting.user_code])?;
    Ok(())
}
