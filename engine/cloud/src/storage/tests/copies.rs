//! Copies inside an account.

use super::{BLOB_CONTRIBUTOR, HOST, account_path, assign, blob, elements, outcome, ready, text, upload};

const PUT: (&str, &str) = ("x-ms-blob-type", "BlockBlob");

#[tokio::test]
async fn a_copy_is_a_blob_of_its_own() {
    let cloud = ready().await;
    let me = cloud.learner();
    let big: Vec<u8> = (0..(1 << 20) + 77).map(|at: u32| (at / 3 % 251) as u8).collect();
    for (id, body) in [("YQ==", big.clone()), ("Yg==", b"end".to_vec())] {
        let path = format!("/data/dir/one?comp=block&blockid={id}");
        assert_eq!(blob(&me, "PUT", &path, &[], body).await.status, 201);
    }
    let list = "<BlockList><Latest>YQ==</Latest><Latest>Yg==</Latest><Latest>YQ==</Latest></BlockList>";
    let headers = [("x-ms-blob-content-type", "text/plain"), ("x-ms-meta-a", "1")];
    assert_eq!(blob(&me, "PUT", "/data/dir/one?comp=blocklist", &headers, list).await.status, 201);
    assert_eq!(blob(&me, "PUT", "/more?restype=container", &[], "").await.status, 201);
    let expected = [&big[..], b"end", &big].concat();

    let source = format!("{HOST}/data/dir/one");
    let copied = blob(&me, "PUT", "/more/two", &[("x-ms-copy-source", &source)], "").await;
    assert_eq!((outcome(&copied).as_str(), copied.header("x-ms-copy-status")), ("202", "success"));
    assert_eq!(blob(&me, "DELETE", "/data/dir/one", &[], "").await.status, 202);
    let got = blob(&me, "GET", "/more/two", &[], "").await;
    assert_eq!(got.bytes, expected);
    for (name, value) in [
        ("content-type", "text/plain"),
        ("x-ms-meta-a", "1"),
        ("x-ms-copy-id", copied.header("x-ms-copy-id")),
        ("x-ms-copy-source", &source),
        ("x-ms-copy-status", "success"),
        ("x-ms-copy-progress", &format!("{0}/{0}", expected.len())),
        ("etag", copied.header("etag")),
    ] {
        assert_eq!(got.header(name), value, "{name}");
    }
    assert!(!got.header("x-ms-copy-completion-time").is_empty());
    let blocks = blob(&me, "GET", "/more/two?comp=blocklist", &[], "").await;
    assert_eq!(elements(&blocks, "Name"), ["YQ==", "Yg==", "YQ=="]);
    let listed = blob(&me, "GET", "/more?restype=container&comp=list&include=copy", &[], "").await;
    assert_eq!(elements(&listed, "CopyStatus"), ["success"]);
    // Onto itself: other metadata, the same content.
    let own = format!("{HOST}/more/two");
    let again = blob(&me, "PUT", "/more/two", &[("x-ms-copy-source", &own), ("x-ms-meta-b", "2")], "").await;
    assert_eq!(outcome(&again), "202");
    let got = blob(&me, "GET", "/more/two", &[], "").await;
    assert_eq!((got.header("x-ms-meta-a"), got.header("x-ms-meta-b"), &got.bytes[..]), ("", "2", &expected[..]));
    // What changes the blob's properties ends the memory of the copy; what changes its metadata does not.
    assert_eq!(blob(&me, "PUT", "/more/two?comp=metadata", &[], "").await.status, 200);
    assert_eq!(blob(&me, "HEAD", "/more/two", &[], "").await.header("x-ms-copy-status"), "success");
    assert_eq!(blob(&me, "PUT", "/more/two?comp=properties", &[], "").await.status, 200);
    assert_eq!(blob(&me, "HEAD", "/more/two", &[], "").await.header("x-ms-copy-status"), "");

    let abort = |headers: &'static [(&str, &str)]| blob(&me, "PUT", "/more/two?comp=copy&copyid=x", headers, "");
    assert_eq!(outcome(&abort(&[("x-ms-copy-action", "abort")]).await), "409 NoPendingCopyOperation");
    assert_eq!(outcome(&abort(&[]).await), "400 UnsupportedOperation");
}

