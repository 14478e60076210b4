//! The access keys of an account. Without the key that protects the account's data nobody reads them.

use serde_json::{Value, json};

use super::row::{self, ACCESS_KEY, Row};
use super::{cmk, invalid};
use crate::arm::resource;
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::store::resources::Resource;
use sealbook_crypto::{SealKey, SecretBytes};

/// The account that a path names with its opened data encryption key.
fn opened(cx: &mut Cx<'_>) -> Result<(Resource, Row, SealKey), Refusal> {
    let (_, account) = resource::subject(cx)?;
    let row = row::of(cx, &account.id)?;
    let dek = cmk::unlock(cx, &row, &account.body).map_err(cmk::Locked::for_data)?;
    Ok((account, row, dek))
}

fn keys(row: &Row, dek: &SealKey) -> Result<SecretBytes, Refusal> {
    dek.open(row.keys_place().as_bytes(), &row.access_keys)
        .map_err(|_| Refusal::internal(format!("the access keys of {} do not open", row.resource)))
}

fn shown(keys: &SecretBytes) -> Value {
    let (first, second) = keys.expose().split_at(ACCESS_KEY.min(keys.len()));
    json!({ "key1": hex::encode(first), "key2": hex::encode(second) })
}

/// `Accounts_ListKeys`.
pub(super) fn list_keys(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let (account, row, dek) = opened(cx)?;
    if account.body["properties"]["disableLocalAuth"] == true {
        return Err(Refusal::new(400, "BadRequest", "Failed to list key. disableLocalAuth is set to be true"));
    }
    Ok(Answer::ok(&shown(&keys(&row, &dek)?)))
}

/// `Accounts_RegenerateKey`.
pub(super) fn regenerate_key(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let body = cx.request.json()?;
    let wanted = body["keyName"].as_str().unwrap_or_default();
    let which = ["Key1", "Key2"]
        .iter()
        .position(|name| name.eq_ignore_ascii_case(wanted))
        .ok_or_else(|| invalid(format!("'{wanted}' is no key name: Key1 or Key2.")))?;
    let (_, mut row, dek) = opened(cx)?;
    let before = keys(&row, &dek)?;
    let (first, second) = before.expose().split_at(ACCESS_KEY.min(before.len()));
    let fresh = cx.random::<ACCESS_KEY>();
    let both = if which == 0 { [&fresh[..], second].concat() } else { [first, &fresh[..]].concat() };
    let both = SecretBytes::from(both);
    row.access_keys = dek.seal(row.keys_place().as_bytes(), both.expose());
    row::protect(cx, &row)?;
    Ok(Answer::ok(&shown(&both)))
}
