//! The document that Azure Resource Manager shows of an account.

use serde_json::{Value, json};

use super::settings::{Kind, Sku};
use crate::cx::Cx;
use crate::store::resources::Resource;
use crate::time::rfc3339;

/// The document of a new account, before the customer's own settings.
pub(super) fn fresh(cx: &Cx<'_>, name: &str, location: &str, sku: Sku, kind: Kind) -> Value {
    let now = rfc3339(cx.now);
    let mut properties = json!({
        "dnsEndpointType": "Standard",
        "publicNetworkAccess": "Enabled",
        "keyCreationTime": { "key1": now, "key2": now },
        "allowCrossTenantReplication": false,
        "privateEndpointConnections": [],
        "minimumTlsVersion": "TLS1_2",
        "allowBlobPublicAccess": false,
        "allowSharedKeyAccess": true,
        "networkAcls": {
            "bypass": "AzureServices", "virtualNetworkRules": [], "ipRules": [], "defaultAction": "Allow"
        },
        "supportsHttpsTrafficOnly": true,
        "encryption": {
            "services": { "file": service(&now), "blob": service(&now) },
            "keySource": "Microsoft.Storage"
        },
        "provisioningState": "Creating",
        "creationTime": now,
        "primaryEndpoints": endpoints(name, kind),
        "primaryLocation": location,
        "statusOfPrimary": "available"
    });
    if kind == Kind::StorageV2 {
        properties["accessTier"] = "Hot".into();
    }
    json!({
        "sku": { "name": sku.name, "tier": sku.tier },
        "kind": kind.as_str(),
        "location": location,
        "tags": {},
        "properties": properties
    })
}

/// Encryption of one service of the account.
pub(super) fn service(enabled: &str) -> Value {
    json!({ "keyType": "Account", "enabled": true, "lastEnabledTime": enabled })
}

fn endpoints(name: &str, kind: Kind) -> Value {
    let services: &[&str] = match kind {
        Kind::StorageV2 => &["dfs", "web", "blob", "queue", "table", "file"],
        Kind::BlockBlobStorage => &["dfs", "web", "blob"],
    };
    let endpoint = |service: &&str| (service.to_string(), format!("https://{name}.{service}.core.windows.net/").into());
    Value::Object(services.iter().map(endpoint).collect())
}

/// The document as it is answered: Microsoft.Storage shows no `systemData`.
pub(super) fn shown(resource: &Resource) -> Value {
    let mut body = resource.body.clone();
    if let Some(body) = body.as_object_mut() {
        body.shift_remove("systemData");
    }
    body
}
