//! What the instance metadata service tells a machine about itself. All members are text, as Azure answers them.
//!
//! Source: <https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service>.

use serde_json::{Value, json};

use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::room::Machine;
use crate::store::resources::Resource;

/// The document at `/metadata/instance`.
pub(crate) fn document(cx: &Cx<'_>, machine: &Machine) -> Result<Value, Refusal> {
    let Some(stored) = cx.resource(&machine.id)? else {
        return Err(Refusal::new(404, "Not found", ""));
    };
    Ok(json!({ "compute": compute(&stored), "network": { "interface": interfaces(cx, &stored)? } }))
}

/// A member as text; one that is missing is empty.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

/// A flag as text: `false` unless it is set.
fn flag(value: &Value) -> &'static str {
    if *value == true { "true" } else { "false" }
}

fn compute(machine: &Resource) -> Value {
    let properties = &machine.body["properties"];
    let (storage, security) = (&properties["storageProfile"], &properties["securityProfile"]);
    let (image, disk) = (&storage["imageReference"], &storage["osDisk"]);
    let login = &properties["osProfile"];
    let linux = &login["linuxConfiguration"];
    let keys = linux["ssh"]["publicKeys"].as_array().map(Vec::as_slice).unwrap_or_default();
    let tags = machine.body["tags"].as_object();
    let pairs: Vec<(&String, &Value)> = tags.into_iter().flatten().collect();
    let joined: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}:{}", text(value))).collect();
    json!({
        "azEnvironment": "AzurePublicCloud",
        "licenseType": text(&properties["licenseType"]),
        "location": machine.location,
        "name": machine.name,
        "offer": text(&image["offer"]),
        "osProfile": {
            "adminUsername": text(&login["adminUsername"]),
            "computerName": text(&login["computerName"]),
            "disablePasswordAuthentication": flag(&linux["disablePasswordAuthentication"]),
        },
        "osType": text(&disk["osType"]),
        "provider": "Microsoft.Compute",
        "publicKeys": keys.iter().map(|key| json!({
            "keyData": text(&key["keyData"]),
            "path": text(&key["path"]),
        })).collect::<Vec<_>>(),
        "publisher": text(&image["publisher"]),
        "resourceGroupName": machine.group,
        "resourceId": machine.id,
        "securityProfile": {
            "encryptionAtHost": flag(&security["encryptionAtHost"]),
            "secureBootEnabled": flag(&security["uefiSettings"]["secureBootEnabled"]),
            "securityType": text(&security["securityType"]),
            "virtualTpmEnabled": flag(&security["uefiSettings"]["vTpmEnabled"]),
        },
        "sku": text(&image["sku"]),
        "storageProfile": {
            "dataDisks": [],
            "imageReference": {
                "offer": text(&image["offer"]),
                "publisher": text(&image["publisher"]),
                "sku": text(&image["sku"]),
                "version": text(&image["version"]),
            },
            "osDisk": {
                "caching": text(&disk["caching"]),
                "createOption": text(&disk["createOption"]),
                "diskSizeGB": text(&disk["diskSizeGB"]),
                "managedDisk": {
                    "id": text(&disk["managedDisk"]["id"]),
                    "storageAccountType": text(&disk["managedDisk"]["storageAccountType"]),
                },
                "name": text(&disk["name"]),
                "osType": text(&disk["osType"]),
            },
        },
        "subscriptionId": machine.subscription,
        "tags": joined.join(";"),
        "tagsList": pairs.iter().map(|(name, value)| json!({ "name": name, "value": text(value) })).collect::<Vec<_>>(),
        "userData": text(&properties["userData"]),
        "version": text(&image["exactVersion"]),
        "vmId": text(&properties["vmId"]),
        "vmSize": super::size_of(machine),
        "zone": text(&machine.body["zones"][0]),
    })
}

fn interfaces(cx: &Cx<'_>, machine: &Resource) -> Result<Vec<Value>, Refusal> {
    let mut shown = Vec::new();
    let named = &machine.body["properties"]["networkProfile"]["networkInterfaces"];
    for interface in named.as_array().into_iter().flatten() {
        let Some(found) = cx.resource(interface["id"].as_str().unwrap_or_default())? else { continue };
        let properties = &found.body["properties"];
        let mut addresses = Vec::new();
        let mut subnets = Vec::new();
        for configuration in properties["ipConfigurations"].as_array().into_iter().flatten() {
            let of = &configuration["properties"];
            addresses.push(json!({ "privateIpAddress": text(&of["privateIPAddress"]), "publicIpAddress": "" }));
            subnets.extend(subnet(cx, of["subnet"]["id"].as_str().unwrap_or_default())?);
        }
        shown.push(json!({
            "ipv4": { "ipAddress": addresses, "subnet": subnets },
            "ipv6": { "ipAddress": [] },
            "macAddress": text(&properties["macAddress"]).replace('-', ""),
        }));
    }
    Ok(shown)
}

/// Address and prefix length of a subnet.
fn subnet(cx: &Cx<'_>, id: &str) -> Result<Option<Value>, Refusal> {
    let Some(id) = ResourceId::parse(id) else { return Ok(None) };
    let Some(found) = cx.resource(&id.to_string())? else { return Ok(None) };
    let prefix = text(&found.body["properties"]["addressPrefix"]);
    Ok(prefix.split_once('/').map(|(address, length)| json!({ "address": address, "prefix": length })))
}
