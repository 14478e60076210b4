//! What taking a customer's key away does to disks, and that giving it back brings them back.

use serde_json::{Value, json};

use super::{CUSTOMER, DOUBLE, LINE, Lab};
use crate::testing;

#[tokio::test]
async fn a_disk_is_unreadable_while_its_key_is_away() {
    for kind in [CUSTOMER, DOUBLE] {
        let cloud = testing::cloud();
        let lab = Lab::new(&cloud).await;
        let role = lab.set("des", kind).await;
        lab.disk("os", "des").await;
        let url = lab.grant("disks/os", "Read").await.unwrap();
        assert_eq!(lab.line_at(&url).await, LINE, "{kind}");
        let unreadable = async |code: &str, at_url: &str| {
            assert_eq!(lab.line_at(&url).await, at_url, "{kind}");
            assert_eq!(lab.grant("disks/os", "Read").await.unwrap_err(), code, "{kind}");
            let new = lab.ask("PUT", "disks/new", lab.disk_body(lab.under("des"))).await;
            assert_eq!(new.code(), code, "{kind}: new disks fail meanwhile");
        };
        let kid = lab.kid().await;
        lab.enable(&kid, false).await;
        unreadable("KeyVaultKeyNotEnabled", "KeyVaultEncryptionKeyNotFound").await;
        lab.enable(&kid, true).await;
        assert_eq!(lab.line_at(&url).await, LINE, "{kind}: it is back");

        lab.key("DELETE", "/keys/cmk", Value::Null).await;
        cloud.advance(60);
        unreadable("KeyVaultKeyNotFound", "KeyVaultEncryptionKeyNotFound").await;
        lab.key("POST", "/deletedkeys/cmk/recover", Value::Null).await;
        cloud.advance(60);
        assert_eq!(lab.line_at(&url).await, LINE, "{kind}: it is back");

        lab.me.arm("DELETE", &role, Value::Null).await;
        cloud.advance(60);
        unreadable("KeyVaultAccessForbidden", "KeyVaultEncryptionKeyNotFound").await;
        let vault = lab.id("Microsoft.KeyVault/vaults", "labvault");
        let set = lab.ask("GET", "diskEncryptionSets/des", Value::Null).await.body;
        let principal = set["identity"]["principalId"].as_str().unwrap();
        lab.assign(super::ENCRYPTION_USER, principal, "ServicePrincipal", &vault).await;
        assert_eq!(lab.line_at(&url).await, LINE, "{kind}: it is back");

        assert_eq!(lab.me.arm("DELETE", &format!("{vault}?api-version=2023-07-01"), Value::Null).await.status, 200);
        unreadable("KeyVaultNotFound", "KeyVaultVaultNotFound").await;
    }
}

#[tokio::test]
async fn disks_under_platform_keys_need_no_vault() {
    let cloud = testing::cloud();
    let lab = Lab::with_set(&cloud).await;
    lab.done("PUT", "disks/plain", lab.disk_body(json!({}))).await;
    lab.enable(&lab.kid().await, false).await;
    assert_eq!(lab.first_line("disks/plain").await, LINE);
}

#[tokio::test]
async fn a_disk_moves_into_a_set_and_out_again() {
    let cloud = testing::cloud();
    let lab = Lab::with_set(&cloud).await;
    lab.done("PUT", "disks/os", lab.disk_body(json!({}))).await;
    let moved = lab.done("PATCH", "disks/os", json!({ "properties": lab.under("des") })).await;
    assert_eq!(moved["properties"]["encryption"]["type"], CUSTOMER, "{moved}");
    let kid = lab.kid().await;
    lab.enable(&kid, false).await;
    assert_eq!(lab.first_line("disks/os").await, "KeyVaultKeyNotEnabled");
    let out = json!({ "properties": { "encryption": { "type": "EncryptionAtRestWithPlatformKey" } } });
    let reply = lab.ask("PATCH", "disks/os", out.clone()).await;
    assert_eq!(reply.code(), "KeyVaultKeyNotEnabled", "leaving needs the key one last time");
    lab.enable(&kid, true).await;
    let out = lab.done("PATCH", "disks/os", out).await;
    assert_eq!(out["properties"]["encryption"], json!({ "type": "EncryptionAtRestWithPlatformKey" }));
    lab.enable(&kid, false).await;
    assert_eq!(lab.first_line("disks/os").await, LINE);
}

#[tokio::test]
async fn content_is_not_on_disk_in_the_clear_and_does_not_open_elsewhere() {
    let cloud = testing::cloud();
    let lab = Lab::with_set(&cloud).await;
    let one = lab.disk("one", "des").await;
    lab.disk("two", "des").await;
    let database = cloud.dir.path().join("cloud").join("cloud.db");
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    for file in ["cloud.db", "cloud.db-wal"] {
        let bytes = std::fs::read(database.with_file_name(file)).unwrap_or_default();
        for plain in ["platform image ", "conectix"] {
            assert!(!bytes.windows(plain.len()).any(|window| window == plain.as_bytes()), "{plain} in {file}");
        }
    }
    let chunks: i64 = connection.query_row("SELECT count(*) FROM volume_chunks", [], |row| row.get(0)).unwrap();
    assert_eq!((one["properties"]["diskSizeGB"].as_u64(), chunks), (Some(30), 4), "30 GiB of zeros cost nothing");
    connection
        .execute(
            "UPDATE volume_chunks SET bytes = (SELECT bytes FROM volume_chunks WHERE volume = 1 AND chunk = 0)
             WHERE volume = 2 AND chunk = 0",
            [],
        )
        .unwrap();
    assert_eq!(lab.first_line("disks/two").await, "InternalServerError");
}
