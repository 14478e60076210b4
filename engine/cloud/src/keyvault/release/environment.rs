//! What a token proves of the environment that asks: that a provider attested it which the key's policy trusts, that it
//! is what the policy wants, and which key is its own.

use sealbook_attestation::maa::{self, TokenRules};
use sealbook_attestation::policy::Encoded;
use sealbook_crypto::rsa::RsaPublic;
use serde_json::Value;

use crate::attestation::issuers;
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::rules::Rule;

/// Clock skew that is granted, in seconds.
const LEEWAY: i64 = 300;

/// Header of a refusal with what decided it. Azure says no more than that the statement cannot be verified, or does not
/// meet the policy; this is for whoever learns why.
pub(in super::super) const REASON: &str = "x-sealbook-reason";

/// The most of a reason that a header carries, in bytes.
const LONGEST_REASON: usize = 1024;

/// An environment that may have the key.
pub(super) struct Environment {
    /// Its key, out of the runtime data that the hardware bound.
    pub key: RsaPublic,
    /// The name of that key.
    pub kid: String,
}

fn denied(message: &str, why: impl std::fmt::Display) -> Refusal {
    let mut why = why.to_string().replace(|c: char| !(c.is_ascii_graphic() || c == ' '), "?");
    why.truncate(LONGEST_REASON);
    Refusal::new(403, "Forbidden", message).inner("AccessDenied").header(REASON, why)
}

/// Refuses a token that proves nothing.
pub(super) fn unverified(why: impl std::fmt::Display) -> Refusal {
    denied("Target environment attestation statement cannot be verified.", why)
}

/// Refuses an environment that is another than the policy wants. The text is that of the service's preview, as a client
/// of Microsoft's quotes it.
fn unmet(why: impl std::fmt::Display) -> Refusal {
    denied("Target environment attestation does not meet key release policy requirements.", why)
}

/// Judges a token by a key's release policy (`release_policy` as the key shows it).
pub(super) fn verify(cx: &Cx<'_>, policy: &Value, token: &str) -> Result<Environment, Refusal> {
    let policy = Encoded::envelope(policy).map_err(Refusal::internal)?.policy;
    // Nothing of it is believed yet: it says whose keys are to be asked for.
    let claimed = maa::unverified(token.as_bytes()).map_err(|why| unverified(format_args!("token.format: {why}")))?;
    let issuer = claimed["iss"].as_str().ok_or_else(|| unverified("token.format: the token names no issuer (iss)"))?;
    if Rule::ReleasesNeedAnAuthorityOfThePolicy.holds() && !policy.trusts(issuer) {
        return Err(unverified(format_args!("token.issuer: {issuer} is no authority of the release policy")));
    }
    let keys = issuers::signing_keys(cx, issuer)?
        .ok_or_else(|| unverified(format_args!("token.issuer: {issuer} publishes no signing keys")))?;
    let now = match Rule::ReleasesNeedAFreshToken.holds() {
        true => cx.wall.timestamp(),
        false => claimed["nbf"].as_i64().unwrap_or_default(),
    };
    let rules = TokenRules { issuer: Some(issuer), keys: &keys, now, leeway: LEEWAY };
    let (verdict, claims) = maa::verify(token, &rules);
    let Some(claims) = claims else {
        let decided = verdict.deciding().map(|check| format!("{}: {}", check.name, check.detail));
        return Err(unverified(decided.unwrap_or_default()));
    };
    let evaluation = policy.evaluate(issuer, claims.value());
    if Rule::ReleasesNeedTheClaimsOfThePolicy.holds() && !evaluation.released {
        return Err(unmet(format_args!("release.policy: {}", evaluation.reason())));
    }
    recipient(claims.value())
}

/// The key of the environment: the first one in its runtime data that is for encryption.
fn recipient(claims: &Value) -> Result<Environment, Refusal> {
    let none = || unverified("release.key: x-ms-runtime has no RSA key for encryption with a key id");
    let jwk = maa::release_key(claims).ok_or_else(none)?;
    let key = RsaPublic { n: jwk.n, e: jwk.e };
    if key.bits().is_none() {
        return Err(unverified("release.key: the key of the environment has not 2048, 3072 or 4096 bits"));
    }
    Ok(Environment { key, kid: jwk.kid })
}
