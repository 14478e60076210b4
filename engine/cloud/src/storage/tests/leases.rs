//! Leases of blobs and containers, and what they forbid.

use super::{blob, elements, outcome, ready, strip_tools, upload};
use crate::testing::{Client, Reply};

const A: &str = "6f2c0a8e-1b1f-4c52-9f3f-0d5a6a0f7c11";
const B: &str = "b7d1f0c2-6a0a-4a57-8b1e-2f6f5f1e9d22";
const PUT: (&str, &str) = ("x-ms-blob-type", "BlockBlob");

async fn act(me: &Client<'_>, path: &str, action: &str, headers: &[(&str, &str)]) -> Reply {
    let separator = if path.contains('?') { '&' } else { '?' };
    let headers = [&[("x-ms-lease-action", action)], headers].concat();
    blob(me, "PUT", &format!("{path}{separator}comp=lease"), &headers, "").await
}

async fn state(me: &Client<'_>, path: &str) -> String {
    let reply = blob(me, "HEAD", path, &[], "").await;
    let get = |name: &str| reply.header(name).to_owned();
    let words = ["x-ms-lease-status", "x-ms-lease-state", "x-ms-lease-duration"].map(get).join(" ");
    words.trim_end().to_owned()
}

#[tokio::test]
async fn the_life_of_a_lease() {
    let cloud = ready().await;
    let me = cloud.learner();
    const ONE: &str = "/data/one";
    assert_eq!(upload(&me, ONE, "x").await.status, 201);
    assert_eq!(state(&me, ONE).await, "unlocked available");
    for (headers, expected) in [
        (vec![], "400 MissingRequiredHeader"),
        (vec![("x-ms-lease-duration", "14")], "400 InvalidHeaderValue"),
        (vec![("x-ms-lease-duration", "61")], "400 InvalidHeaderValue"),
        (vec![("x-ms-lease-duration", "15"), ("x-ms-proposed-lease-id", "x")], "400 InvalidHeaderValue"),
        (vec![("x-ms-lease-duration", "15"), ("if-match", "\"0x0\"")], "412 ConditionNotMet"),
    ] {
        assert_eq!(outcome(&act(&me, ONE, "acquire", &headers).await), expected, "{headers:?}");
    }
    assert_eq!(outcome(&act(&me, "/data/none", "acquire", &[("x-ms-lease-duration", "15")]).await), "404 BlobNotFound");
    assert_eq!(outcome(&act(&me, ONE, "seize", &[]).await), "400 InvalidHeaderValue");
    assert_eq!(outcome(&blob(&me, "PUT", "/data/one?comp=lease", &[], "").await), "400 MissingRequiredHeader");
    assert_eq!(outcome(&act(&cloud.tools(), ONE, "break", &[]).await), "403 AuthorizationPermissionMismatch");

    let lease = act(&me, ONE, "acquire", &[("x-ms-lease-duration", "15"), ("x-ms-proposed-lease-id", A)]).await;
    assert_eq!((lease.status, lease.header("x-ms-lease-id")), (201, A));
    assert_eq!(state(&me, ONE).await, "locked leased fixed");
    let other = [("x-ms-lease-duration", "-1"), ("x-ms-proposed-lease-id", B)];
    assert_eq!(outcome(&act(&me, ONE, "acquire", &other).await), "409 LeaseAlreadyPresent");
    cloud.advance(14);
    assert_eq!(outcome(&act(&me, ONE, "renew", &[("x-ms-lease-id", A)]).await), "200");
    cloud.advance(14);
    assert_eq!(state(&me, ONE).await, "locked leased fixed");
    cloud.advance(1);
    assert_eq!(state(&me, ONE).await, "unlocked expired");
    // Nobody wrote: the holder may have it again. Once somebody did, it is gone.
    assert_eq!(outcome(&act(&me, ONE, "renew", &[("x-ms-lease-id", A)]).await), "200");
    cloud.advance(15);
    assert_eq!(outcome(&blob(&me, "PUT", ONE, &[PUT, ("x-ms-lease-id", A)], "y").await), "412 LeaseLost");
    assert_eq!(upload(&me, ONE, "y").await.status, 201);
    assert_eq!(
        outcome(&act(&me, ONE, "renew", &[("x-ms-lease-id", A)]).await),
        "409 LeaseIdMismatchWithLeaseOperation"
    );
    assert_eq!(state(&me, ONE).await, "unlocked available");

    let lease = act(&me, ONE, "acquire", &[("x-ms-lease-duration", "-1")]).await;
    let id = lease.header("x-ms-lease-id").to_owned();
    assert_eq!(state(&me, ONE).await, "locked leased infinite");
    let changed = act(&me, ONE, "change", &[("x-ms-lease-id", &id), ("x-ms-proposed-lease-id", B)]).await;
    assert_eq!((changed.status, changed.header("x-ms-lease-id")), (200, B));
    assert_eq!(
        outcome(&act(&me, ONE, "release", &[("x-ms-lease-id", &id)]).await),
        "409 LeaseIdMismatchWithLeaseOperation"
    );
    assert_eq!(outcome(&act(&me, ONE, "release", &[]).await), "400 MissingRequiredHeader");
    assert_eq!(outcome(&act(&me, ONE, "break", &[("x-ms-lease-break-period", "61")]).await), "400 InvalidHeaderValue");
    let broken = act(&me, ONE, "break", &[("x-ms-lease-break-period", "30")]).await;
    assert_eq!((broken.status, broken.header("x-ms-lease-time")), (202, "30"));
    assert_eq!(state(&me, ONE).await, "locked breaking");
    let list = blob(&me, "GET", "/data?restype=container&comp=list", &[], "").await;
    assert_eq!(
        (elements(&list, "LeaseStatus"), elements(&list, "LeaseState")),
        (vec!["locked".to_owned()], vec!["breaking".to_owned()])
    );
    cloud.advance(10);
    assert_eq!(act(&me, ONE, "break", &[]).await.header("x-ms-lease-time"), "20");
    assert_eq!(outcome(&act(&me, ONE, "renew", &[("x-ms-lease-id", B)]).await), "409 LeaseIsBrokenAndCannotBeRenewed");
    cloud.advance(20);
    assert_eq!(state(&me, ONE).await, "unlocked broken");
    assert_eq!(outcome(&act(&me, ONE, "release", &[("x-ms-lease-id", B)]).await), "200");
    assert_eq!(outcome(&act(&me, ONE, "break", &[]).await), "409 LeaseNotPresentWithLeaseOperation");
}

