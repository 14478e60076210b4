//! The tables of a workspace, as far as diagnostic logs land in them. They can be looked at, not changed.

use serde_json::{Value, json};

use super::schema::{TABLES, Table};
use super::workspace;
use crate::arm::target;
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::store::resources::Resource;

fn of(cx: &Cx<'_>, params: &Params) -> Result<Resource, Refusal> {
    let (subscription, group) = (params.get("subscription"), params.get("group"));
    cx.existing(&ResourceId::resource(subscription, group, super::WORKSPACES, params.get("workspace")))
}

fn document(workspace: &Resource, table: &Table) -> Value {
    let days = workspace::retention(workspace);
    let columns: Vec<Value> = table
        .columns
        .iter()
        .map(|column| json!({ "name": column.name, "type": column.kind.as_str(), "isDefaultDisplay": false, "isHidden": false }))
        .collect();
    json!({
        "id": format!("{}/tables/{}", workspace.id, table.name),
        "name": table.name,
        "type": "Microsoft.OperationalInsights/workspaces/tables",
        "properties": {
            "plan": "Analytics",
            "retentionInDays": days,
            "retentionInDaysAsDefault": true,
            "totalRetentionInDays": days,
            "totalRetentionInDaysAsDefault": true,
            "archiveRetentionInDays": 0,
            "provisioningState": "Succeeded",
            "schema": {
                "name": table.name,
                "tableType": "Microsoft",
                "tableSubType": "Any",
                "standardColumns": columns,
                "solutions": ["LogManagement"],
            },
        },
    })
}

/// `Tables_ListByWorkspace`.
pub(super) fn list(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let workspace = of(cx, params)?;
    let value: Vec<Value> = TABLES.iter().map(|table| document(&workspace, table)).collect();
    Ok(Answer::ok(&json!({ "value": value })))
}

/// `Tables_Get`.
pub(super) fn get(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let workspace = of(cx, params)?;
    let given = params.get("table");
    let table = TABLES.iter().find(|table| table.name.eq_ignore_ascii_case(given));
    let table = table.ok_or_else(|| {
        let id = target(cx.request);
        Refusal::new(404, "ResourceNotFound", format!("The table '{id}' was not found."))
            .gap(format!("the table {given} of Log Analytics"))
    })?;
    Ok(Answer::ok(&document(&workspace, table)))
}
