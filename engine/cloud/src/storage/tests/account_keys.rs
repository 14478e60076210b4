//! Requests that are signed with an account key.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{API, HOST, VERSION, access_keys, account_path, outcome, ready, set_property, sign, strip_tools, text};
use crate::testing::{Reply, TestCloud};
use crate::time::http_date;

/// Sends a request as a client that has the key, `late` seconds after its date.
async fn send(cloud: &TestCloud, key: &[u8], method: &str, target: &str, more: &[(&str, &str)], late: i64) -> Reply {
    let body = more.iter().find(|(name, _)| *name == "body").map_or("", |(_, body)| body).to_owned();
    let date = http_date(chrono::DateTime::from_timestamp(crate::testing::START - late, 0).unwrap());
    let mut headers = vec![VERSION, ("x-ms-date", date.as_str())];
    headers.extend(more.iter().filter(|(name, _)| *name != "body"));
    let mut own: Vec<_> = headers.iter().filter(|(name, _)| name.starts_with("x-ms-")).collect();
    own.sort();
    let own: String = own.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let kind = headers.iter().find(|(name, _)| *name == "content-type").map_or("", |(_, value)| value);
    let length = if body.is_empty() { String::new() } else { body.len().to_string() };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut query: Vec<String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| format!("\n{}", pair.replacen('=', ":", 1)))
        .collect();
    query.sort();
    let string = format!("{method}\n\n\n{length}\n\n{kind}\n\n\n\n\n\n\n{own}/labdata01{path}{}", query.concat());
    let signature = format!("SharedKey labdata01:{}", sign(key, &string));
    headers.push(("authorization", &signature));
    cloud.anonymous().raw(method, &format!("{HOST}{target}"), &headers, Bytes::from(body)).await.unwrap()
}

#[tokio::test]
async fn a_key_opens_everything_but_delegation() {
    let cloud = ready().await;
    for key in access_keys(&cloud).await {
        for (method, target, headers, expected) in [
            ("GET", "/?comp=list", vec![], "200"),
            ("PUT", "/more?restype=container", vec![("x-ms-meta-a", "1")], "201"),
            (
                "PUT",
                "/more/dir/a%20b",
                vec![("x-ms-blob-type", "BlockBlob"), ("content-type", "text/plain"), ("body", "hello")],
                "201",
            ),
            ("GET", "/more/dir/a%20b", vec![], "200"),
            ("GET", "/more?restype=container&comp=list", vec![], "200"),
            ("DELETE", "/more?restype=container", vec![], "202"),
            (
                "POST",
                "/?restype=service&comp=userdelegationkey",
                vec![("body", "<KeyInfo/>")],
                "403 AuthenticationFailed",
            ),
        ] {
            let reply = send(&cloud, &key, method, target, &headers, 0).await;
            assert_eq!(outcome(&reply), expected, "{method} {target}: {}", String::from_utf8_lossy(&reply.bytes));
        }
    }
}

#[tokio::test]
async fn keys_are_refused() {
    let cloud = ready().await;
    let keys = access_keys(&cloud).await;
    let list = "/?comp=list";
    for (late, expected) in [
        (15 * 60, "200"),
        (-15 * 60, "200"),
        (15 * 60 + 1, "403 AuthenticationFailed"),
        (-901, "403 AuthenticationFailed"),
    ] {
        assert_eq!(outcome(&send(&cloud, &keys[0], "GET", list, &[], late).await), expected, "{late}");
    }
    // The cloud's clock may be moved; that of the wire may not.
    cloud.advance(24 * 3600);
    assert_eq!(outcome(&send(&cloud, &keys[0], "GET", list, &[], 0).await), "200");
    let wrong = send(&cloud, &[7; 64], "GET", list, &[], 0).await;
    assert_eq!(outcome(&wrong), "403 AuthenticationFailed");
    assert!(text(&wrong).contains("</Message><AuthenticationErrorDetail>The MAC signature found"), "{}", text(&wrong));
    let lite = [VERSION, ("authorization", "SharedKeyLite labdata01:c2ln")];
    let lite = cloud.anonymous().raw("GET", &format!("{HOST}{list}"), &lite, Bytes::new()).await.unwrap();
    assert_eq!(
        (outcome(&lite).as_str(), lite.header("x-sealbook-gap").is_empty()),
        ("403 AuthenticationFailed", false)
    );

    // A regenerated key is no key any more, and the other one still is.
    let path = format!("{}/regenerateKey{API}", account_path(&cloud, "lab", "labdata01"));
    let reply = cloud.learner().arm("POST", &path, json!({ "keyName": "key1" })).await;
    assert_eq!(reply.status, 200);
    assert_eq!(outcome(&send(&cloud, &keys[0], "GET", list, &[], 0).await), "403 AuthenticationFailed");
    assert_eq!(outcome(&send(&cloud, &keys[1], "GET", list, &[], 0).await), "200");
    let fresh = access_keys(&cloud).await;
    assert_eq!(outcome(&send(&cloud, &fresh[0], "GET", list, &[], 0).await), "200");
    strip_tools(&cloud).await;
    assert_eq!(cloud.tools().arm("POST", &path, json!({ "keyName": "key1" })).await.status, 403);

    set_property(&cloud, "allowSharedKeyAccess", Value::Bool(false)).await;
    assert_eq!(outcome(&send(&cloud, &keys[1], "GET", list, &[], 0).await), "403 KeyBasedAuthenticationNotPermitted");
    set_property(&cloud, "allowSharedKeyAccess", Value::Bool(true)).await;
    assert_eq!(outcome(&send(&cloud, &keys[1], "GET", list, &[], 0).await), "200");
}