#[tokio::test]
async fn every_write_needs_the_lease() {
    let cloud = ready().await;
    let me = cloud.learner();
    assert_eq!(upload(&me, "/data/one", "x").await.status, 201);
    assert_eq!(upload(&me, "/data/two", "x").await.status, 201);
    let stage = blob(&me, "PUT", "/data/one?comp=block&blockid=YQ==", &[], "block").await;
    assert_eq!(outcome(&stage), "201");
    let lease = act(&me, "/data/one", "acquire", &[("x-ms-lease-duration", "-1"), ("x-ms-proposed-lease-id", A)]).await;
    assert_eq!(lease.status, 201);
    let source = ("x-ms-copy-source", "https://labdata01.blob.core.windows.net/data/two");
    let list = "<BlockList><Latest>YQ==</Latest></BlockList>";
    for (method, query, headers, body, good) in [
        ("PUT", "", vec![PUT], "new", "201"),
        ("PUT", "?comp=metadata", vec![("x-ms-meta-a", "1")], "", "200"),
        ("PUT", "?comp=properties", vec![], "", "200"),
        ("PUT", "?comp=block&blockid=YQ==", vec![], "block", "201"),
        ("PUT", "?comp=blocklist", vec![], list, "201"),
        ("PUT", "", vec![source], "", "202"),
        ("DELETE", "", vec![], "", "202"),
    ] {
        let path = format!("/data/one{query}");
        for (id, expected) in [
            (None, "412 LeaseIdMissing"),
            (Some("x"), "400 InvalidHeaderValue"),
            (Some(B), "412 LeaseIdMismatchWithBlobOperation"),
            (Some(A), good),
        ] {
            let mut headers = headers.clone();
            headers.extend(id.map(|id| ("x-ms-lease-id", id)));
            assert_eq!(outcome(&blob(&me, method, &path, &headers, body).await), expected, "{method} {path} {id:?}");
        }
    }
    // The lease went with the blob.
    assert_eq!(upload(&me, "/data/one", "x").await.status, 201);
    assert_eq!(state(&me, "/data/one").await, "unlocked available");
    // Reads need none, but must not show a wrong one.
    act(&me, "/data/one", "acquire", &[("x-ms-lease-duration", "-1"), ("x-ms-proposed-lease-id", A)]).await;
    for (path, id, expected) in [
        ("/data/one", None, "200"),
        ("/data/one", Some(A), "200"),
        ("/data/one", Some(B), "412 LeaseIdMismatchWithBlobOperation"),
        ("/data/two", Some(A), "412 LeaseNotPresentWithBlobOperation"),
    ] {
        for (method, query) in [("GET", ""), ("HEAD", ""), ("GET", "?comp=metadata"), ("GET", "?comp=blocklist")] {
            let headers: Vec<_> = id.map(|id| ("x-ms-lease-id", id)).into_iter().collect();
            let reply = blob(&me, method, &format!("{path}{query}"), &headers, "").await;
            assert_eq!(outcome(&reply), expected, "{method} {path}{query} {id:?}");
        }
    }
    // As the source of a copy, too.
    let source = ("x-ms-copy-source", "https://labdata01.blob.core.windows.net/data/one");
    for (id, expected) in [(A, "202"), (B, "412 LeaseIdMismatchWithBlobOperation")] {
        let reply = blob(&me, "PUT", "/data/three", &[source, ("x-ms-source-lease-id", id)], "").await;
        assert_eq!(outcome(&reply), expected, "{id}");
    }
}

