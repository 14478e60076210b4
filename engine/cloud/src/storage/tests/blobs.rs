//! The data plane.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{
    BLOB_CONTRIBUTOR, BLOB_READER, HOST, VERSION, account, account_path, assign, blob, elements, lab, outcome, ready,
    text, upload,
};
const LEASE: &str = "6f2c0a8e-1b1f-4c52-9f3f-0d5a6a0f7c11";
const PUT: (&str, &str) = ("x-ms-blob-type", "BlockBlob");

#[tokio::test]
async fn who_may_do_what() {
    let cloud = lab().await;
    account(&cloud).await;
    let me = cloud.learner();
    let tools = cloud.tools();
    // Owner of the subscription: containers by control action, but no blob rights.
    assert_eq!(outcome(&blob(&me, "PUT", "/data?restype=container", &[], "").await), "201");
    const MISMATCH: &str = "403 AuthorizationPermissionMismatch";
    assert_eq!(outcome(&upload(&me, "/data/one", "x").await), MISMATCH);
    assert_eq!(outcome(&blob(&me, "GET", "/data/one", &[], "").await), MISMATCH);
    assert_eq!(outcome(&blob(&me, "GET", "/data?restype=container&comp=list", &[], "").await), MISMATCH);

    // A role on one container is good for that container.
    let container = format!("{}/blobServices/default/containers/data", account_path(&cloud, "lab", "labdata01"));
    assign(&cloud, &container, BLOB_CONTRIBUTOR, &cloud.seed.user_oid, "User").await;
    assign(&cloud, &container, BLOB_READER, &cloud.seed.client_oid, "ServicePrincipal").await;
    assert_eq!(outcome(&upload(&me, "/data/one", "x").await), "201");
    assert_eq!(outcome(&blob(&me, "PUT", "/more?restype=container", &[], "").await), "201");
    assert_eq!(outcome(&upload(&me, "/more/one", "x").await), MISMATCH);
    assert_eq!(outcome(&blob(&tools, "GET", "/data/one", &[], "").await), "200");
    assert_eq!(outcome(&upload(&tools, "/data/one", "y").await), MISMATCH);
    assert_eq!(outcome(&blob(&tools, "DELETE", "/data/one", &[], "").await), MISMATCH);
    assert_eq!(outcome(&blob(&me, "DELETE", "/data/one", &[], "").await), "202");
}

#[tokio::test]
async fn credentials_and_versions() {
    let cloud = ready().await;
    let me = cloud.learner();
    let storage = format!("Bearer {}", me.token("https://storage.azure.com").await);
    let own = format!("Bearer {}", me.token(HOST).await);
    let vault = format!("Bearer {}", me.token("https://vault.azure.net").await);
    let url = format!("{HOST}/?comp=list");
    let version = |version: &'static str| ("x-ms-version", version);
    for (headers, expected) in [
        (vec![VERSION, ("authorization", storage.as_str())], "200"),
        (vec![VERSION, ("authorization", &own)], "200"),
        (vec![VERSION, ("authorization", &vault)], "401 InvalidAuthenticationInfo"),
        (vec![VERSION, ("authorization", "Bearer nonsense")], "401 InvalidAuthenticationInfo"),
        (vec![VERSION, ("authorization", "SharedKey labdata01:c2ln")], "403 AuthenticationFailed"),
        (vec![VERSION], "401 NoAuthenticationInformation"),
        (vec![("authorization", &storage)], "400 MissingRequiredHeader"),
        (vec![version("2017-07-29"), ("authorization", &storage)], "400 InvalidHeaderValue"),
        (vec![version("2026-04-06"), ("authorization", &storage)], "200"),
    ] {
        let reply = me.raw("GET", &url, &headers, "".into()).await.unwrap();
        assert_eq!(outcome(&reply), expected, "{headers:?}");
        assert_eq!(reply.header("www-authenticate").starts_with("Bearer authorization_uri="), reply.status == 401);
        assert!(!reply.header("x-ms-request-id").is_empty());
    }
    let elsewhere = me.send_with("GET", "https://azcliprod.blob.core.windows.net/cli/x.py", &[], "".into()).await;
    assert_eq!(outcome(&elsewhere.unwrap()), "404 ResourceNotFound");
    let refused = blob(&me, "GET", "/data/none", &[], "").await;
    assert_eq!(outcome(&refused), "404 BlobNotFound");
    assert!(
        text(&refused)
            .contains("<Error><Code>BlobNotFound</Code><Message>The specified blob does not exist.\nRequestId:")
    );
}

