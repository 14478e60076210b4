//! Purge protection: who demands it of the vault that holds a customer's key.

use std::fmt::Write as _;
use std::sync::{Mutex, Once, PoisonError};

use serde_json::json;
use tracing::field::Field;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::kit::{self, ENCRYPTION_USER, Lab, message, outcome};

impl Lab<'_> {
    async fn turn_protection_on(&self, vault: &str) {
        let body = json!({ "properties": { "enablePurgeProtection": true } });
        assert_eq!(self.ask("PATCH", vault, body).await.status, 200);
    }
}

#[tokio::test]
async fn storage_keys_are_purge_protected() {
    let cloud = kit::cloud().await;
    let lab = Lab::new(&cloud);
    let vault = lab.vault_id("openvault");
    let identity = lab.storage().await;
    lab.assign(ENCRYPTION_USER, &identity, &vault).await;
    let refused = lab.protect_storage("openvault", "cmk").await;
    assert_eq!(outcome(&refused), "400 KeyVaultPolicyError");
    assert_eq!(message(&refused), "Keyvault policy recoverable is not set");
    lab.turn_protection_on(&vault).await;
    assert_eq!(outcome(&lab.protect_storage("openvault", "cmk").await), "200");
}

#[tokio::test]
async fn ai_keys_are_purge_protected() {
    let cloud = kit::cloud().await;
    let lab = Lab::new(&cloud);
    let (vault, kid) = (lab.vault_id("openvault"), lab.kid("openvault", "cmk").await);
    let identity = lab.foundry().await;
    lab.assign(ENCRYPTION_USER, &identity, &vault).await;
    assert_eq!(outcome(&lab.protect_ai(&kid).await), "400 KeyVaultPolicyError");
    lab.turn_protection_on(&vault).await;
    assert_eq!(outcome(&lab.protect_ai(&kid).await), "200");
}

/// What was warned about keys of disk encryption sets, by all tests of this process.
static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Listener;

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN && metadata.target().ends_with("compute::sets::key")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = String::new();
        event.record(&mut |field: &Field, value: &dyn std::fmt::Debug| {
            let _ = write!(text, "{field}={value:?} ");
        });
        WARNINGS.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// How often a warning named a vault.
fn warnings(vault: &str) -> usize {
    static LISTEN: Once = Once::new();
    LISTEN.call_once(|| tracing::subscriber::set_global_default(Listener).unwrap());
    let warnings = WARNINGS.lock().unwrap_or_else(PoisonError::into_inner);
    warnings.iter().filter(|text| text.contains(vault)).count()
}

#[tokio::test]
async fn disk_sets_only_warn_of_purges() {
    let cloud = kit::cloud().await;
    let lab = Lab::new(&cloud);
    let (vault, kid) = (lab.vault_id("openvault"), lab.kid("openvault", "cmk").await);
    assert_eq!(warnings(&vault), 0);
    assert_eq!(outcome(&lab.ask_set(&kid).await), "202", "it is not refused");
    assert_eq!(warnings(&vault), 1);
    lab.turn_protection_on(&vault).await;
    assert_eq!(outcome(&lab.ask_set(&kid).await), "202");
    assert_eq!(warnings(&vault), 1, "nothing to warn of");
}
