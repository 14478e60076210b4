use std::collections::BTreeMap;

use bytes::Bytes;
use sealbook_azure::Kind;

use crate::script::{Reply, Script, answer};

const CONTAINER: &str = "https://acc1.blob.core.windows.net/data";
const BLOB: &str = "https://acc1.blob.core.windows.net/data/2026/sealed.bin";

fn marks() -> BTreeMap<String, String> {
    BTreeMap::from([("sealbookrun".to_owned(), "7f3".to_owned())])
}

fn blob(method: &str, reply: Reply) -> (String, Reply) {
    (format!("{method} {BLOB}"), reply)
}

fn container(method: &str, reply: Reply) -> (String, Reply) {
    (format!("{method} {CONTAINER}?restype=container"), reply)
}

fn refused(status: u16, code: &str) -> Reply {
    answer(status, &[("x-ms-error-code", code), ("x-ms-request-id", "r-1")], "")
}

#[tokio::test]
async fn blobs_are_written_with_marks_and_a_digest() {
    let script = Script::new([
        blob("PUT", answer(201, &[("etag", "\"0x1\""), ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")], "")),
        blob("PUT", refused(409, "BlobAlreadyExists")),
    ]);
    let blobs = script.azure().blobs();
    let content = Bytes::from_static(b"sealed");
    let put = blobs.put(BLOB, content.clone(), "application/octet-stream", &marks()).await.unwrap();
    insta::assert_snapshot!(put, @r#"{"uri":"https://acc1.blob.core.windows.net/data/2026/sealed.bin","bytes":6,"content_type":"application/octet-stream","etag":"\"0x1\"","last_modified":"Thu, 01 Jan 2026 00:00:00 GMT","metadata":{"sealbookrun":"7f3","sealbooksha256":"c9d0036bed6744bcdf692fc980d8717d7e5f5a4f4e8266b4a84982602fb1cd09"},"sha256":"c9d0036bed6744bcdf692fc980d8717d7e5f5a4f4e8266b4a84982602fb1cd09"}"#);
    let seen = &script.seen()[0];
    assert_eq!(seen.body, content);
    assert_eq!(seen.header("x-ms-blob-type"), Some("BlockBlob"));
    assert_eq!(seen.header("x-ms-blob-content-type"), Some("application/octet-stream"));
    assert_eq!(seen.header("x-ms-meta-sealbookrun"), Some("7f3"));
    assert_eq!(seen.header("x-ms-meta-sealbooksha256"), put["sha256"].as_str());
    assert_eq!(seen.header("if-none-match"), None);
    let tokens = script.token_requests();
    assert!(String::from_utf8_lossy(&tokens[0].body).contains("scope=https%3A%2F%2Fstorage.azure.com%2F.default"));

    let error = blobs.put_new(BLOB, content, "text/plain", &marks()).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (Kind::Conflict, "BlobAlreadyExists"));
    assert_eq!(script.seen()[1].header("if-none-match"), Some("*"));
    script.finished();
}

#[tokio::test]
async fn properties_are_read_of_blobs_and_containers() {
    let headers = [
        ("content-length", "6"),
        ("content-type", "text/plain"),
        ("etag", "\"0x1\""),
        ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("x-ms-meta-sealbookrun", "7f3"),
        ("x-ms-meta-sealbooksha256", "ab"),
    ];
    let script = Script::new([
        blob("HEAD", answer(200, &headers, "")),
        container("GET", answer(200, &[("etag", "\"0x2\""), ("x-ms-meta-sealbookrun", "7f3")], "")),
        blob("HEAD", refused(404, "BlobNotFound")),
        container("GET", refused(404, "ContainerNotFound")),
        blob("HEAD", refused(403, "KeyVaultEncryptionKeyNotFound")),
    ]);
    let blobs = script.azure().blobs();
    insta::assert_snapshot!(blobs.head(BLOB).await.unwrap().unwrap(), @r#"{"uri":"https://acc1.blob.core.windows.net/data/2026/sealed.bin","bytes":6,"content_type":"text/plain","etag":"\"0x1\"","last_modified":"Thu, 01 Jan 2026 00:00:00 GMT","metadata":{"sealbookrun":"7f3","sealbooksha256":"ab"},"sha256":"ab"}"#);
    insta::assert_snapshot!(blobs.head(CONTAINER).await.unwrap().unwrap(), @r#"{"uri":"https://acc1.blob.core.windows.net/data","etag":"\"0x2\"","last_modified":null,"metadata":{"sealbookrun":"7f3"}}"#);
    assert_eq!(blobs.head(BLOB).await.unwrap(), None);
    assert_eq!(blobs.head(CONTAINER).await.unwrap(), None);
    let error = blobs.head(BLOB).await.unwrap_err();
    assert_eq!((error.status, error.code.as_str()), (403, "KeyVaultEncryptionKeyNotFound"));
    assert!(!error.is_role_missing());
    script.finished();
}

#[tokio::test]
async fn containers_are_made_once_and_deleted() {
    let script = Script::new([
        container("PUT", answer(201, &[], "")),
        container("PUT", refused(409, "ContainerAlreadyExists")),
        container("PUT", refused(409, "ContainerBeingDeleted")),
        container("DELETE", answer(202, &[], "")),
        blob("DELETE", answer(202, &[], "")),
        blob("DELETE", refused(404, "BlobNotFound")),
    ]);
    let blobs = script.azure().blobs();
    assert!(blobs.create_container(CONTAINER, &marks()).await.unwrap());
    assert!(!blobs.create_container(CONTAINER, &marks()).await.unwrap());
    assert!(blobs.create_container(CONTAINER, &marks()).await.unwrap_err().is_transient());
    assert!(blobs.delete(CONTAINER).await.unwrap());
    assert!(blobs.delete(BLOB).await.unwrap());
    assert!(!blobs.delete(BLOB).await.unwrap());
    let seen = script.seen();
    assert_eq!(seen[0].header("x-ms-meta-sealbookrun"), Some("7f3"));
    assert_eq!(seen[0].header("x-ms-blob-public-access"), None);
    assert_eq!(seen[4].header("x-ms-delete-snapshots"), Some("include"));
    script.finished();
}

/// 20 MiB come in three ranges, all of the version that the first one showed; one of them is lost on its way.
#[tokio::test(start_paused = true)]
async fn large_blobs_come_in_ranges() {
    use std::sync::{Arc, Mutex};
    const SIZE: usize = 20 << 20;
    #[derive(Debug)]
    struct Storage {
        seen: Mutex<Vec<(String, Option<String>)>>,
        login: Arc<Script>,
    }
    #[async_trait::async_trait]
    impl sealbook_azure::HttpSend for Storage {
        async fn send(
            &self,
            request: http::Request<Bytes>,
        ) -> Result<http::Response<Bytes>, sealbook_azure::TransportError> {
            if request.uri().host() == Some("login.microsoftonline.com") {
                return self.login.send(request).await;
            }
            let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            let range = header("range").or_else(|| header("x-ms-range")).unwrap();
            let first = {
                let mut seen = self.seen.lock().unwrap();
                let first = !seen.iter().any(|(before, _)| *before == range);
                seen.push((range.clone(), header("if-match")));
                first
            };
            let (from, to) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
            let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse::<usize>().unwrap().min(SIZE - 1));
            if from > 0 && first {
                return Err(sealbook_azure::TransportError::Lost { host: "acc1".into(), why: "reset".into() });
            }
            let body: Vec<u8> = (from..=to).map(|at| (at >> 16) as u8).collect();
            let answer = http::Response::builder()
                .status(206)
                .header("etag", "\"0x1\"")
                .header("content-length", body.len())
                .header("content-range", format!("bytes {from}-{to}/{SIZE}"));
            Ok(answer.body(body.into()).unwrap())
        }
    }
    let storage = Arc::new(Storage { seen: Mutex::default(), login: Script::new([]) });
    let transport = sealbook_azure::Transport::Injected(Arc::clone(&storage) as Arc<dyn sealbook_azure::HttpSend>);
    let azure = Script::new([]).azure_with(|settings| settings.transport = transport);
    let content = azure.blobs().get(BLOB, SIZE).await.unwrap();
    assert_eq!(content.len(), SIZE);
    assert!(content.iter().enumerate().all(|(at, byte)| *byte == (at >> 16) as u8));
    let mut seen = storage.seen.lock().unwrap().clone();
    seen.sort();
    let range = |from: usize| format!("bytes={}-{}", from << 20, ((from + 8).min(20) << 20) - 1);
    let etag = Some("\"0x1\"".to_owned());
    let expected = [
        (range(0), None),
        (range(16), etag.clone()),
        (range(16), etag.clone()),
        (range(8), etag.clone()),
        (range(8), etag),
    ];
    assert_eq!(seen, expected);
}

/// Blocks that are lost are sent again: they count only when the list names them. The list is a write like any other.
#[tokio::test(start_paused = true)]
async fn large_blobs_go_in_blocks() {
    use std::sync::{Arc, Mutex};
    #[derive(Debug)]
    struct Storage {
        blocks: Mutex<Vec<(String, usize)>>,
        list: Mutex<String>,
        login: Arc<Script>,
    }
    #[async_trait::async_trait]
    impl sealbook_azure::HttpSend for Storage {
        async fn send(
            &self,
            request: http::Request<Bytes>,
        ) -> Result<http::Response<Bytes>, sealbook_azure::TransportError> {
            if request.uri().host() == Some("login.microsoftonline.com") {
                return self.login.send(request).await;
            }
            let query = request.uri().query().unwrap().to_owned();
            if query.contains("comp=blocklist") {
                *self.list.lock().unwrap() = String::from_utf8(request.body().to_vec()).unwrap();
                let lost = sealbook_azure::TransportError::Lost { host: "acc1".into(), why: "reset".into() };
                return Err(lost);
            }
            let mut blocks = self.blocks.lock().unwrap();
            let first = !blocks.iter().any(|(before, _)| *before == query);
            blocks.push((query, request.body().len()));
            if first {
                return Err(sealbook_azure::TransportError::Lost { host: "acc1".into(), why: "reset".into() });
            }
            Ok(http::Response::builder().status(201).body(Bytes::new()).unwrap())
        }
    }
    let storage = Arc::new(Storage { blocks: Mutex::default(), list: Mutex::default(), login: Script::new([]) });
    let transport = sealbook_azure::Transport::Injected(Arc::clone(&storage) as Arc<dyn sealbook_azure::HttpSend>);
    let azure = Script::new([]).azure_with(|settings| settings.transport = transport);
    let error = azure.blobs().put(BLOB, Bytes::from(vec![1; 10 << 20]), "a/b", &marks()).await.unwrap_err();
    assert_eq!((error.kind, error.outcome_unknown()), (Kind::Connection, true));
    let mut sizes: Vec<usize> = storage.blocks.lock().unwrap().iter().map(|(_, size)| *size).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [2 << 20, 2 << 20, 8 << 20, 8 << 20]);
    assert_eq!(storage.list.lock().unwrap().matches("<Latest>").count(), 2);
}

#[tokio::test]
async fn other_uris_and_metadata_never_leave() {
    let script = Script::new([]);
    let blobs = script.azure().blobs();
    for uri in ["https://evil.example/data/a", "https://acc1.blob.core.windows.net/data/../a"] {
        let errors = [
            blobs.head(uri).await.unwrap_err(),
            blobs.get(uri, 1).await.unwrap_err(),
            blobs.delete(uri).await.unwrap_err(),
            blobs.put(uri, Bytes::new(), "a/b", &marks()).await.unwrap_err(),
        ];
        assert!(errors.iter().all(|error| error.code == "InvalidBlobUri"), "{uri}");
    }
    assert_eq!(blobs.get(CONTAINER, 1).await.unwrap_err().code, "InvalidBlobUri");
    assert_eq!(blobs.create_container(BLOB, &marks()).await.unwrap_err().code, "InvalidBlobUri");
    for (name, value) in [("1a", "x"), ("a-b", "x"), ("", "x"), ("a", "x\r\ny: z"), ("a", "é")] {
        let metadata = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let error = blobs.put(BLOB, Bytes::new(), "a/b", &metadata).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (Kind::BadRequest, "InvalidMetadata"), "{name:?}");
    }
    assert!(script.seen().is_empty());
}