#[tokio::test]
async fn containers() {
    let cloud = ready().await;
    let me = cloud.learner();
    for (method, path, headers, expected) in [
        ("PUT", "/data?restype=container", vec![], "409 ContainerAlreadyExists"),
        ("PUT", "/No?restype=container", vec![], "400 OutOfRangeInput"),
        ("PUT", "/No-Good?restype=container", vec![], "400 InvalidResourceName"),
        ("PUT", "/public?restype=container", vec![("x-ms-blob-public-access", "blob")], "409 PublicAccessNotPermitted"),
        ("PUT", "/marked?restype=container", vec![("x-ms-meta-sealbookrun", "r1")], "201"),
        ("GET", "/none?restype=container", vec![], "404 ContainerNotFound"),
        ("PUT", "/marked?restype=container&comp=metadata", vec![("x-ms-meta-b", "2")], "200"),
        ("PUT", "/data?restype=container&comp=acl", vec![], "400 UnsupportedOperation"),
        ("DELETE", "/none?restype=container", vec![], "404 ContainerNotFound"),
    ] {
        let reply = blob(&me, method, path, &headers, "").await;
        assert_eq!(outcome(&reply), expected, "{method} {path}");
    }
    let marked = blob(&me, "HEAD", "/marked?restype=container", &[], "").await;
    assert_eq!((marked.header("x-ms-meta-b"), marked.header("x-ms-meta-sealbookrun")), ("2", ""));
    assert!(marked.header("etag").starts_with("\"0x8D"));

    assert_eq!(upload(&me, "/marked/one", "x").await.status, 201);
    assert_eq!(blob(&me, "DELETE", "/marked?restype=container", &[], "").await.status, 202);
    assert_eq!(outcome(&blob(&me, "GET", "/marked/one", &[], "").await), "404 ContainerNotFound");
    assert_eq!(blob(&me, "PUT", "/marked?restype=container", &[], "").await.status, 201);
    assert_eq!(outcome(&blob(&me, "GET", "/marked/one", &[], "").await), "404 BlobNotFound");
}

#[tokio::test]
async fn what_is_not_here_is_named() {
    let cloud = ready().await;
    let me = cloud.learner();
    for (path, headers, gap) in [
        ("/data/log", vec![("x-ms-blob-type", "AppendBlob")], "blobs of type AppendBlob"),
        ("/data/log?comp=appendblock", vec![], "append blobs"),
        ("/data/log?comp=seal", vec![], "append blobs"),
        ("/data/disk?comp=page", vec![], "page blobs"),
        ("/data/one?comp=tags", vec![], "blob index tags"),
        ("/data/one?comp=snapshot", vec![], "snapshots of blobs"),
        ("/data?restype=container&comp=acl", vec![], "stored access policies"),
        ("/data/one?comp=novelty", vec![], "PUT labdata01.blob.core.windows.net/data/one?comp=novelty"),
    ] {
        let reply = blob(&me, "PUT", path, &headers, "x").await;
        assert_eq!((reply.status, reply.header("x-sealbook-gap")), (400, gap), "{path}");
    }
}