#[tokio::test]
async fn copies_at_once_need_a_source_that_opens_itself() {
    let cloud = ready().await;
    let me = cloud.learner();
    assert_eq!(upload(&me, "/data/one", "hello").await.status, 201);
    let source = format!("{HOST}/data/one");
    let bearer = format!("Bearer {}", me.token("https://storage.azure.com").await);
    let other = format!("Bearer {}", cloud.tools().token("https://storage.azure.com").await);
    let wrong = format!("Bearer {}", me.token("https://vault.azure.net").await);
    const SYNC: (&str, &str) = ("x-ms-requires-sync", "true");
    const AUTH: &str = "x-ms-copy-source-authorization";
    let from = ("x-ms-copy-source", source.as_str());
    for (headers, expected) in [
        (vec![from, SYNC, (AUTH, bearer.as_str())], "202"),
        (vec![from, PUT, (AUTH, &bearer)], "201"),
        (vec![from, PUT, (AUTH, &bearer), ("x-ms-source-content-md5", "XUFAKrxLKna5cZ2REBfFkg==")], "201"),
        (vec![from, PUT, (AUTH, &bearer), ("x-ms-source-content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")], "400 Md5Mismatch"),
        (vec![from, SYNC], "409 CannotVerifyCopySource"),
        (vec![from, PUT], "409 CannotVerifyCopySource"),
        (vec![from, SYNC, (AUTH, &other)], "403 CannotVerifyCopySource"),
        (vec![from, SYNC, (AUTH, &wrong)], "401 CannotVerifyCopySource"),
        (vec![from, ("x-ms-blob-type", "PageBlob"), (AUTH, &bearer)], "400 InvalidHeaderValue"),
    ] {
        let reply = blob(&me, "PUT", "/data/two", &headers, "").await;
        assert_eq!(outcome(&reply), expected, "{headers:?}");
    }
    let got = blob(&me, "GET", "/data/two", &[], "").await;
    assert_eq!((text(&got), got.header("content-md5")), ("hello", "XUFAKrxLKna5cZ2REBfFkg=="));
    assert_eq!(got.header("x-ms-copy-id"), "");
}

#[tokio::test]
async fn refused_copies() {
    let cloud = ready().await;
    let me = cloud.learner();
    let etag = upload(&me, "/data/one", "hello").await.header("etag").to_owned();
    for (source, condition, expected) in [
        (format!("{HOST}/data/one"), ("x-ms-source-if-match", etag.as_str()), "202"),
        (format!("{HOST}/data/one"), ("x-ms-source-if-none-match", &etag), "412 SourceConditionNotMet"),
        (format!("{HOST}/data/one"), ("x-ms-source-if-match", "\"0x0\""), "412 SourceConditionNotMet"),
        (format!("{HOST}/data/one"), ("if-none-match", "*"), "409 BlobAlreadyExists"),
        (format!("{HOST}/data/one"), ("if-match", "\"0x0\""), "412 ConditionNotMet"),
        (format!("{HOST}/data/none"), ("x-a", "b"), "404 CannotVerifyCopySource"),
        (format!("{HOST}/none/one"), ("x-a", "b"), "404 CannotVerifyCopySource"),
        (format!("{HOST}/data/one?snapshot=2026-01-01T00:00:00Z"), ("x-a", "b"), "404 CannotVerifyCopySource"),
        ("https://other.blob.core.windows.net/data/one".to_owned(), ("x-a", "b"), "404 CannotVerifyCopySource"),
        ("/data/one".to_owned(), ("x-a", "b"), "400 InvalidHeaderValue"),
        (format!("{HOST}/data"), ("x-a", "b"), "400 InvalidHeaderValue"),
    ] {
        let reply = blob(&me, "PUT", "/data/two", &[("x-ms-copy-source", &source), condition], "").await;
        assert_eq!(outcome(&reply), expected, "{source} {condition:?}");
    }
    let from = format!("{HOST}/data/one");
    let block = blob(&me, "PUT", "/data/two?comp=block&blockid=YQ==", &[("x-ms-copy-source", &from)], "").await;
    assert_eq!(
        (outcome(&block).as_str(), block.header("x-sealbook-gap")),
        ("400 UnsupportedHeader", "blocks from a URL")
    );
    // Who may write at one place and read at none copies nothing.
    assert_eq!(blob(&me, "PUT", "/more?restype=container", &[], "").await.status, 201);
    let more = format!("{}/blobServices/default/containers/more", account_path(&cloud, "lab", "labdata01"));
    assign(&cloud, &more, BLOB_CONTRIBUTOR, &cloud.seed.client_oid, "ServicePrincipal").await;
    let reply = blob(&cloud.tools(), "PUT", "/more/two", &[("x-ms-copy-source", &from)], "").await;
    assert_eq!(outcome(&reply), "403 CannotVerifyCopySource");
    let reply = blob(&cloud.tools(), "PUT", "/data/two", &[("x-ms-copy-source", &from)], "").await;
    assert_eq!(outcome(&reply), "403 AuthorizationPermissionMismatch");
}
