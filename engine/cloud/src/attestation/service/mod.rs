//! The data plane of attestation providers, `https://{name}.{region}.attest.azure.net`: it verifies what machines show
//! and issues tokens that say what it found.
//!
//! - `sev_snp`, `azure_guest`: evidence of confidential machines, bare and with their virtual TPM
//! - `claims`: what tokens say
//! - `policies`: the policies by which tokens are issued
//!
//! Evidence is verified under AMD's roots and those of this cloud's test hardware. Everybody may attest at the providers
//! that regions share; at a customer's own, whoever may read it.
//!
//! Sources: <https://learn.microsoft.com/rest/api/attestation>,
//! <https://learn.microsoft.com/azure/attestation/claim-sets>.

mod azure_guest;
mod claims;
mod policies;
mod sev_snp;
#[cfg(test)]
mod tests;

use http::Method;
use sealbook_attestation::{Roots, Verdict};
use serde_json::{Value, json};

use super::{issuers, provider};
use crate::cx::{Caller, Cx};
use crate::http::{Answer, Request};
use crate::identity::token::{self, TokenError};
use crate::operation::{Access, Operation, Params, Run};
use crate::refusal::Refusal;
use crate::service::Service;
use crate::store::resources::{Filter, Resource};
use crate::tee;

/// Hosts end like this.
const SUFFIX: &str = ".attest.azure.net";
const AUDIENCE: &[&str] = &["https://attest.azure.net"];
/// What callers of a customer's own provider need.
const READ: &str = "Microsoft.Attestation/attestationProviders/attestation/read";

const API: &[&str] = &["2025-06-01", "2022-08-01", "2020-10-01"];
const SEV_SNP: &[&str] = &["2025-06-01", "2023-04-01-preview", "2022-08-01"];
const TDX: &[&str] = &["2025-06-01", "2023-04-01-preview"];

/// The data plane.
pub(super) struct DataPlane;

const fn row(
    name: &'static str,
    method: Method,
    path: &'static str,
    api: &'static [&'static str],
    run: Run,
) -> Operation {
    // Who may call depends on the provider: see `authorize`.
    Operation { name, method, path, when: &[], api, access: Access::Open, lro: false, run }
}

static OPERATIONS: &[Operation] = &[
    row("Attestation_AttestSevSnpVm", Method::POST, "/attest/SevSnpVm", SEV_SNP, sev_snp::attest),
    row("Attestation_AttestAzureGuest", Method::POST, "/attest/AzureGuest", API, azure_guest::attest),
    row("Attestation_AttestTdxVm", Method::POST, "/attest/TdxVm", TDX, tdx),
    row("SigningCertificates_Get", Method::GET, "/certs", &[], certs),
    row("MetadataConfiguration_Get", Method::GET, "/.well-known/openid-configuration", &[], metadata),
    row("Policy_Get", Method::GET, "/policies/{attestationType}", API, policies::get),
    row("Policy_Set", Method::PUT, "/policies/{attestationType}", API, policies::change),
    row("Policy_Reset", Method::POST, "/policies/{attestationType}", API, policies::reset),
];

/// The issuer that a request addresses: the provider's URI.
fn issuer(cx: &Cx<'_>) -> String {
    format!("https://{}", cx.request.host)
}

/// `InvalidParameter`: what was sent can't be read.
fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "InvalidParameter", message)
}

/// Refuses evidence that does not hold.
fn require(verdict: &Verdict) -> Result<(), Refusal> {
    match verdict.deciding() {
        None if verdict.passed() => Ok(()),
        None => Err(Refusal::new(400, "AttestationFailed", "Nothing of the evidence could be verified.")),
        Some(check) => {
            let message = format!("The evidence does not hold: {} ({}).", check.detail, check.name);
            Err(Refusal::new(400, "AttestationFailed", message))
        }
    }
}

/// The roots under which evidence is verified here.
fn roots(cx: &Cx<'_>) -> Result<Roots, Refusal> {
    Ok(Roots::builtin().and(tee::roots(cx)?))
}

/// A customer's own provider; `None` for one that a region shares.
fn own(cx: &Cx<'_>) -> Result<Option<Resource>, Refusal> {
    let uri = issuer(cx);
    let all = cx.resources(Filter { kind: Some(provider::TYPE), ..Filter::default() })?;
    Ok(all.into_iter().find(|provider| provider.body["properties"]["attestUri"] == json!(uri)))
}

/// Refuses a caller who may not use the provider. `guest`: the operation is for guests with a TPM, for which a provider
/// may do without a token (`tpmAttestationAuthentication`).
fn authorize(cx: &mut Cx<'_>, guest: bool) -> Result<(), Refusal> {
    let Some(provider) = own(cx)? else { return Ok(()) };
    if guest && provider.body["properties"]["tpmAttestationAuthentication"] == "Disabled" {
        return Ok(());
    }
    let caller = token::authenticate(cx, AUDIENCE)?.map_err(|error| DataPlane.unauthorized(cx, &error))?;
    cx.caller = caller;
    if cx.authorize(READ, false, &provider.id)?.allowed {
        return Ok(());
    }
    Err(DataPlane.forbidden(cx, READ, &provider.id))
}

