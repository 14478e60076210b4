//! The page on which a person approves a device's sign-in: one form with the code, the user name and the password.
//!
//! No cookie and no script: each submission proves itself by the password.

use chrono::Duration;
use quick_xml::escape::escape;
use sealbook_crypto::SecretString;

use super::device::{self, Waiting};
use super::login::{self, Authority};
use super::sign_in::{self, Form};
use crate::cx::{Cx, PrincipalKind};
use crate::http::Answer;
use crate::identity::principals::{self, Principal};
use crate::identity::tenants;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::store::millis;

/// How many wrong entries are taken within [`WINDOW`] before all are refused.
const GUESSES: i64 = 10;
/// On the wall clock: moving the cloud clock must not buy guesses.
const WINDOW: Duration = Duration::seconds(300);

const FORM: &str = "<form method=\"post\" autocomplete=\"off\">\
    <p><label>Code<br><input name=\"user_code\" value=\"{code}\" maxlength=\"16\" required autofocus></label></p>\
    <p><label>User name<br><input name=\"username\" value=\"{user}\" required></label></p>\
    <p><label>Password<br><input name=\"password\" type=\"password\" required></label></p>\
    <p><button name=\"action\" value=\"approve\">Sign in</button> \
    <button name=\"action\" value=\"decline\">Cancel the sign-in</button></p></form>";

/// A page; `text` and the values must be escaped.
fn page(status: u16, text: &str, form: &str) -> Answer {
    let body = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Sign in to your device</title></head>\
         <body><main><h1>Sign in to your device</h1><p>{text}</p>{form}</main></body></html>"
    );
    Answer::bytes(status, "text/html; charset=utf-8", body)
        .header(
            "content-security-policy",
            "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        )
        .header("x-frame-options", "DENY")
        .header("referrer-policy", "no-referrer")
}

fn form(code: &str, user: &str) -> String {
    // The user name goes in last: what it holds is not searched for places to fill.
    FORM.replace("{code}", &escape(code)).replacen("{user}", &escape(user), 1)
}

/// `GET …/deviceauth`: the form; a code in `otc` is filled in.
pub(super) fn show(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    login::authority(cx, params.get("tenant"))?;
    let code = cx.request.query("otc").unwrap_or_default();
    Ok(page(200, "Enter the code that your app or device shows, and sign in.", &form(&plain(code), "")))
}

/// What a code may hold; anything else is not shown again.
fn plain(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).take(16).collect()
}

/// `POST …/deviceauth`.
pub(super) fn submit(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let authority = login::authority(cx, params.get("tenant"))?;
    let since = millis(cx.wall - WINDOW);
    let guesses: i64 = cx
        .tx
        .prepare_cached("SELECT count(*) FROM device_guesses WHERE time > ?1")?
        .query_row([since], |row| row.get(0))?;
    if guesses >= GUESSES {
        return Ok(page(429, "There were too many wrong entries. Wait five minutes, then try again.", "")
            .header("retry-after", WINDOW.num_seconds().to_string()));
    }
    let given = Form(cx.request.form());
    let code = given.get("user_code").unwrap_or_default();
    let user = given.get("username").unwrap_or_default();
    let Some(waiting) = device::waiting(cx.tx, cx.now, code)? else {
        guessed(cx)?;
        let text = "That code didn't work. Check the code and try again; a code lives for fifteen minutes.";
        return Ok(page(400, text, &form("", user)));
    };
    let Some(principal) = signed_in(cx, &given, &waiting, &authority)? else {
        guessed(cx)?;
        return Ok(page(400, "The user name or the password is wrong.", &form(&plain(code), user)));
    };
    if given.get("action") == Some("decline") {
        device::decline(cx.tx, &waiting)?;
        return Ok(page(200, "You cancelled the sign-in. You may close this window.", ""));
    }
    device::approve(cx.tx, &waiting, &principal.oid)?;
    let app = sign_in::public_client(cx, &waiting.client)?;
    let text = format!("You have signed in to {} on your device. You may close this window.", escape(app.as_str()));
    Ok(page(200, &text, ""))
}

fn guessed(cx: &Cx<'_>) -> Result<(), Refusal> {
    let now = millis(cx.wall);
    cx.tx.prepare_cached("DELETE FROM device_guesses WHERE time <= ?1")?.execute([now - WINDOW.num_milliseconds()])?;
    cx.tx.prepare_cached("INSERT INTO device_guesses (time) VALUES (?1)")?.execute([now])?;
    Ok(())
}

/// The user whose password was given, when the code's and the page's tenant are theirs.
fn signed_in(
    cx: &Cx<'_>,
    given: &Form,
    waiting: &Waiting,
    authority: &Authority,
) -> Result<Option<Principal>, Refusal> {
    let found = principals::by_upn(cx.tx, given.get("username").unwrap_or_default())?;
    let Some(principal) = found.filter(|p| p.kind == PrincipalKind::User) else { return Ok(None) };
    let password = SecretString::from(given.get("password").unwrap_or_default());
    if !principals::secret_matches(cx, &principal.oid, &password)? {
        return Ok(None);
    }
    let own = tenants::of_principal(cx.tx, &principal.oid)?;
    let fits = waiting.tenant.as_ref().is_none_or(|tenant| tenant.eq_ignore_ascii_case(&own));
    Ok((fits && sign_in::belongs(cx, &principal, authority)?).then_some(principal))
}
