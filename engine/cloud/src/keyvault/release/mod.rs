//! Secure key release (`release`): an exportable key leaves its key store for an environment that was attested, wrapped
//! so that nobody but that environment opens it.
//!
//! - `chain`: under what an answer is signed. - `environment`: what the token proves. - `answer`: what is signed.
//!
//! The dispatcher has asked for the data action before any of this runs. Sources: "Release" in the Key Vault keys API
//! (<https://learn.microsoft.com/rest/api/keyvault/keys/release/release>), "Azure Key Vault secure key release policy
//! grammar", and releases of real vaults and managed HSMs as the recorded tests of Azure's SDKs hold them.

mod answer;
mod chain;
mod environment;

pub(super) use self::chain::SCHEMA;
pub(crate) use self::chain::root_pem;
pub(super) use self::environment::REASON;

use sealbook_crypto::rsa::RsaAesWrap;
use serde_json::{Value, json};

use self::answer::Released;
use super::requests::{self, bad};
use super::store::Version;
use super::{bundle, keys, keystore, material};
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;

/// What a caller asks for (`KeyReleaseParameters`).
struct Asked {
    /// The attestation token.
    target: String,
    /// How the key is wrapped.
    enc: RsaAesWrap,
    /// What comes back in the answer, against replays.
    nonce: Option<String>,
}

impl Asked {
    fn read(body: &Value) -> Result<Self, Refusal> {
        let target = body["target"].as_str().filter(|target| !target.is_empty());
        let target = target.ok_or_else(|| bad("Property target is required."))?.to_owned();
        let enc = match &body["enc"] {
            Value::Null => RsaAesWrap::Ckm,
            given => given.as_str().and_then(RsaAesWrap::from_name).ok_or_else(|| {
                let known = RsaAesWrap::ALL.map(RsaAesWrap::name).join(", ");
                bad(format!("Property enc has invalid value {given}: a key is released under {known}."))
            })?,
        };
        let nonce = match &body["nonce"] {
            Value::Null => None,
            Value::String(nonce) => Some(nonce.clone()),
            given => return Err(bad(format!("Property nonce has invalid value {given}: it must be a text."))),
        };
        Ok(Self { target, enc, nonce })
    }
}

/// The algorithm of a request in the log: `enc`, the default one when there is none.
pub(super) fn algorithm(request: &Value) -> String {
    request["enc"].as_str().unwrap_or(RsaAesWrap::Ckm.name()).to_owned()
}

/// The release policy of a version that may be released. The time window of a key does not count here: what was
/// protected with it must be had back ("About keys", date-time controlled operations). What Azure says of a key that is
/// not exportable is not recorded publicly.
fn policy(version: &Version) -> Result<&Value, Refusal> {
    let forbidden = |message: &str, inner: &str| Refusal::new(403, "Forbidden", message).inner(inner);
    if !version.enabled {
        return Err(forbidden("Operation release is not allowed on a disabled key.", "KeyDisabled"));
    }
    version.release.as_ref().ok_or_else(|| forbidden("The key is not exportable.", "AccessDenied"))
}

/// Releases a key to the environment that a token vouches for (`release`).
pub(super) fn release(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let keystore = keystore::of_request(cx)?;
    let key = keys::live(cx, &keystore, p.get("key"))?;
    let version = keys::version_of(cx, &key, p)?;
    let policy = policy(&version)?;
    let asked = Asked::read(&requests::object(cx)?)?;
    let environment = environment::verify(cx, policy, &asked.target)?;
    let kid = bundle::kid(&keystore, &key.name, Some(&version.version));
    let material = material::open(cx, &kid, &version)?.document();
    let unusable = |why| environment::unverified(format_args!("release.key: {why}"));
    let wrapped = asked.enc.wrap(&environment.key, &material).map_err(unusable)?;
    let Value::Object(bundle) = bundle::bundle(&keystore, &key, &version) else {
        return Err(Refusal::internal("a key is shown as an object"));
    };
    let released = Released {
        api: cx.request.query("api-version").unwrap_or_default(),
        asked_kid: bundle::kid(&keystore, &key.name, p.find("version")),
        enc: asked.enc.name(),
        nonce: asked.nonce.as_deref(),
        bundle,
        recipient: &environment.kid,
        wrapped: &wrapped,
    };
    let signer = chain::signer(cx, &keystore)?;
    Ok(Answer::ok(&json!({ "value": answer::sign(keystore.kind, &released, &signer) })))
}