/// `SigningCertificates_Get`.
fn certs(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let keys = issuers::jwks(cx, &issuer(cx))?;
    Ok(Answer::bytes(200, "application/jwk+json; charset=utf-8", keys.unwrap_or_default().to_string()))
}

/// `MetadataConfiguration_Get`: OpenID Connect Discovery 1.0, §3.
fn metadata(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let issuer = issuer(cx);
    Ok(Answer::ok(&json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/certs"),
        "response_types_supported": ["token", "none"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "revocation_endpoint": format!("{issuer}/revoke"),
        "claims_supported": claims::SUPPORTED,
    })))
}

/// `Attestation_AttestTdxVm`: Azure's service has Intel's collateral for every platform; here is none.
fn tdx(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    authorize(cx, false)?;
    let refusal = Refusal::new(400, "InvalidParameter", "Attestation of Intel TDX is not supported by this provider.");
    Err(refusal.gap("attestation of Intel TDX: there is no collateral"))
}

impl Service for DataPlane {
    fn name(&self) -> &'static str {
        "attestation"
    }

    fn answers(&self, host: &str) -> bool {
        host.strip_suffix(SUFFIX).is_some_and(|labels| labels.split('.').count() == 2)
    }

    fn tables(&self) -> Vec<&'static [Operation]> {
        vec![OPERATIONS]
    }

    fn audiences(&self) -> &'static [&'static str] {
        AUDIENCE
    }

    fn authenticate(&self, _: &Cx<'_>) -> Result<Caller, Refusal> {
        Ok(Caller::default())
    }

    fn before(&self, cx: &mut Cx<'_>, _: &'static Operation, _: &Params) -> Result<(), Refusal> {
        if issuers::exists(cx, &issuer(cx))? {
            return Ok(());
        }
        let message =
            format!("There is no attestation provider at '{}'; in Azure its name does not resolve.", cx.request.host);
        Err(Refusal::new(404, "NotFound", message))
    }

    fn unauthorized(&self, cx: &Cx<'_>, error: &TokenError) -> Refusal {
        let authority = format!("https://login.microsoftonline.com/{}", cx.tenant);
        Refusal::new(401, "Unauthorized", error.to_string()).header(
            "www-authenticate",
            format!("Bearer authorization_uri=\"{authority}\", resource=\"{}\"", AUDIENCE.concat()),
        )
    }

    fn scope(&self, cx: &Cx<'_>, _: &'static Operation, _: &Params) -> Result<String, Refusal> {
        Ok(own(cx)?.map_or_else(|| "/".to_owned(), |provider| provider.id))
    }

    fn forbidden(&self, cx: &Cx<'_>, action: &str, scope: &str) -> Refusal {
        let who = cx.caller.name();
        Refusal::new(403, "Forbidden", format!("The client '{who}' may not perform '{action}' at '{scope}'."))
    }

    fn wrong_version(&self, _: &Cx<'_>, operation: &'static Operation, _: &Params, given: Option<&str>) -> Refusal {
        let message = match given {
            None => "An API version is required, but was not specified.".to_owned(),
            Some(given) => format!(
                "The HTTP resource does not support the API version '{given}'. Supported: {}.",
                operation.api.join(", ")
            ),
        };
        Refusal::new(400, if given.is_some() { "UnsupportedApiVersion" } else { "ApiVersionUnspecified" }, message)
    }

    fn unknown(&self, cx: &Cx<'_>) -> Refusal {
        Refusal::new(404, "NotFound", format!("There is nothing at '{}'.", cx.request.path))
    }

    fn render(&self, _: &Cx<'_>, refusal: &Refusal) -> Answer {
        refusal.render_key_vault()
    }

    fn finish(&self, _: &Cx<'_>, answer: &mut Answer) {
        answer.set("x-ms-maa-service-version", "sealbook");
    }
}

/// The JSON body of a request.
fn body(request: &Request) -> Result<Value, Refusal> {
    serde_json::from_slice(&request.body).map_err(|error| invalid(format!("The body is no JSON document: {error}.")))
}

/// A member that is base64url; both forms occur, with and without padding.
fn bytes(given: &Value, name: &str) -> Result<Vec<u8>, Refusal> {
    use base64::Engine as _;
    let text = given.as_str().ok_or_else(|| invalid(format!("The member '{name}' is missing.")))?;
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(text.trim_end_matches('='))
        .map_err(|_| invalid(format!("The member '{name}' is not base64url.")))
}
