//! The data plane `*.managedhsm.azure.net`: who may come in, where local roles count, how it refuses.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::json;

use super::super::audit;
use super::super::keystore::{self, KeyStore, Kind};
use super::super::operations::{self, API};
use super::super::requests::{self, bad};
use super::super::{lacking, network};
use super::{domain, rbac, state};
use crate::audit::Entry;
use crate::cx::{Caller, Cx};
use crate::http::{Answer, Request};
use crate::identity::token::{self, TokenError};
use crate::operation::{Access, Operation, Params, Rows};
use crate::refusal::Refusal;
use crate::rules::Rule;
use crate::service::Service;

/// Resource for which tokens must be made.
const AUDIENCE: &str = "https://managedhsm.azure.net";

/// The most random bytes that one request gets (`GetRandomBytes`).
const MOST_RANDOM: u64 = 128;

/// The data plane of managed HSMs.
pub(in super::super) struct ManagedHsmData;

const ROWS: Rows = Rows::data(API);
/// The Azure CLI polls without an api-version.
const POLLS: Rows = Rows::data(&[]);

/// Operations on keys.
static KEYS: &[Operation] = &operations::table(&operations::HSM);

/// What only a managed HSM has.
static OWN: &[Operation] = &[
    ROWS.row("GetRandomBytes", Method::POST, "/rng", "Microsoft.KeyVault/managedHsm/rng/action", random_bytes),
    Operation {
        name: "HSMSecurityDomain_Download",
        method: Method::POST,
        path: "/securitydomain/download",
        when: &[],
        api: API,
        access: Access::Data("Microsoft.KeyVault/managedHsm/securitydomain/download/action"),
        lro: true,
        run: domain::download,
    },
    POLLS.row(
        "HSMSecurityDomain_DownloadPending",
        Method::GET,
        "/securitydomain/download/pending",
        "Microsoft.KeyVault/managedHsm/securitydomain/download/read",
        domain::download_status,
    ),
    ROWS.row(
        "HSMSecurityDomain_TransferKey",
        Method::GET,
        "/securitydomain/upload",
        "Microsoft.KeyVault/managedHsm/securitydomain/transferkey/read",
        domain::transfer_key,
    ),
    Operation {
        name: "HSMSecurityDomain_Upload",
        method: Method::POST,
        path: "/securitydomain/upload",
        when: &[],
        api: API,
        access: Access::Data("Microsoft.KeyVault/managedHsm/securitydomain/upload/action"),
        lro: true,
        run: domain::upload,
    },
    POLLS.row(
        "HSMSecurityDomain_UploadPending",
        Method::GET,
        "/securitydomain/upload/pending",
        "Microsoft.KeyVault/managedHsm/securitydomain/upload/read",
        domain::upload_status,
    ),
];

/// Answers random bytes (`GetRandomBytes`).
fn random_bytes(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let body = requests::object(cx)?;
    let count = body["count"].as_u64().filter(|count| (1..=MOST_RANDOM).contains(count)).ok_or_else(|| {
        bad(format!("Property count has invalid value {}: it must be between 1 and {MOST_RANDOM}.", body["count"]))
    })?;
    let count = usize::try_from(count).map_err(Refusal::internal)?;
    Ok(Answer::ok(&json!({ "value": URL_SAFE_NO_PAD.encode(sealbook_crypto::random_bytes(count)) })))
}

fn at_host(cx: &Cx<'_>) -> Result<Option<KeyStore>, Refusal> {
    keystore::at_host(cx, &cx.request.host)
}

/// Refuses callers from the network that the pool's firewall keeps out.
fn check_network(cx: &Cx<'_>, pool: &KeyStore) -> Result<(), Refusal> {
    if network::admits(cx, pool)? {
        return Ok(());
    }
    Err(Refusal::new(
        403,
        "AccessDenied",
        format!("Client address ({}) is not authorized and caller is not a trusted service.", cx.client_address()?),
    ))
}

