//! The data plane `*.vault.azure.net`: who may come in, where role assignments count, how it refuses.

use http::Method;
use serde_json::Value;

use super::vault::{self, DOMAIN, Vault};
use super::{audit, backup, bundle, cryptography, deleted_keys, import, keys, network, rotation, secrets, signatures};
use crate::audit::Entry;
use crate::cx::{Caller, Cx};
use crate::http::{Answer, Request};
use crate::identity::token::{self, TokenError};
use crate::operation::{Access, Operation, Params, Run};
use crate::refusal::Refusal;
use crate::service::Service;

/// Resource for which tokens must be made.
const AUDIENCE: &str = "https://vault.azure.net";

/// Api-versions of the data plane, oldest first.
const API: &[&str] = &["7.2", "7.3", "7.4", "7.5", "7.6-preview.2", "7.6", "2025-07-01"];

/// Key Vault's data plane.
pub(super) struct KeyVaultData;

const fn operation(
    name: &'static str,
    method: Method,
    path: &'static str,
    action: &'static str,
    run: Run,
) -> Operation {
    Operation { name, method, path, when: &[], api: API, access: Access::Data(action), lro: false, run }
}

const KEYS_READ: &str = "Microsoft.KeyVault/vaults/keys/read";
const ENCRYPT: &str = "Microsoft.KeyVault/vaults/keys/encrypt/action";
const DECRYPT: &str = "Microsoft.KeyVault/vaults/keys/decrypt/action";
/// Data action behind wrapKey.
pub(super) const WRAP: &str = "Microsoft.KeyVault/vaults/keys/wrap/action";
/// Data action behind unwrapKey.
pub(super) const UNWRAP: &str = "Microsoft.KeyVault/vaults/keys/unwrap/action";
/// Data action behind reading keys.
pub(super) const READ: &str = KEYS_READ;
const UPDATE: &str = "Microsoft.KeyVault/vaults/keys/update/action";
const SIGN: &str = "Microsoft.KeyVault/vaults/keys/sign/action";
const VERIFY: &str = "Microsoft.KeyVault/vaults/keys/verify/action";
const RELEASE: &str = "Microsoft.KeyVault/vaults/keys/release/action";

/// Operations on keys. A path without a version, which clients also write with an empty one (`/keys/k//wrapkey`,
/// `/keys/k/`), means the newest version.
static OPERATIONS: &[Operation] = &[
    operation(
        "CreateKey",
        Method::POST,
        "/keys/{key}/create",
        "Microsoft.KeyVault/vaults/keys/create/action",
        keys::create,
    ),
    operation(
        "RotateKey",
        Method::POST,
        "/keys/{key}/rotate",
        "Microsoft.KeyVault/vaults/keys/rotate/action",
        rotation::rotate,
    ),
    operation("ImportKey", Method::PUT, "/keys/{key}", "Microsoft.KeyVault/vaults/keys/import/action", import::import),
    operation(
        "GetKeyRotationPolicy",
        Method::GET,
        "/keys/{key}/rotationpolicy",
        "Microsoft.KeyVault/vaults/keyrotationpolicies/read",
        rotation::policy,
    ),
    operation(
        "UpdateKeyRotationPolicy",
        Method::PUT,
        "/keys/{key}/rotationpolicy",
        "Microsoft.KeyVault/vaults/keyrotationpolicies/write",
        rotation::set_policy,
    ),
    operation(
        "BackupKey",
        Method::POST,
        "/keys/{key}/backup",
        "Microsoft.KeyVault/vaults/keys/backup/action",
        backup::backup,
    ),
    operation(
        "RestoreKey",
        Method::POST,
        "/keys/restore",
        "Microsoft.KeyVault/vaults/keys/restore/action",
        backup::restore,
    ),
    operation("GetKeys", Method::GET, "/keys", KEYS_READ, keys::list),
    operation("GetKey", Method::GET, "/keys/{key}", KEYS_READ, keys::get),
    operation("GetKey", Method::GET, "/keys/{key}/{version}", KEYS_READ, keys::get),
    operation("GetKeyVersions", Method::GET, "/keys/{key}/versions", KEYS_READ, keys::versions),
    operation("UpdateKey", Method::PATCH, "/keys/{key}", UPDATE, keys::update),
    operation("UpdateKey", Method::PATCH, "/keys/{key}/{version}", UPDATE, keys::update),
    operation(
        "DeleteKey",
        Method::DELETE,
        "/keys/{key}",
        "Microsoft.KeyVault/vaults/keys/delete",
        deleted_keys::delete,
    ),
    operation("GetDeletedKeys", Method::GET, "/deletedkeys", KEYS_READ, deleted_keys::list),
    operation("GetDeletedKey", Method::GET, "/deletedkeys/{key}", KEYS_READ, deleted_keys::get),
    operation(
        "RecoverDeletedKey",
        Method::POST,
        "/deletedkeys/{key}/recover",
        "Microsoft.KeyVault/vaults/keys/recover/action",
        deleted_keys::recover,
    ),
    operation(
        "PurgeDeletedKey",
        Method::DELETE,
        "/deletedkeys/{key}",
        "Microsoft.KeyVault/vaults/keys/purge/action",
        deleted_keys::purge,
    ),
    operation("encrypt", Method::POST, "/keys/{key}/encrypt", ENCRYPT, cryptography::encrypt),
    operation("encrypt", Method::POST, "/keys/{key}/{version}/encrypt", ENCRYPT, cryptography::encrypt),
    operation("decrypt", Method::POST, "/keys/{key}/decrypt", DECRYPT, cryptography::decrypt),
    operation("decrypt", Method::POST, "/keys/{key}/{version}/decrypt", DECRYPT, cryptography::decrypt),
    operation("wrapKey", Method::POST, "/keys/{key}/wrapkey", WRAP, cryptography::wrap),
    operation("wrapKey", Method::POST, "/keys/{key}/{version}/wrapkey", WRAP, cryptography::wrap),
    operation("unwrapKey", Method::POST, "/keys/{key}/unwrapkey", UNWRAP, cryptography::unwrap),
    operation("unwrapKey", Method::POST, "/keys/{key}/{version}/unwrapkey", UNWRAP, cryptography::unwrap),
    operation("sign", Method::POST, "/keys/{key}/sign", SIGN, signatures::sign),
    operation("sign", Method::POST, "/keys/{key}/{version}/sign", SIGN, signatures::sign),
    operation("verify", Method::POST, "/keys/{key}/verify", VERIFY, signatures::verify),
    operation("verify", Method::POST, "/keys/{key}/{version}/verify", VERIFY, signatures::verify),
    operation("release", Method::POST, "/keys/{key}/release", RELEASE, cryptography::release),
    operation("release", Method::POST, "/keys/{key}/{version}/release", RELEASE, cryptography::release),
];