#[tokio::test]
async fn a_leased_container_stays() {
    let cloud = ready().await;
    let me = cloud.learner();
    const DATA: &str = "/data?restype=container";
    assert_eq!(state(&me, DATA).await, "unlocked available");
    let ids = [("x-ms-lease-duration", "60"), ("x-ms-proposed-lease-id", A)];
    assert_eq!(outcome(&act(&me, DATA, "acquire", &ids).await), "201");
    assert_eq!(state(&me, DATA).await, "locked leased fixed");
    let list = blob(&me, "GET", "/?comp=list", &[], "").await;
    assert_eq!(elements(&list, "LeaseDuration"), ["fixed"]);
    // What is in it can be written.
    assert_eq!(upload(&me, "/data/one", "x").await.status, 201);
    for (method, path, id, expected) in [
        ("DELETE", DATA, None, "412 LeaseIdMissing"),
        ("DELETE", DATA, Some(B), "412 LeaseIdMismatchWithContainerOperation"),
        ("HEAD", DATA, Some(B), "412 LeaseIdMismatchWithContainerOperation"),
        ("PUT", "/data?restype=container&comp=metadata", Some(B), "412 LeaseIdMismatchWithContainerOperation"),
        ("PUT", "/data?restype=container&comp=metadata", None, "200"),
        ("DELETE", DATA, Some(A), "202"),
        ("HEAD", DATA, None, "404 ContainerNotFound"),
    ] {
        let headers: Vec<_> = id.map(|id| ("x-ms-lease-id", id)).into_iter().collect();
        assert_eq!(outcome(&blob(&me, method, path, &headers, "").await), expected, "{method} {path} {id:?}");
    }
    assert_eq!(blob(&me, "PUT", DATA, &[], "").await.status, 201);
    assert_eq!(state(&me, DATA).await, "unlocked available");
    assert_eq!(
        outcome(&act(&me, DATA, "renew", &[("x-ms-lease-id", A)]).await),
        "409 LeaseIdMismatchWithLeaseOperation"
    );
    act(&me, DATA, "acquire", &ids).await;
    assert_eq!(act(&me, DATA, "break", &[("x-ms-lease-break-period", "0")]).await.header("x-ms-lease-time"), "0");
    strip_tools(&cloud).await;
    assert_eq!(outcome(&act(&cloud.tools(), DATA, "break", &[]).await), "403 AuthorizationPermissionMismatch");
    assert_eq!(outcome(&blob(&me, "DELETE", DATA, &[], "").await), "202");
}

#[tokio::test]
async fn the_lease_of_a_container_is_renewed_changed_and_released() {
    let cloud = ready().await;
    let me = cloud.learner();
    const DATA: &str = "/data?restype=container";
    let endless = [("x-ms-lease-duration", "-1"), ("x-ms-proposed-lease-id", A)];
    assert_eq!(act(&me, DATA, "acquire", &endless).await.header("x-ms-lease-id"), A);
    let change = [("x-ms-lease-id", A), ("x-ms-proposed-lease-id", B)];
    assert_eq!(act(&me, DATA, "change", &change).await.header("x-ms-lease-id"), B);
    assert_eq!(
        outcome(&act(&me, DATA, "renew", &[("x-ms-lease-id", A)]).await),
        "409 LeaseIdMismatchWithLeaseOperation"
    );
    assert_eq!(act(&me, DATA, "renew", &[("x-ms-lease-id", B)]).await.status, 200);
    assert_eq!(act(&me, DATA, "release", &[("x-ms-lease-id", B)]).await.status, 200);
    assert_eq!(state(&me, DATA).await, "unlocked available");
}

#[tokio::test]
async fn accounts_and_containers_tell_of_themselves() {
    let cloud = ready().await;
    let me = cloud.learner();
    let told = blob(&me, "GET", "/?restype=account&comp=properties", &[], "").await;
    assert_eq!((told.header("x-ms-sku-name"), told.header("x-ms-account-kind")), ("Standard_LRS", "StorageV2"));
    let metadata = "/data?restype=container&comp=metadata";
    assert_eq!(blob(&me, "PUT", metadata, &[("x-ms-meta-team", "a")], "").await.status, 200);
    assert_eq!(blob(&me, "GET", metadata, &[], "").await.header("x-ms-meta-team"), "a");
    let none = blob(&me, "GET", "/none?restype=container&comp=metadata", &[], "").await;
    assert_eq!(outcome(&none), "404 ContainerNotFound");
}
