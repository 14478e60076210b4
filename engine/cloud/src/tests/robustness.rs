//! Several handles on one file, reset, and what requests leave behind.

use serde_json::{Value, json};

use crate::testing;
use crate::{Cloud, CloudConfig, CloudError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_handles_share_one_cloud() {
    let first = testing::cloud();
    let second = first.again();
    assert_eq!(first.seed.tenant, second.seed.tenant);
    let (one, two) = (first.learner(), second.tools());
    let s = first.subscription();
    let put = async |client: &testing::Client<'_>, name: String| {
        let path = format!("{s}/resourceGroups/{name}?api-version=2024-11-01");
        client.arm("PUT", &path, json!({ "location": "westus" })).await.status
    };
    let requests = (0..20).flat_map(|i| {
        // Both write the same names: exactly one of each pair creates.
        [put(&one, format!("lab-{i}")), put(&two, format!("lab-{i}"))]
    });
    let statuses = futures::future::join_all(requests).await;
    assert_eq!(statuses.iter().filter(|s| **s == 201).count(), 20, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|s| **s == 200).count(), 20);
    let list = format!("{s}/resourceGroups?api-version=2024-11-01");
    for client in [&one, &two] {
        let found = client.arm("GET", &list, Value::Null).await;
        assert_eq!(found.body["value"].as_array().unwrap().len(), 20);
    }
}

/// POSIX ends a process' locks on a file when it closes any handle on it, so nothing but SQLite may open the database.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_database_stays_locked_while_it_is_open() {
    use std::os::unix::fs::MetadataExt as _;

    let dir = tempfile::tempdir().unwrap();
    let cloud = Cloud::open(CloudConfig::new(dir.path())).unwrap();
    let inode = std::fs::metadata(dir.path().join("cloud.db")).unwrap().ino();
    let locked = || {
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        locks.lines().any(|line| line.contains(&format!(":{inode} ")) && line.contains(&std::process::id().to_string()))
    };
    assert!(locked());
    let ask =
        || cloud.handle(http::Request::get("https://management.azure.com/tenants").body(Default::default()).unwrap());
    futures::future::join_all((0..16).map(|_| ask())).await;
    assert!(locked(), "after requests on several connections");
    drop(Cloud::open(CloudConfig::new(dir.path())).unwrap());
    assert!(locked(), "after another handle came and went");
}

#[test]
fn the_clock_stays_in_the_calendar() {
    let cloud = testing::cloud();
    let days = |n: u64| std::time::Duration::from_secs(n * 86_400);
    for far in [days(400_000), days(99_999_999), std::time::Duration::MAX] {
        assert!(matches!(cloud.cloud.advance(far), Err(CloudError::Clock { .. })), "{far:?}");
    }
    cloud.cloud.advance(days(300_000)).unwrap();
    cloud.cloud.inventory().unwrap();
    assert!(cloud.cloud.advance(days(300_000)).is_err());
}

#[tokio::test]
async fn credentials_in_the_wrong_place_are_not_logged() {
    let cloud = testing::cloud();
    let nobody = cloud.anonymous();
    for uri in [
        "https://login.microsoftonline.com/common/oauth2/v2.0/token?password=hunter2&client_secret=hunter2",
        "https://acct.blob.core.windows.net/c/b?a=1%3Bsig%3Dhunter2",
        "https://acct.blob.core.windows.net/c/b%3Fsig=hunter2",
        "https://acct.blob.core.windows.net/c/b?sv=1&SIG=hunter2",
        "https://management.azure.com/x?u=https%3A%2F%2Fa%2Fb%3Fsig%3Dhunter2",
    ] {
        nobody.raw("GET", uri, &[], Default::default()).await.unwrap();
    }
    let log = cloud.cloud.requests(0).unwrap();
    assert_eq!(log.len(), 5);
    assert!(!format!("{log:?}").contains("hunter2"), "{log:?}");
}

#[test]
fn what_is_due_has_happened_when_one_looks() {
    let cloud = testing::cloud();
    let before = cloud.cloud.inventory().unwrap().len();
    cloud.cloud.advance(std::time::Duration::from_secs(3600)).unwrap();
    assert_eq!(cloud.cloud.inventory().unwrap().len(), before);
}

#[test]
fn many_processes_may_make_the_cloud_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let tenants: Vec<String> = std::thread::scope(|scope| {
        let open = || Cloud::open(CloudConfig::new(dir.path().join("cloud"))).unwrap().seed().unwrap().tenant;
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(tenants.iter().all(|t| *t == tenants[0]), "{tenants:?}");
}

#[test]
fn newer_format_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    Cloud::open(CloudConfig::new(dir.path())).unwrap();
    let file = rusqlite::Connection::open(dir.path().join("cloud.db")).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    drop(file);
    let error = Cloud::open(CloudConfig::new(dir.path())).unwrap_err();
    assert!(matches!(error, CloudError::Newer { found: 99, .. }), "{error}");
}

#[tokio::test]
async fn reset_reaches_every_handle() {
    let first = testing::cloud();
    let second = first.again();
    let me = first.learner();
    let path = format!("{}/resourceGroups/lab?api-version=2024-11-01", first.subscription());
    me.arm("PUT", &path, json!({ "location": "westus" })).await;
    second.cloud.reset().unwrap();
    assert_ne!(first.cloud.seed().unwrap().tenant, first.seed.tenant);
    assert_eq!(me.arm("GET", &path, Value::Null).await.status, 401, "the old token is worth nothing");
}

#[tokio::test]
async fn answers_carry_ids_and_the_log_names_the_operation() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let correlation = "12345678-1234-1234-1234-123456789abc";
    let uri = "https://management.azure.com/tenants?api-version=2022-12-01";
    let reply =
        me.send_with("GET", uri, &[("x-ms-correlation-request-id", correlation)], bytes::Bytes::new()).await.unwrap();
    assert_eq!(reply.header("x-ms-correlation-request-id"), correlation);
    assert_eq!(reply.header("x-ms-request-id").len(), 36);
    assert_eq!(reply.header("date"), "Fri, 02 Jan 2026 03:04:05 GMT");
    let line = cloud.cloud.requests(0).unwrap().pop().unwrap();
    assert_eq!((line.operation.as_str(), line.status), ("Tenants_List", 200));
    assert_eq!(line.caller.as_deref(), Some(cloud.seed.user_oid.as_str()));
    assert_eq!(line.correlation, correlation);
}

#[cfg(unix)]
#[test]
fn secrets_are_sealed_and_files_private() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("cloud");
    let cloud = Cloud::open(CloudConfig::new(&home)).unwrap();
    let seed = cloud.seed().unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&home), 0o700);
    for file in ["cloud.key", "cloud.db", "cloud.db-wal", "cloud.db-shm"] {
        assert_eq!(mode(&home.join(file)), 0o600, "{file}");
    }
    for file in std::fs::read_dir(&home).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        for secret in [seed.password.expose(), seed.client_secret.expose()] {
            let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
            assert!(!found, "{} holds a secret in clear", path.display());
        }
    }
    assert!(!format!("{cloud:?} {seed:?}").contains(seed.password.expose()));
}
