//! Exports and uploads: shared access signatures for the content of disks.

use serde_json::{Value, json};

use super::{LINE, Lab};
use crate::testing;

const GIB: u64 = 1 << 30;

#[tokio::test]
async fn an_exported_disk_is_a_virtual_hard_disk_in_ranges() {
    let cloud = testing::cloud();
    let lab = Lab::with_set(&cloud).await;
    lab.disk("os", "des").await;
    let url = lab.grant("disks/os", "Read").await.unwrap();
    let host = url.split('/').nth(2).unwrap();
    assert!(host.starts_with("md-") && host.ends_with(".blob.storage.azure.net"), "{url}");
    assert_eq!(lab.grant("disks/os", "Read").await.unwrap(), url, "asking again gives the same access");
    assert_eq!(lab.ask("GET", "disks/os", Value::Null).await.body["properties"]["diskState"], "ActiveSAS");

    let head = lab.content("HEAD", &url, &[], "").await;
    assert_eq!((head.status, head.header("x-ms-blob-type")), (200, "PageBlob"));
    assert_eq!(head.header("content-length"), (30 * GIB + 512).to_string());
    let range = format!("bytes={}-", 30 * GIB - 512);
    let end = lab.content("GET", &url, &[("range", &range)], "").await;
    assert_eq!((end.status, end.bytes.len()), (206, 1024));
    assert!(end.bytes[..512].iter().all(|byte| *byte == 0) && end.bytes[512..].starts_with(b"conectix"));
    let pages = lab.content("GET", &format!("{url}&comp=pagelist"), &[], "").await;
    let pages = String::from_utf8_lossy(&pages.bytes).into_owned();
    assert_eq!(pages.matches("<PageRange>").count(), 2, "{pages}");
    assert!(pages.contains("<Start>0</Start>") && pages.contains(&format!("<End>{}</End>", 30 * GIB + 511)), "{pages}");

    for (method, url, headers, status, code) in [
        ("GET", url.clone(), &[][..], 400, "OutOfRangeInput"),
        ("GET", url.clone(), &[("x-ms-range", "bytes=99999999999-")][..], 416, "InvalidRange"),
        (
            "PUT",
            format!("{url}&comp=page"),
            &[("x-ms-range", "bytes=0-511"), ("x-ms-page-write", "clear")][..],
            403,
            "AuthorizationPermissionMismatch",
        ),
        ("PUT", url.clone(), &[][..], 405, "MethodNotAllowed"),
        ("GET", format!("{url}&comp=pagelist&prevsnapshot=x"), &[][..], 400, "UnsupportedOperation"),
    ] {
        let reply = lab.content(method, &url, headers, "").await;
        assert_eq!((reply.status, reply.header("x-ms-error-code")), (status, code), "{method} {url}");
    }
}

#[tokio::test]
async fn a_signature_ends_and_belongs_to_one_disk() {
    let cloud = testing::cloud();
    let lab = Lab::with_set(&cloud).await;
    lab.disk("one", "des").await;
    lab.disk("two", "des").await;
    let one = lab.grant("disks/one", "Read").await.unwrap();
    let two = lab.grant("disks/two", "Read").await.unwrap();
    let signature = |url: &str| url.split_once('?').unwrap().1.to_owned();
    let mixed = format!("{}?{}", one.split('?').next().unwrap(), signature(&two));
    let other_path = one.replace("/abcd?", "/abce?");
    for wrong in [mixed, other_path, one.replace("sr=b", "sr=c"), one.split("&sig").next().unwrap().to_owned()] {
        assert_eq!(lab.line_at(&wrong).await, "AuthenticationFailed", "{wrong}");
    }
    let deleted = lab.ask("DELETE", "disks/one", Value::Null).await;
    assert_eq!((deleted.status, deleted.code()), (409, "OperationNotAllowed"));
    lab.revoke("disks/one").await;
    assert_eq!(lab.line_at(&one).await, "AuthenticationFailed", "revoked");
    assert_eq!(lab.ask("GET", "disks/one", Value::Null).await.body["properties"]["diskState"], "Unattached");
    assert_eq!(lab.ask("DELETE", "disks/one", Value::Null).await.status, 202);
    assert_eq!(lab.line_at(&two).await, LINE);
    cloud.advance(3_600);
    assert_eq!(lab.line_at(&two).await, "AuthenticationFailed", "expired");
    assert_eq!(lab.line_at("https://md-nobody.z1.blob.storage.azure.net/a/abcd?si=x").await, "AuthenticationFailed");
}

