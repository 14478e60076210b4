//! The data plane `*.vault.azure.net`: who may come in, where role assignments count, how it refuses.

use super::keystore::{self, Kind};
use super::operations::{self, API};
use super::{audit, lacking, network, secrets};
use crate::audit::Entry;
use crate::cx::{Caller, Cx};
use crate::http::{Answer, Request};
use crate::identity::token::{self, TokenError};
use crate::operation::{Operation, Params};
use crate::refusal::Refusal;
use crate::service::Service;

/// Resource for which tokens must be made.
const AUDIENCE: &str = "https://vault.azure.net";

/// Key Vault's data plane.
pub(super) struct KeyVaultData;

/// Operations on keys.
static OPERATIONS: &[Operation] = &operations::table(&operations::VAULT);

/// `appid=…;oid=…;iss=…`, as Azure's refusals name a caller.
pub(super) fn caller_line(caller: &Caller) -> String {
    format!("appid={};oid={};iss={}", caller.app_id, caller.oid, caller.issuer)
}

impl Service for KeyVaultData {
    fn name(&self) -> &'static str {
        "keyvault"
    }

    fn answers(&self, host: &str) -> bool {
        host.strip_suffix(Kind::Vault.domain()).is_some_and(|name| !name.is_empty() && !name.contains('.'))
    }

    fn tables(&self) -> Vec<&'static [Operation]> {
        vec![OPERATIONS, secrets::OPERATIONS]
    }

    fn audiences(&self) -> &'static [&'static str] {
        &[AUDIENCE]
    }

    fn tenant(&self, cx: &Cx<'_>) -> Result<Option<String>, Refusal> {
        Ok(keystore::at_host(cx, &cx.request.host)?.map(|keystore| keystore.tenant().to_owned()))
    }

    fn authenticate(&self, cx: &Cx<'_>) -> Result<Caller, Refusal> {
        keystore::of_request(cx)?;
        token::authenticate(cx, self.audiences())?.map_err(|error| self.unauthorized(cx, &error))
    }

    fn unauthorized(&self, cx: &Cx<'_>, error: &TokenError) -> Refusal {
        let message = match error {
            TokenError::Missing => format!("AKV10000: {error}"),
            TokenError::Audience { given } => {
                format!("AKV10022: Invalid audience. Expected {AUDIENCE}, found: {given}.")
            }
            TokenError::Issuer { given } => format!(
                "AKV10032: Invalid issuer. Expected one of https://sts.windows.net/{}/, found {given}.",
                cx.tenant
            ),
            other => format!("Error validating token: {other}"),
        };
        let authority = format!("https://login.microsoftonline.com/{}", cx.tenant);
        Refusal::new(401, "Unauthorized", message)
            .header("www-authenticate", format!("Bearer authorization=\"{authority}\", resource=\"{AUDIENCE}\""))
    }

    fn before(&self, cx: &mut Cx<'_>, _: &'static Operation, _: &Params) -> Result<(), Refusal> {
        network::check(cx, &keystore::of_request(cx)?)
    }

    fn scope(&self, cx: &Cx<'_>, _: &'static Operation, params: &Params) -> Result<String, Refusal> {
        let vault = keystore::of_request(cx)?;
        Ok(match (params.find("key"), params.find("secret")) {
            (Some(key), _) => vault.key_scope(key),
            (None, Some(secret)) => secrets::scope(&vault, secret),
            (None, None) => vault.id.clone(),
        })
    }

    fn forbidden(&self, cx: &Cx<'_>, action: &str, scope: &str) -> Refusal {
        let place = match keystore::of_request(cx) {
            Ok(keystore) => format!("Vault: {};location={}\r\n", keystore.name, keystore.location()),
            Err(refusal) => return refusal,
        };
        Refusal::new(
            403,
            "Forbidden",
            format!(
                "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role \
                 definitions were changed recently, please observe propagation time.\r\nCaller: {}\r\nAction: \
                 '{action}'\r\nResource: '{scope}'\r\nAssignment: (not found)\r\nDenyAssignmentId: null\r\nDecisionReason: \
                 null \r\n{place}",
                caller_line(&cx.caller)
            ),
        )
        .inner("ForbiddenByRbac")
    }

    fn wrong_version(&self, _: &Cx<'_>, _: &'static Operation, _: &Params, given: Option<&str>) -> Refusal {
        let newest = API.last().copied().unwrap_or_default();
        Refusal::new(
            400,
            "BadParameter",
            match given {
                Some(given) => format!(
                    "The specified version ({given}) is not recognized. Consider using the latest supported version ({newest})."
                ),
                None => format!("The api-version query parameter is missing. Add api-version={newest}."),
            },
        )
    }

    fn throttled(&self, _: &Cx<'_>) -> Refusal {
        Refusal::new(
            429,
            "Throttled",
            "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached",
        )
    }

    fn unknown(&self, cx: &Cx<'_>) -> Refusal {
        let Request { method, path, .. } = cx.request;
        let message = format!("The embedded Key Vault has no operation '{method} {path}'.");
        let refusal = Refusal::new(501, "NotImplemented", message);
        match lacking::of(path) {
            Some(what) => refusal.gap(what),
            None => refusal,
        }
    }

    fn render(&self, _: &Cx<'_>, refusal: &Refusal) -> Answer {
        refusal.render_key_vault()
    }

    fn finish(&self, cx: &Cx<'_>, answer: &mut Answer) {
        if let Ok(Some(keystore)) = keystore::at_host(cx, &cx.request.host) {
            answer.set("x-ms-keyvault-region", keystore.location());
        }
        answer.set("x-ms-keyvault-service-version", "1.9.0.0");
        if let Ok(address) = cx.client_address() {
            let info = format!("conn_type=Ipv4;addr={address};act_addr_fam=InterNetwork;");
            answer.set("x-ms-keyvault-network-info", info);
        }
        answer.set("cache-control", "no-cache");
        answer.set("pragma", "no-cache");
        answer.set("expires", "-1");
        answer.set("x-content-type-options", "nosniff");
        answer.set("strict-transport-security", "max-age=31536000;includeSubDomains");
    }

    fn audit(&self, cx: &Cx<'_>, operation: &'static Operation, params: &Params, answer: &Answer) -> Option<Entry> {
        let keystore = keystore::at_host(cx, &cx.request.host).ok()??;
        Some(audit::of_request(cx, &keystore, operation, params, answer))
    }
}
