//! Rotation: by hand, by policy on the cloud clock, and the policies themselves.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::keystore::{self, KeyStore};
use super::new_version::{Source, Wanted};
use super::requests::{self, Attributes};
use super::rotation_policy::Policy;
use super::store::{self, Key, Version};
use super::{audit, bundle, keys};
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;

/// Makes the version that follows the newest one: same type, size, operations and tags, enabled, expiring as the
/// policy says.
fn follow(
    cx: &Cx<'_>,
    keystore: &KeyStore,
    key: &Key,
    newest: Version,
    policy: Option<&Policy>,
    at: DateTime<Utc>,
) -> Result<Version, Refusal> {
    let exp = policy.and_then(|policy| policy.expires(at));
    let wanted = Wanted {
        source: Source::Made(newest.public.shape()?),
        kty: newest.kty,
        attributes: Attributes { exp, ..Attributes::default() },
        operations: newest.operations,
        tags: newest.tags,
        release: newest.release,
    };
    wanted.add(cx, keystore, key, at)
}

/// Makes a new version now (`RotateKey`).
pub(super) fn rotate(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let keystore = keystore::of_request(cx)?;
    let key = keys::live(cx, &keystore, p.get("key"))?;
    let newest = keys::version_of(cx, &key, p)?;
    let policy = store::policy(cx, key.row)?;
    let version = follow(cx, &keystore, &key, newest, policy.as_ref(), cx.now)?;
    Ok(Answer::ok(&bundle::bundle(&keystore, &key, &version)))
}

/// Answers the rotation policy (`GetKeyRotationPolicy`); a key whose policy was never set has the initial one.
pub(super) fn policy(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let keystore = keystore::of_request(cx)?;
    let key = keys::live(cx, &keystore, p.get("key"))?;
    let policy = store::policy(cx, key.row)?.unwrap_or_else(Policy::initial);
    Ok(Answer::ok(&policy.document(&bundle::kid(&keystore, &key.name, None))))
}

/// Sets the rotation policy (`UpdateKeyRotationPolicy`), as a whole.
pub(super) fn set_policy(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let keystore = keystore::of_request(cx)?;
    let key = keys::live(cx, &keystore, p.get("key"))?;
    let old = store::policy(cx, key.row)?;
    let policy = Policy::read(&requests::object(cx)?, old.as_ref(), cx.now)?;
    store::put_policy(cx, key.row, &policy)?;
    Ok(Answer::ok(&policy.document(&bundle::kid(&keystore, &key.name, None))))
}

/// Rotations that one request carries out: after a long move of the clock the others follow with the next requests,
/// since making keys takes its time and everybody waits for it.
const AT_ONCE: usize = 2;

/// Carries out rotations that have fallen due by `cx.now`, each at the instant at which it fell due. A key whose newest
/// version is disabled waits until it is enabled.
pub(super) fn rotate_due(cx: &mut Cx<'_>) -> Result<(), Refusal> {
    let mut left = AT_ONCE;
    for (name, key, policy) in store::policies(cx)? {
        while left > 0
            && let Some(newest) = store::version(cx, key.row, None)?.filter(|newest| newest.enabled)
            && let Some(due) = policy.due(&newest).filter(|due| *due <= cx.now)
        {
            left -= 1;
            let keystore = keystore::existing(cx, &name)?;
            let version = follow(cx, &keystore, &key, newest, Some(&policy), due)?;
            let entry = audit::rotated(&keystore, &bundle::kid(&keystore, &key.name, Some(&version.version)));
            cx.audit_as(entry, json!({}));
        }
    }
    Ok(())
}
