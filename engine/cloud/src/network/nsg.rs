//! Network security groups.
//!
//! Source: <https://learn.microsoft.com/rest/api/virtualnetwork/network-security-groups>.

use serde_json::{Value, json};

use super::rule::{self, SecurityRule};
use super::vnet::part;
use super::{API, common, nic, subnet};
use crate::arm::kind::{Change, Draft, Facts, Kind, Style};
use crate::arm::resource;
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::store::resources::{self, Resource};

pub(super) const NAME: &str = "Microsoft.Network/networkSecurityGroups";

/// The type.
pub(super) struct SecurityGroup;

const FACTS: Facts = Facts { etag: true, ..Facts::new(NAME, API, Style::Created) };

impl Kind for SecurityGroup {
    fn facts(&self) -> &Facts {
        &FACTS
    }

    fn check_name(&self, name: &str) -> Result<(), Refusal> {
        common::check_name(name)
    }

    fn apply(&self, _: &mut Cx<'_>, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        if draft.change == Change::Update {
            return Ok(());
        }
        const KNOWN: &[&str] = &[
            "securityRules",
            "defaultSecurityRules",
            "networkInterfaces",
            "subnets",
            "provisioningState",
            "resourceGuid",
        ];
        common::only(draft.asked(), NAME, KNOWN)?;
        let mut rules: Vec<Value> = Vec::new();
        for given in draft.asked()["securityRules"].as_array().into_iter().flatten() {
            let name = given["name"].as_str().unwrap_or_default();
            common::check_name(name)?;
            let properties = rule::check(&given["properties"])?;
            let others = rules.iter().map(|r| (r["name"].as_str().unwrap_or_default(), &r["properties"]));
            rule::conflict(name, &properties, others)?;
            rules.retain(|r| !r["name"].as_str().is_some_and(|n| n.eq_ignore_ascii_case(name)));
            rules.push(json!({ "name": name, "properties": properties }));
        }
        let guid = common::guid(draft.old);
        let properties = draft.properties();
        properties["resourceGuid"] = guid;
        properties["securityRules"] = rules.into();
        Ok(())
    }

    fn stored(&self, cx: &mut Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
        let mut body = resource.body.clone();
        let Some(properties) = body["properties"].as_object_mut() else { return Ok(()) };
        let Some(Value::Array(wanted)) = properties.shift_remove("securityRules") else { return Ok(()) };
        let id = resource::id_of(resource)?;
        resources::put(cx.tx, &id, body, cx.now)?;
        for held in rule::in_group(cx, &resource.id)? {
            cx.delete_resource(&held.id)?;
        }
        for rule in wanted {
            let name = rule["name"].as_str().unwrap_or_default();
            let mut document = json!({ "properties": rule["properties"], "etag": common::etag() });
            document["properties"]["provisioningState"] = "Succeeded".into();
            cx.put_resource(&part(&id, "securityRules", name)?, document)?;
        }
        Ok(())
    }

    fn may_delete(&self, cx: &Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
        let users = crate::arm::linked::users(cx, &resource.id)?;
        if users.is_empty() {
            return Ok(());
        }
        let users: Vec<&str> = users.iter().map(|user| user.id.as_str()).collect();
        Err(Refusal::new(
            400,
            "InUseNetworkSecurityGroupCannotBeDeleted",
            format!(
                "Network security group {} cannot be deleted because it is in use by the following resources: {}. In \
                 order to delete the Network security group, remove the association with the resource(s). To learn how \
                 to do this, see aka.ms/deletensg.",
                resource.id,
                users.join(", ")
            ),
        ))
    }

    fn shown(&self, cx: &Cx<'_>, resource: &Resource) -> Result<Value, Refusal> {
        let mut body = common::shown(resource);
        let rules = rule::in_group(cx, &resource.id)?;
        let rules: Vec<Value> = rules.iter().map(|r| SecurityRule.shown(cx, r)).collect::<Result<_, _>>()?;
        let etag = body["etag"].clone();
        let defaults: Vec<Value> = rule::defaults()
            .map(|(name, properties)| {
                json!({
                    "id": format!("{}/defaultSecurityRules/{name}", resource.id),
                    "name": name,
                    "etag": etag,
                    "type": "Microsoft.Network/networkSecurityGroups/defaultSecurityRules",
                    "properties": properties,
                })
            })
            .collect();
        let properties = &mut body["properties"];
        properties["securityRules"] = rules.into();
        properties["defaultSecurityRules"] = defaults.into();
        for (member, kind) in [("networkInterfaces", nic::NAME), ("subnets", subnet::NAME)] {
            let users = common::users_of(cx, &resource.id, kind)?;
            if !users.is_empty() {
                properties[member] = common::ids(&users);
            }
        }
        Ok(body)
    }
}
