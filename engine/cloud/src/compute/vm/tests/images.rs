//! Images and sizes.

use serde_json::{Value, json};

use super::kit::VERSION;
use crate::testing;
use crate::{Fault, FaultKind};

#[tokio::test]
async fn images_are_found_step_by_step() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let ask = |path: &str, more: &str| {
        let url = format!(
            "{}/providers/Microsoft.Compute/locations/westeurope/publishers{path}?api-version={VERSION}{more}",
            cloud.subscription()
        );
        let me = &me;
        async move { me.arm("GET", &url, Value::Null).await }
    };
    let offers = "/Canonical/artifacttypes/vmimage/offers";
    let versions = format!("{offers}/ubuntu-24_04-lts/skus/server/versions");
    let table = [
        ("", "", json!(["Canonical", "MicrosoftWindowsServer"])),
        (
            offers,
            "",
            json!(["0001-com-ubuntu-confidential-vm-jammy", "0001-com-ubuntu-server-jammy", "ubuntu-24_04-lts"]),
        ),
        (&format!("{offers}/UBUNTU-24_04-lts/skus"), "", json!(["cvm", "server", "server-gen1"])),
        (&versions, "&$top=1&$orderby=name%20desc&$expand=properties", json!(["24.04.202601070"])),
    ];
    for (path, more, expected) in table {
        let reply = ask(path, more).await;
        let names: Vec<&Value> = reply.body.as_array().unwrap().iter().map(|entry| &entry["name"]).collect();
        assert_eq!(json!(names), expected, "{path}: {reply:?}");
    }
    let one = ask(&format!("{versions}/24.04.202601070"), "").await;
    assert_eq!(one.body["properties"]["hyperVGeneration"], "V2", "{one:?}");
    assert_eq!(one.body["properties"]["features"][0]["value"], "TrustedLaunchSupported");
    let state = ask(&versions, "&$expand=properties/imageDeprecationStatus").await;
    let state = &state.body[0]["properties"];
    assert_eq!(*state, json!({ "imageDeprecationStatus": { "imageState": "Active" } }));
    let refused = [
        ("/Nobody/artifacttypes/vmimage/offers".to_owned(), "", "NotFound"),
        (format!("{offers}/none/skus"), "", "NotFound"),
        (format!("{offers}/ubuntu-24_04-lts/skus/none/versions"), "", "NotFound"),
        (format!("{versions}/1"), "", "NotFound"),
        (versions.clone(), "&$expand=size", "BadRequest"),
        (versions, "&$orderby=size", "BadRequest"),
    ];
    for (path, more, code) in refused {
        assert_eq!(ask(&path, more).await.code(), code, "{path}{more}");
    }
    let moon =
        format!("{}/providers/Microsoft.Compute/locations/moon/publishers?api-version={VERSION}", cloud.subscription());
    assert_eq!(me.arm("GET", &moon, Value::Null).await.code(), "NoRegisteredProviderFound");
}

#[tokio::test]
async fn a_region_lists_the_sizes_that_it_offers() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let sizes = |location: &str| {
        let url = format!(
            "{}/providers/Microsoft.Compute/locations/{location}/vmSizes?api-version={VERSION}",
            cloud.subscription()
        );
        let me = &me;
        async move { me.arm("GET", &url, Value::Null).await }
    };
    let names = |reply: &testing::Reply| -> Vec<String> {
        let value = reply.body["value"].as_array().unwrap();
        value.iter().map(|size| size["name"].as_str().unwrap().to_owned()).collect()
    };
    let h100 = "Standard_NCC40ads_H100_v5".to_owned();
    for (location, expected) in [("westeurope", true), ("japanwest", false)] {
        assert_eq!(names(&sizes(location).await).contains(&h100), expected, "{location}");
    }
    cloud.fault(Fault { times: None, ..Fault::once(FaultKind::NoSku { region: None, size: Some(h100.clone()) }) });
    assert!(!names(&sizes("westeurope").await).contains(&h100));
    assert_eq!(sizes("moon").await.code(), "InvalidLocation");
}
