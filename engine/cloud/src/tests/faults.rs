//! Injected faults.

use std::time::Duration;

use serde_json::{Value, json};

use crate::testing::{self, Client, TestCloud};
use crate::{Dropped, Fault, FaultKind};

fn on(kind: FaultKind, method: &str, path: &str, times: u32) -> Fault {
    Fault {
        host: Some("management.azure.com".to_owned()),
        path: Some(path.to_owned()),
        method: Some(method.to_owned()),
        times: Some(times),
        ..Fault::once(kind)
    }
}

fn group(cloud: &TestCloud) -> String {
    format!("{}/resourceGroups/lab?api-version=2024-11-01", cloud.subscription())
}

async fn put(me: &Client<'_>, path: &str) -> Result<u16, Dropped> {
    let uri = format!("https://management.azure.com{path}");
    let body = json!({ "location": "westus" }).to_string();
    me.send_with("PUT", &uri, &[], body.into()).await.map(|r| r.status)
}

#[tokio::test]
async fn throttles_and_errors_strike_as_often_as_told() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let path = group(&cloud);
    cloud.fault(on(FaultKind::Throttle { retry_after: 7 }, "PUT", "resourcegroups", 2));
    cloud.fault(on(FaultKind::ServerError, "PUT", "resourcegroups", 1));
    let body = json!({ "location": "westus" });
    for _ in 0..2 {
        let reply = me.arm("PUT", &path, body.clone()).await;
        assert_eq!((reply.status, reply.header("retry-after")), (429, "7"));
        assert_eq!(reply.code(), "SubscriptionRequestsThrottled");
    }
    assert_eq!(me.arm("GET", &path, Value::Null).await.status, 404, "another verb is not met");
    assert_eq!(me.arm("PUT", &path, body.clone()).await.status, 500);
    assert_eq!(me.arm("PUT", &path, body).await.status, 201);
    assert_eq!(cloud.cloud.faults().unwrap(), []);
}

#[tokio::test]
async fn dropped_connections_differ_in_what_was_done() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let path = group(&cloud);
    cloud.fault(on(FaultKind::DropBefore, "PUT", "lab", 1));
    assert_eq!(put(&me, &path).await, Err(Dropped::Before));
    assert_eq!(me.arm("GET", &path, Value::Null).await.status, 404);
    cloud.fault(on(FaultKind::DropAfter, "PUT", "lab", 1));
    assert_eq!(put(&me, &path).await, Err(Dropped::After));
    assert_eq!(me.arm("GET", &path, Value::Null).await.status, 200);
    let log = cloud.cloud.requests(0).unwrap();
    let puts: Vec<_> = log
        .iter()
        .filter(|r| r.method == "PUT")
        .map(|r| (r.operation.as_str(), r.status, r.fault.as_deref()))
        .collect();
    assert_eq!(
        puts,
        [
            ("ResourceGroups_CreateOrUpdate", 0, Some("drop-before")),
            ("ResourceGroups_CreateOrUpdate", 201, Some("drop-after")),
        ]
    );
    let counted: Vec<_> = cloud.cloud.counters().unwrap();
    assert!(counted.contains(&("ResourceGroups_CreateOrUpdate".to_owned(), 201, 1)));
}

#[tokio::test]
async fn operations_and_roles_can_be_slow() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let path = group(&cloud);
    put(&me, &path).await.unwrap();
    cloud.fault(on(FaultKind::SlowOperation { extra: Duration::from_secs(60) }, "DELETE", "lab", 1));
    let location = me.arm("DELETE", &path, Value::Null).await.header("location").to_owned();
    cloud.advance(59);
    assert_eq!(me.send("GET", &location, None).await.status, 202);
    cloud.advance(2);
    assert_eq!(me.send("GET", &location, None).await.status, 200);

    cloud.fault(Fault::once(FaultKind::RoleDelay { delay: Duration::from_secs(600) }));
    let scope = cloud.subscription();
    let name = "77777777-7777-7777-7777-777777777777";
    let assignment = format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{name}?api-version=2022-04-01");
    let body = json!({ "properties": {
        "roleDefinitionId": format!("{scope}/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"),
        "principalId": cloud.seed.client_oid,
    } });
    cloud.advance(1);
    assert_eq!(me.arm("PUT", &assignment, body).await.status, 201);
    assert_eq!(cloud.cloud.faults().unwrap(), [], "the role delay was used up");
}

#[tokio::test]
async fn quota_and_sizes_can_be_lacking() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let s = cloud.subscription();
    let usages = format!("{s}/providers/Microsoft.Compute/locations/italynorth/usages?api-version=2024-11-01");
    let limit = async || {
        let reply = me.arm("GET", &usages, Value::Null).await;
        let rows = reply.body["value"].as_array().unwrap().clone();
        let row = rows.iter().find(|r| r["name"]["value"] == "standardDCASv5Family").unwrap().clone();
        row["limit"].as_u64().unwrap()
    };
    let skus =
        format!("{s}/providers/Microsoft.Compute/skus?api-version=2021-07-01&$filter=location%20eq%20'italynorth'");
    let restricted = async || {
        let reply = me.arm("GET", &skus, Value::Null).await;
        let rows = reply.body["value"].as_array().unwrap().clone();
        let row = rows.iter().find(|r| r["name"] == "Standard_DC2as_v5").unwrap().clone();
        row["restrictions"].as_array().unwrap().len()
    };
    assert_eq!((limit().await, restricted().await), (20, 0));
    let region = Some("italynorth".to_owned());
    let lasting = |kind| Fault { times: None, ..Fault::once(kind) };
    cloud.fault(lasting(FaultKind::NoQuota { region: region.clone(), family: None }));
    cloud.fault(lasting(FaultKind::NoSku { region, size: Some("Standard_DC2as_v5".to_owned()) }));
    assert_eq!((limit().await, restricted().await), (0, 1));
    assert_eq!((limit().await, restricted().await), (0, 1), "until it is cleared");
    cloud.cloud.clear_faults().unwrap();
    assert_eq!((limit().await, restricted().await), (20, 0));
}