#[tokio::test]
async fn put_get_and_describe() {
    let cloud = ready().await;
    let me = cloud.learner();
    let headers = [
        PUT,
        ("content-type", "application/octet-stream"),
        ("x-ms-blob-content-type", "text/plain"),
        ("x-ms-blob-cache-control", "no-store"),
        ("x-ms-meta-sealbookop", "up.0.put"),
        ("content-md5", "XUFAKrxLKna5cZ2REBfFkg=="),
    ];
    let created = blob(&me, "PUT", "/data/dir/a%20b//c", &headers, "hello").await;
    assert_eq!(outcome(&created), "201", "{created:?}");
    assert_eq!(created.header("content-md5"), "XUFAKrxLKna5cZ2REBfFkg==");
    assert_eq!(created.header("x-ms-request-server-encrypted"), "true");
    let got = blob(&me, "GET", "/data/dir/a%20b//c", &[], "").await;
    assert_eq!((got.status, text(&got)), (200, "hello"));
    for (name, value) in [
        ("content-length", "5"),
        ("content-type", "text/plain"),
        ("cache-control", "no-store"),
        ("content-md5", "XUFAKrxLKna5cZ2REBfFkg=="),
        ("x-ms-meta-sealbookop", "up.0.put"),
        ("x-ms-blob-type", "BlockBlob"),
        ("x-ms-server-encrypted", "true"),
        ("accept-ranges", "bytes"),
        ("x-ms-version", VERSION.1),
        ("etag", created.header("etag")),
        ("last-modified", created.header("last-modified")),
    ] {
        assert_eq!(got.header(name), value, "{name}");
    }
    let head = blob(&me, "HEAD", "/data/dir/a%20b//c", &[], "").await;
    assert_eq!((head.status, head.header("content-length"), head.bytes.len()), (200, "5", 0));
    assert_eq!(head.header("x-ms-access-tier"), "Hot");
    let missing = blob(&me, "HEAD", "/data/none", &[], "").await;
    assert_eq!((outcome(&missing).as_str(), missing.bytes.len()), ("404 BlobNotFound", 0));

    let set = blob(&me, "PUT", "/data/dir/a%20b//c?comp=metadata", &[("x-ms-meta-x", "1")], "").await;
    assert_eq!(outcome(&set), "200");
    assert_ne!(set.header("etag"), created.header("etag"));
    let metadata = blob(&me, "GET", "/data/dir/a%20b//c?comp=metadata", &[], "").await;
    assert_eq!((metadata.header("x-ms-meta-x"), metadata.header("x-ms-meta-sealbookop")), ("1", ""));
    let set = blob(&me, "PUT", "/data/dir/a%20b//c?comp=properties", &[("x-ms-blob-content-type", "a/b")], "").await;
    assert_eq!(outcome(&set), "200");
    let head = blob(&me, "HEAD", "/data/dir/a%20b//c", &[], "").await;
    assert_eq!(
        (head.header("content-type"), head.header("x-ms-meta-x"), head.header("cache-control")),
        ("a/b", "1", "")
    );
}