/// The vault that a request addresses. In Azure the name of a vault that is not there does not resolve; here it
/// answers 404.
pub(super) fn vault(cx: &Cx<'_>) -> Result<Vault, Refusal> {
    vault::at_host(cx, &cx.request.host)?.ok_or_else(|| {
        let host = &cx.request.host;
        Refusal::new(404, "VaultNotFound", format!("There is no vault at https://{host}: create or recover it first."))
    })
}

/// `appid=…;oid=…;iss=…`, as Azure's refusals name a caller.
pub(super) fn caller_line(caller: &Caller) -> String {
    format!("appid={};oid={};iss={}", caller.app_id, caller.oid, caller.issuer)
}

impl Service for KeyVaultData {
    fn name(&self) -> &'static str {
        "keyvault"
    }

    fn answers(&self, host: &str) -> bool {
        host.strip_suffix(DOMAIN).is_some_and(|name| !name.is_empty() && !name.contains('.'))
    }

    fn tables(&self) -> Vec<&'static [Operation]> {
        vec![OPERATIONS, secrets::OPERATIONS]
    }

    fn audiences(&self) -> &'static [&'static str] {
        &[AUDIENCE]
    }

    fn tenant(&self, cx: &Cx<'_>) -> Result<Option<String>, Refusal> {
        Ok(vault::at_host(cx, &cx.request.host)?.map(|vault| vault.tenant().to_owned()))
    }

    fn authenticate(&self, cx: &Cx<'_>) -> Result<Caller, Refusal> {
        vault(cx)?;
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
        network::check(cx, &vault(cx)?)
    }

    fn scope(&self, cx: &Cx<'_>, _: &'static Operation, params: &Params) -> Result<String, Refusal> {
        let vault = vault(cx)?;
        Ok(match (params.find("key"), params.find("secret")) {
            (Some(key), _) => vault.key_scope(key),
            (None, Some(secret)) => secrets::scope(&vault, secret),
            (None, None) => vault.id.clone(),
        })
    }

    fn forbidden(&self, cx: &Cx<'_>, action: &str, scope: &str) -> Refusal {
        let place = match vault(cx) {
            Ok(vault) => format!("Vault: {};location={}\r\n", vault.name, vault.location()),
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
        Refusal::new(501, "NotImplemented", format!("The embedded Key Vault has no operation '{method} {path}'."))
    }

    fn render(&self, _: &Cx<'_>, refusal: &Refusal) -> Answer {
        refusal.render_key_vault()
    }

    fn finish(&self, cx: &Cx<'_>, answer: &mut Answer) {
        if let Ok(Some(vault)) = vault::at_host(cx, &cx.request.host) {
            answer.set("x-ms-keyvault-region", vault.location());
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
        let vault = vault::at_host(cx, &cx.request.host).ok()??;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let request: Value = serde_json::from_slice(&cx.request.body).unwrap_or_default();
        let version = params.find("version");
        let named = params
            .find("key")
            .map(|key| bundle::kid(&vault, key, version))
            .or_else(|| params.find("secret").map(|secret| secrets::id(&vault, secret, version)));
        let subject = audit::Subject {
            vault: &vault,
            operation: audit::operation_name(operation.name),
            status: answer.status.as_u16(),
            id: audit::id_in(&body).or(named),
            uri: format!("https://{}{}", cx.request.host, cx.request.path),
            algorithm: request["alg"].as_str().map(str::to_owned),
            error: audit::error_in(&body),
        };
        Some(subject.entry(cx))
    }
}
