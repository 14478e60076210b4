//! What lies on the disk.

use super::{account, allow_blobs, blob, lab, outcome, text, upload};

const SECRET: &str = "the recipe of the house: 4f1c0de5";

/// Whether any file of the cloud's folder holds the bytes.
fn on_disk(cloud: &crate::testing::TestCloud, needle: &[u8]) -> bool {
    let files = std::fs::read_dir(cloud.dir.path().join("cloud")).unwrap();
    files
        .map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .any(|bytes| bytes.windows(needle.len()).any(|window| window == needle))
}

#[tokio::test]
async fn content_and_metadata_are_not_on_disk() {
    let cloud = lab().await;
    account(&cloud).await;
    allow_blobs(&cloud).await;
    let me = cloud.learner();
    assert_eq!(blob(&me, "PUT", "/data?restype=container", &[], "").await.status, 201);
    let put = [("x-ms-blob-type", "BlockBlob"), ("x-ms-meta-secret", SECRET), ("x-ms-blob-content-type", "text/x-lab")];
    assert_eq!(blob(&me, "PUT", "/data/one", &put, SECRET).await.status, 201);
    assert_eq!(blob(&me, "PUT", "/data/two?comp=block&blockid=QQ==", &[], SECRET).await.status, 201);
    let read = blob(&me, "GET", "/data/one", &[], "").await;
    assert_eq!((text(&read), read.header("x-ms-meta-secret")), (SECRET, SECRET));
    // Properties are in clear, so the search does find what is there.
    assert!(on_disk(&cloud, b"text/x-lab"));
    assert!(!on_disk(&cloud, SECRET.as_bytes()));
}

/// Bytes that are moved, cut or taken from another account's past do not open.
#[tokio::test]
async fn changed_rows_do_not_open() {
    // What each change does to rows that unique indexes guard takes a detour.
    for change in [
        "UPDATE storage_chunks SET chunk = 9 WHERE block = 1 AND chunk = 0;
         UPDATE storage_chunks SET chunk = 0 WHERE block = 1 AND chunk = 1;
         UPDATE storage_chunks SET chunk = 1 WHERE block = 1 AND chunk = 9",
        "UPDATE storage_chunks SET block = 9 WHERE block = 1;
         UPDATE storage_chunks SET block = 1 WHERE block = 2",
        "UPDATE storage_chunks SET bytes = zeroblob(length(bytes)) WHERE block = 1",
        "DELETE FROM storage_chunks WHERE block = 1 AND chunk = 1",
        "UPDATE storage_blobs SET manifest = (SELECT manifest FROM storage_blobs WHERE name = 'two') WHERE name = 'one'",
        "UPDATE storage_blobs SET metadata = (SELECT metadata FROM storage_blobs WHERE name = 'two') WHERE name = 'one'",
        "UPDATE storage_blobs SET name = 'x' WHERE name = 'one';
         UPDATE storage_blobs SET name = 'one' WHERE name = 'two'",
        "UPDATE storage_accounts SET uid = '00000000000000000000000000000000'",
        "UPDATE storage_containers SET uid = '00000000000000000000000000000000'",
    ] {
        let cloud = lab().await;
        account(&cloud).await;
        allow_blobs(&cloud).await;
        let me = cloud.learner();
        assert_eq!(blob(&me, "PUT", "/data?restype=container", &[], "").await.status, 201);
        let bytes = vec![7; (2 << 20) + 1];
        assert_eq!(upload(&me, "/data/one", bytes.clone()).await.status, 201);
        assert_eq!(upload(&me, "/data/two", bytes.clone()).await.status, 201);
        assert_eq!(blob(&me, "GET", "/data/one", &[], "").await.bytes, bytes);

        let file = cloud.dir.path().join("cloud").join("cloud.db");
        let database = rusqlite::Connection::open(file).unwrap();
        database.execute_batch(change).unwrap();
        let reply = blob(&me, "GET", "/data/one", &[], "").await;
        assert_eq!(outcome(&reply), "500 InternalServerError", "{change}");
    }
}