#[tokio::test]
async fn refused_uploads() {
    let cloud = ready().await;
    let me = cloud.learner();
    for (path, headers, expected) in [
        ("/data/one", vec![], "400 MissingRequiredHeader"),
        ("/data/one", vec![("x-ms-blob-type", "PageBlob")], "400 InvalidHeaderValue"),
        ("/none/one", vec![PUT], "404 ContainerNotFound"),
        ("/data/one", vec![PUT, ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")], "400 Md5Mismatch"),
        ("/data/one", vec![PUT, ("content-md5", "short")], "400 InvalidMd5"),
        ("/data/one", vec![PUT, ("x-ms-content-crc64", "AAAAAAAAAAA=")], "400 Crc64Mismatch"),
        ("/data/one", vec![PUT, ("x-ms-blob-content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")], "400 Md5Mismatch"),
        ("/data/one", vec![PUT, ("x-ms-meta-a-b", "x")], "400 InvalidMetadata"),
        ("/data/one", vec![PUT, ("x-ms-encryption-key", "x")], "400 UnsupportedHeader"),
        ("/data/one", vec![PUT, ("x-ms-lease-id", "x")], "400 InvalidHeaderValue"),
        ("/data/one", vec![PUT, ("x-ms-lease-id", LEASE)], "412 LeaseNotPresentWithBlobOperation"),
        ("/data/one", vec![PUT, ("x-ms-access-tier", "Archive")], "400 InvalidHeaderValue"),
        ("/data/one", vec![PUT, ("if-match", "\"0x1\"")], "412 ConditionNotMet"),
        ("/data/one", vec![PUT, ("if-none-match", "*")], "201"),
        ("/data/one", vec![PUT, ("if-none-match", "*")], "409 BlobAlreadyExists"),
        ("/data/one?snapshot=2026-01-01T00:00:00Z", vec![PUT], "400 UnsupportedOperation"),
    ] {
        let reply = blob(&me, "PUT", path, &headers, "hello").await;
        assert_eq!(outcome(&reply), expected, "{path} {headers:?}");
    }
}

#[tokio::test]
async fn ranges_cross_chunks() {
    const MIB: usize = 1 << 20;
    let cloud = ready().await;
    let me = cloud.learner();
    let bytes: Vec<u8> = (0..2 * MIB + 100).map(|at| (at / 7 % 251) as u8).collect();
    assert_eq!(upload(&me, "/data/big", bytes.clone()).await.status, 201);
    assert_eq!(upload(&me, "/data/empty", "").await.status, 201);
    for (start, end) in
        [(0, 0), (0, MIB - 1), (MIB - 1, MIB), (5, 2 * MIB + 99), (2 * MIB, 2 * MIB + 99), (MIB, 2 * MIB - 1)]
    {
        let range = format!("bytes={start}-{end}");
        let reply = blob(&me, "GET", "/data/big", &[("x-ms-range", &range)], "").await;
        assert_eq!(reply.status, 206, "{range}");
        assert_eq!(reply.bytes, bytes[start..=end], "{range}");
        assert_eq!(reply.header("content-range"), format!("bytes {start}-{end}/{}", bytes.len()));
        assert_eq!(reply.header("content-length"), (end - start + 1).to_string());
    }
    let checked = [("range", "bytes=1-2"), ("x-ms-range-get-content-md5", "true")];
    let reply = blob(&me, "GET", "/data/big", &checked, "").await;
    assert_eq!(STANDARD.decode(reply.header("content-md5")).unwrap().len(), 16);
    assert_ne!(reply.header("content-md5"), reply.header("x-ms-blob-content-md5"));
    let outside = blob(&me, "GET", "/data/big", &[("range", "bytes=9999999-")], "").await;
    assert_eq!((outcome(&outside).as_str(), outside.header("content-range")), ("416 InvalidRange", "bytes */2097252"));
    let empty = blob(&me, "GET", "/data/empty", &[], "").await;
    assert_eq!((empty.status, empty.bytes.len(), empty.header("content-length")), (200, 0, "0"));
}

#[tokio::test]
async fn blocks() {
    let cloud = ready().await;
    let me = cloud.learner();
    let id = |name: &str| STANDARD.encode(name);
    let stage = async |name: &str, bytes: Vec<u8>| {
        let path = format!("/data/parts?comp=block&blockid={}", id(name).replace('=', "%3D"));
        outcome(&blob(&me, "PUT", &path, &[], bytes).await)
    };
    let commit = async |list: &[(&str, &str)]| {
        let blocks: String = list.iter().map(|(from, name)| format!("<{from}>{}</{from}>", id(name))).collect();
        let body = format!("<?xml version='1.0' encoding='utf-8'?>\n<BlockList>{blocks}</BlockList>");
        let headers = [("x-ms-blob-content-type", "text/plain"), ("x-ms-meta-a", "1")];
        outcome(&blob(&me, "PUT", "/data/parts?comp=blocklist", &headers, body).await)
    };
    let content = async || blob(&me, "GET", "/data/parts", &[], "").await.bytes;
    let big = vec![b'b'; (1 << 20) + 3];
    assert_eq!(stage("b1", vec![b'a'; 5]).await, "201");
    assert_eq!(stage("b2", b"old".to_vec()).await, "201");
    assert_eq!(stage("b2", big.clone()).await, "201");
    assert_eq!(stage("b3", b"never used".to_vec()).await, "201");
    assert_eq!(stage("longer", b"x".to_vec()).await, "400 InvalidBlobOrBlock");
    assert_eq!(stage("b4", Vec::new()).await, "400 InvalidHeaderValue");
    let bad = blob(&me, "PUT", "/data/parts?comp=block&blockid=%25", &[], "x").await;
    assert_eq!(outcome(&bad), "400 InvalidQueryParameterValue");
    assert_eq!(outcome(&blob(&me, "GET", "/data/parts", &[], "").await), "404 BlobNotFound");
    let staged = blob(&me, "GET", "/data/parts?comp=blocklist&blocklisttype=all", &[], "").await;
    let mut names = elements(&staged, "Name");
    names.sort();
    assert_eq!(names, ["b1", "b2", "b3"].map(id));

    assert_eq!(commit(&[("Latest", "b2"), ("Latest", "b9")]).await, "400 InvalidBlockList");
    assert_eq!(commit(&[("Committed", "b1")]).await, "400 InvalidBlockList");
    assert_eq!(commit(&[("Latest", "b2"), ("Uncommitted", "b1")]).await, "201");
    let expected = [&big[..], b"aaaaa"].concat();
    assert_eq!(content().await, expected);
    let head = blob(&me, "HEAD", "/data/parts", &[], "").await;
    assert_eq!((head.header("content-type"), head.header("x-ms-meta-a")), ("text/plain", "1"));
    // What was left out is gone; what was committed can be used again, twice even.
    assert_eq!(commit(&[("Latest", "b3")]).await, "400 InvalidBlockList");
    assert_eq!(stage("b5", b"new".to_vec()).await, "201");
    assert_eq!(commit(&[("Committed", "b1"), ("Latest", "b5"), ("Committed", "b1")]).await, "201");
    assert_eq!(content().await, "aaaaanewaaaaa");
    let range = blob(&me, "GET", "/data/parts", &[("range", "bytes=4-8")], "").await;
    assert_eq!(text(&range), "anewa");
    let list = blob(&me, "GET", "/data/parts?comp=blocklist", &[], "").await;
    assert_eq!(elements(&list, "Size"), ["5", "3", "5"]);

    // Blocks that are never committed go after a week.
    assert_eq!(stage("b6", b"late".to_vec()).await, "201");
    cloud.advance(7 * 24 * 3600);
    assert_eq!(commit(&[("Latest", "b6")]).await, "400 InvalidBlockList");
    // An upload in one piece replaces everything.
    assert_eq!(upload(&me, "/data/parts", "whole").await.status, 201);
    assert_eq!(content().await, "whole");
    assert_eq!(commit(&[]).await, "201");
    assert_eq!(content().await, "");
}

#[tokio::test]
async fn conditions() {
    let cloud = ready().await;
    let me = cloud.learner();
    let etag = upload(&me, "/data/one", "x").await.header("etag").to_owned();
    for (method, headers, expected) in [
        ("GET", ("if-none-match", etag.as_str()), "304 ConditionNotMet"),
        ("GET", ("if-match", &etag), "200"),
        ("HEAD", ("if-match", "\"0x8D0\""), "412 ConditionNotMet"),
        ("DELETE", ("if-match", "\"0x8D0\""), "412 ConditionNotMet"),
        ("DELETE", ("if-match", &etag), "202"),
        ("DELETE", ("if-match", &etag), "404 BlobNotFound"),
    ] {
        let reply = blob(&me, method, "/data/one", &[headers], "").await;
        assert_eq!(outcome(&reply), expected, "{method} {headers:?}");
        assert!(reply.status != 304 || reply.bytes.is_empty());
    }
}

#[tokio::test]
async fn listings_come_in_pages() {
    let cloud = ready().await;
    let me = cloud.learner();
    for name in ["a/1", "a/2", "a/b/3", "b", "c%26d", "e"] {
        assert_eq!(upload(&me, &format!("/data/{name}"), "x").await.status, 201, "{name}");
    }
    for (query, pages) in [
        ("", vec!["a/1 a/2 a/b/3 b c&amp;d e"]),
        ("&maxresults=2", vec!["a/1 a/2", "a/b/3 b", "c&amp;d e"]),
        ("&maxresults=4", vec!["a/1 a/2 a/b/3 b", "c&amp;d e"]),
        ("&maxresults=9999", vec!["a/1 a/2 a/b/3 b c&amp;d e"]),
        ("&prefix=a/&maxresults=2", vec!["a/1 a/2", "a/b/3"]),
        ("&prefix=nothing", vec![""]),
        ("&delimiter=/", vec!["a/ b c&amp;d e"]),
        ("&delimiter=/&maxresults=1", vec!["a/", "b", "c&amp;d", "e"]),
        ("&delimiter=/&prefix=a/", vec!["a/1 a/2 a/b/"]),
    ] {
        let mut marker = String::new();
        let mut found = Vec::new();
        loop {
            let path = format!("/data?restype=container&comp=list{query}&marker={marker}");
            let reply = blob(&me, "GET", &path, &[], "").await;
            assert_eq!(reply.status, 200, "{reply:?}");
            found.push(elements(&reply, "Name").join(" "));
            marker = elements(&reply, "NextMarker").concat();
            if marker.is_empty() {
                break;
            }
        }
        assert_eq!(found, pages, "{query}");
    }
    for (query, expected) in [
        ("&maxresults=0", "400 OutOfRangeQueryParameterValue"),
        ("&maxresults=x", "400 OutOfRangeQueryParameterValue"),
        ("&marker=nonsense", "400 OutOfRangeQueryParameterValue"),
        ("&include=uncommittedblobs", "400 InvalidQueryParameterValue"),
        ("&include=snapshots,versions", "200"),
    ] {
        let reply = blob(&me, "GET", &format!("/data?restype=container&comp=list{query}"), &[], "").await;
        assert_eq!(outcome(&reply), expected, "{query}");
    }
    let one = blob(&me, "GET", "/data?restype=container&comp=list&prefix=e&include=metadata", &[], "").await;
    let stable = text(&one).replace(elements(&one, "Etag")[0].as_str(), "ETAG");
    insta::assert_snapshot!(stable.trim_start_matches('\u{feff}').replace("><", ">\n<"), @r#"
    <?xml version="1.0" encoding="utf-8"?>
    <EnumerationResults ServiceEndpoint="https://labdata01.blob.core.windows.net/" ContainerName="data">
    <Prefix>e</Prefix>
    <Blobs>
    <Blob>
    <Name>e</Name>
    <Properties>
    <Creation-Time>Fri, 02 Jan 2026 03:05:11 GMT</Creation-Time>
    <Last-Modified>Fri, 02 Jan 2026 03:05:11 GMT</Last-Modified>
    <Etag>ETAG</Etag>
    <Content-Length>1</Content-Length>
    <Content-Type>application/octet-stream</Content-Type>
    <Content-MD5>ndTkYSaMgDT1yFZOFVxnpg==</Content-MD5>
    <BlobType>BlockBlob</BlobType>
    <AccessTier>Hot</AccessTier>
    <AccessTierInferred>true</AccessTierInferred>
    <LeaseStatus>unlocked</LeaseStatus>
    <LeaseState>available</LeaseState>
    <ServerEncrypted>true</ServerEncrypted>
    </Properties>
    <Metadata>
    </Metadata>
    </Blob>
    </Blobs>
    <NextMarker>
    </NextMarker>
    </EnumerationResults>
    "#);

    for name in ["alpha", "beta", "gamma"] {
        assert_eq!(
            blob(&me, "PUT", &format!("/{name}?restype=container"), &[("x-ms-meta-n", name)], "").await.status,
            201
        );
    }
    let first = blob(&me, "GET", "/?comp=list&maxresults=2&include=metadata", &[], "").await;
    assert_eq!(elements(&first, "Name"), ["alpha", "beta"]);
    assert_eq!(elements(&first, "n"), ["alpha", "beta"]);
    let marker = elements(&first, "NextMarker").concat();
    let second = blob(&me, "GET", &format!("/?comp=list&marker={marker}"), &[], "").await;
    assert_eq!(elements(&second, "Name"), ["data", "gamma"]);
    let empty = blob(&me, "GET", "/?comp=list&prefix=zzz", &[], "").await;
    assert!(text(&empty).contains("<Containers></Containers><NextMarker></NextMarker>"), "{}", text(&empty));
}

#[tokio::test]
async fn closed_networks() {
    let cloud = ready().await;
    let me = cloud.learner();
    let path = format!("{}{}", account_path(&cloud, "lab", "labdata01"), super::API);
    for properties in [
        serde_json::json!({ "publicNetworkAccess": "Disabled" }),
        serde_json::json!({ "publicNetworkAccess": "Enabled", "networkAcls": { "defaultAction": "Deny" } }),
    ] {
        let reply = me.arm("PATCH", &path, serde_json::json!({ "properties": properties })).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(outcome(&blob(&me, "GET", "/?comp=list", &[], "").await), "403 AuthorizationFailure");
    }
}
