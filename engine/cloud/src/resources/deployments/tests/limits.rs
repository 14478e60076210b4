//! Templates that ask for too much.

use serde_json::{Map, Value, json};

use super::kit::{deployment, lab};
use crate::testing;

fn template(more: Value) -> Value {
    let mut template = json!({
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "resources": [],
    });
    for (name, value) in more.as_object().unwrap() {
        template[name] = value.clone();
    }
    template
}

fn network(name: &str) -> Value {
    json!([{ "type": "Microsoft.Network/virtualNetworks", "name": name, "apiVersion": "2022-01-01" }])
}

#[tokio::test]
async fn no_expression_is_deeper_than_the_stack() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let members = ".b".repeat(60);
    let chain = (0..60).fold("parameters('a')".to_owned(), |inner, _| format!("concat({inner}){members}"));
    let variables: Map<String, Value> = (0..60)
        .map(|n| {
            let next = format!("variables('v{}')", n + 1);
            (format!("v{n}"), format!("[{}{next}{}]", "concat(".repeat(60), ")".repeat(60)).into())
        })
        .chain([("v60".to_owned(), "x".into())])
        .collect();
    for (what, template) in [
        ("members of calls", template(json!({ "resources": network(&format!("[{chain}]")) }))),
        (
            "variables of variables",
            template(json!({ "variables": variables, "resources": network("[variables('v0')]") })),
        ),
    ] {
        let reply = lab.ask("POST", "/deep/validate", deployment(template, json!({}))).await;
        assert_eq!((reply.status, reply.code()), (400, "InvalidTemplate"), "{what}");
    }
}

#[tokio::test]
async fn there_is_a_number_of_everything() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let many = |count: usize, one: Value| -> Value {
        (0..count).map(|n| (format!("n{n}"), one.clone())).collect::<Map<_, _>>().into()
    };
    let parameter = json!({ "type": "int", "defaultValue": 1 });
    let output = json!({ "type": "int", "value": 1 });
    let table = [
        ("parameters", many(256, parameter.clone()), 200),
        ("parameters", many(257, parameter), 400),
        ("variables", many(256, json!(1)), 200),
        ("variables", many(257, json!(1)), 400),
        ("outputs", many(64, output.clone()), 200),
        ("outputs", many(65, output), 400),
        ("metadata", json!({ "text": "x".repeat(4 << 20) }), 413),
    ];
    for (member, value, expected) in table {
        let reply = lab.ask("POST", "/many/validate", deployment(template(json!({ member: value })), json!({}))).await;
        assert_eq!(reply.status, expected, "{member}: {}", reply.code());
    }
}

#[tokio::test]
async fn resources_depend_on_names_types_and_ids() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let id = lab.id("Microsoft.Network/virtualNetworks/a");
    let table = [
        ("a", 200),
        ("A", 200),
        ("Microsoft.Network/virtualNetworks/a", 200),
        ("microsoft.network/VirtualNetworks/A", 200),
        (&id, 200),
        (&format!("{id}/"), 200),
        ("twice", 400),
        ("Microsoft.Network/virtualNetworks/twice", 200),
        ("none", 400),
        ("", 400),
    ];
    for (name, expected) in table {
        let one = |kind: &str, name: &str, after: Value| {
            json!({
                "type": kind, "name": name, "apiVersion": "2022-01-01", "location": "westeurope", "dependsOn": after,
            })
        };
        let networks = "Microsoft.Network/virtualNetworks";
        let resources = json!([
            one(networks, "a", json!([])),
            one(networks, "twice", json!([])),
            one("Microsoft.Network/networkSecurityGroups", "twice", json!([])),
            one(networks, "last", json!([name])),
        ]);
        let body = deployment(template(json!({ "resources": resources })), json!({}));
        let reply = lab.ask("POST", "/after/validate", body).await;
        assert_eq!(reply.status, expected, "{name:?}: {reply:?}");
    }
}