#[tokio::test]
async fn refused_accesses() {
    let cloud = testing::cloud();
    let lab = Lab::with_set(&cloud).await;
    lab.disk("os", "des").await;
    lab.done("PUT", "disks/closed", lab.disk_body(json!({ "networkAccessPolicy": "DenyAll" }))).await;
    lab.done("PUT", "disks/private", lab.disk_body(json!({ "publicNetworkAccess": "Disabled" }))).await;
    for (disk, body, status, code) in [
        ("os", json!({ "access": "Read" }), 400, "InvalidParameter"),
        ("os", json!({ "access": "Read", "durationInSeconds": 5_184_001 }), 400, "InvalidParameter"),
        ("os", json!({ "access": "None", "durationInSeconds": 60 }), 400, "InvalidParameter"),
        ("os", json!({ "access": "Read", "durationInSeconds": 60, "fileFormat": "VHDX" }), 400, "InvalidParameter"),
        (
            "os",
            json!({ "access": "Read", "durationInSeconds": 60, "getSecureVMGuestStateSAS": true }),
            400,
            "InvalidParameter",
        ),
        ("os", json!({ "access": "Write", "durationInSeconds": 60 }), 409, "OperationNotAllowed"),
        ("closed", json!({ "access": "Read", "durationInSeconds": 60 }), 409, "OperationNotAllowed"),
        ("none", json!({ "access": "Read", "durationInSeconds": 60 }), 404, "ResourceNotFound"),
    ] {
        let reply = lab.ask("POST", &format!("disks/{disk}/beginGetAccess"), body.clone()).await;
        assert_eq!((reply.status, reply.code()), (status, code), "{disk} {body}");
    }
    assert_eq!(lab.ask("POST", "disks/none/endGetAccess", Value::Null).await.code(), "ResourceNotFound");
    let url = lab.grant("disks/private", "Read").await.unwrap();
    assert_eq!(lab.line_at(&url).await, "PublicNetworkAccessDisabled");
}

#[tokio::test]
async fn an_uploaded_disk_has_what_was_uploaded() {
    let cloud = testing::cloud();
    let lab = Lab::with_set(&cloud).await;
    let size = 20_u64 << 20;
    let mut body = lab.disk_body(lab.under("des"));
    body["properties"]["creationData"] = json!({ "createOption": "Upload", "uploadSizeBytes": size + 512 });
    let made = lab.done("PUT", "disks/data", body).await;
    assert_eq!(made["properties"]["diskState"], "ReadyToUpload", "{made}");
    assert_eq!(lab.grant("disks/data", "Read").await.unwrap_err(), "OperationNotAllowed");
    let url = lab.grant("disks/data", "Write").await.unwrap();
    assert!(url.starts_with("https://md-impexp-"), "{url}");
    assert_eq!(lab.ask("GET", "disks/data", Value::Null).await.body["properties"]["diskState"], "ActiveUpload");

    let page = format!("{url}&comp=page");
    let put = async |range: &str, what: &str, bytes: Vec<u8>| {
        let headers = [("x-ms-range", range), ("x-ms-page-write", what)];
        let reply = lab.content("PUT", &page, &headers, bytes).await;
        format!("{} {}", reply.status, reply.header("x-ms-error-code"))
    };
    let mut text = b"my own content\n".to_vec();
    text.resize(512, b'.');
    assert_eq!(put("bytes=0-511", "update", text.clone()).await, "201 ");
    // Across a chunk's border, then half of it cleared again.
    assert_eq!(put("bytes=65024-66047", "update", vec![7; 1024]).await, "201 ");
    assert_eq!(put("bytes=65536-66047", "clear", Vec::new()).await, "201 ");
    let footer = format!("bytes={size}-{}", size + 511);
    assert_eq!(put(&footer, "update", vec![b'f'; 512]).await, "201 ");
    for (range, what, bytes, expected) in [
        ("bytes=0-510", "update", vec![1; 511], "416 InvalidPageRange"),
        ("bytes=0-511", "update", vec![1; 100], "400 InvalidHeaderValue"),
        ("bytes=0-511", "erase", vec![], "400 InvalidHeaderValue"),
        ("bytes=0-8388607", "update", vec![1; 8 << 20], "413 RequestBodyTooLarge"),
        ("bytes=999999999-", "clear", vec![], "416 InvalidRange"),
    ] {
        assert_eq!(put(range, what, bytes).await, expected, "{range} {what}");
    }
    lab.revoke("disks/data").await;
    assert_eq!(put("bytes=0-511", "update", text).await, "403 AuthenticationFailed");

    assert_eq!(lab.grant("disks/data", "Write").await.unwrap_err(), "OperationNotAllowed", "once");
    let url = lab.grant("disks/data", "Read").await.unwrap();
    assert_eq!(lab.line_at(&url).await, "my own content");
    let middle = lab.content("GET", &url, &[("range", "bytes=65024-66047")], "").await;
    assert_eq!((&middle.bytes[..512], &middle.bytes[512..]), (&[7; 512][..], &[0; 512][..]));
    let end = lab.content("GET", &url, &[("range", &footer)], "").await;
    assert_eq!(end.bytes, vec![b'f'; 512]);
}