impl Service for ManagedHsmData {
    fn name(&self) -> &'static str {
        "managedhsm"
    }

    fn answers(&self, host: &str) -> bool {
        host.strip_suffix(Kind::Hsm.domain()).is_some_and(|name| !name.is_empty() && !name.contains('.'))
    }

    fn tables(&self) -> Vec<&'static [Operation]> {
        vec![KEYS, OWN, rbac::OPERATIONS]
    }

    fn audiences(&self) -> &'static [&'static str] {
        &[AUDIENCE]
    }

    fn tenant(&self, cx: &Cx<'_>) -> Result<Option<String>, Refusal> {
        Ok(at_host(cx)?.map(|pool| pool.tenant().to_owned()))
    }

    fn authenticate(&self, cx: &Cx<'_>) -> Result<Caller, Refusal> {
        keystore::of_request(cx)?;
        token::authenticate(cx, self.audiences())?.map_err(|error| self.unauthorized(cx, &error))
    }

    fn unauthorized(&self, cx: &Cx<'_>, error: &TokenError) -> Refusal {
        let authority = format!("https://login.microsoftonline.com/{}", cx.tenant);
        Refusal::new(401, "Unauthorized", error.to_string())
            .header("www-authenticate", format!("Bearer authorization=\"{authority}\", resource=\"{AUDIENCE}\""))
    }

    /// Until its security domain has been downloaded or uploaded, a pool does nothing else. Azure's own text for this
    /// is not recorded publicly.
    fn before(&self, cx: &mut Cx<'_>, operation: &'static Operation, _: &Params) -> Result<(), Refusal> {
        let pool = keystore::of_request(cx)?;
        check_network(cx, &pool)?;
        let active = state::status(cx, &pool.label)?.active || !Rule::HsmsNeedActivation.holds();
        if active || operation.path.starts_with("/securitydomain/") {
            return Ok(());
        }
        Err(Refusal::new(
            403,
            "Forbidden",
            "The managed HSM is not activated: it can't be used until its security domain has been downloaded.",
        ))
    }

    /// What is about one key is judged at the key; what makes keys, at all keys.
    fn scope(&self, _: &Cx<'_>, operation: &'static Operation, params: &Params) -> Result<String, Refusal> {
        if let Some(scope) = params.find("scope") {
            return rbac::scope(scope);
        }
        Ok(match (operation.name, params.find("key")) {
            ("CreateKey" | "ImportKey" | "RestoreKey", _) => "/keys".to_owned(),
            (_, Some(key)) => format!("/keys/{key}"),
            _ if operation.path.starts_with("/keys") || operation.path.starts_with("/deletedkeys") => {
                "/keys".to_owned()
            }
            _ => "/".to_owned(),
        })
    }

    fn permit(
        &self,
        cx: &Cx<'_>,
        operation: &'static Operation,
        params: &Params,
        action: &str,
        _data: bool,
    ) -> Result<(), Refusal> {
        let scope = self.scope(cx, operation, params)?;
        if rbac::allows(cx, &keystore::of_request(cx)?, &cx.caller.oid, action, &scope)? {
            return Ok(());
        }
        Err(self.forbidden(cx, action, &scope))
    }

    fn forbidden(&self, _: &Cx<'_>, action: &str, scope: &str) -> Refusal {
        Refusal::new(403, "AccessDenied", format!("Not authorized to access {action} on {scope}"))
    }

    fn wrong_version(&self, _: &Cx<'_>, _: &'static Operation, _: &Params, given: Option<&str>) -> Refusal {
        let newest = API.last().copied().unwrap_or_default();
        Refusal::new(
            400,
            "BadParameter",
            match given {
                Some(given) => format!("The specified version ({given}) is not recognized. The latest is {newest}."),
                None => format!("The api-version query parameter is missing. Add api-version={newest}."),
            },
        )
    }

    fn unknown(&self, cx: &Cx<'_>) -> Refusal {
        let Request { method, path, .. } = cx.request;
        let message = format!("The embedded managed HSM has no operation '{method} {path}'.");
        let refusal = Refusal::new(501, "NotImplemented", message);
        match lacking::of(path) {
            Some(what) => refusal.gap(what),
            None => refusal,
        }
    }

    /// Every refusal of a managed HSM names the request.
    fn render(&self, cx: &Cx<'_>, refusal: &Refusal) -> Answer {
        let mut refusal = refusal.clone();
        refusal.message = format!("{} (Activity ID: {})", refusal.message, cx.request_id);
        refusal.render_key_vault()
    }

    fn finish(&self, cx: &Cx<'_>, answer: &mut Answer) {
        if let Ok(Some(pool)) = at_host(cx) {
            answer.set("x-ms-keyvault-region", pool.location());
        }
        if let Ok(address) = cx.client_address() {
            answer.set("x-ms-keyvault-network-info", format!("conn_type=Ipv4;addr={address};act_addr_fam=Ipv4;"));
        }
        answer.set("x-ms-server-latency", "1");
        answer.set("cache-control", "no-cache");
        answer.set("x-content-type-options", "nosniff");
        answer.set("x-frame-options", "SAMEORIGIN");
        answer.set("content-security-policy", "default-src 'self'");
        answer.set("strict-transport-security", "max-age=31536000; includeSubDomains");
    }

    fn audit(&self, cx: &Cx<'_>, operation: &'static Operation, params: &Params, answer: &Answer) -> Option<Entry> {
        let pool = at_host(cx).ok()??;
        Some(audit::of_request(cx, &pool, operation, params, answer))
    }
}
