//! Which keys fit a service.

use serde_json::{Value, json};

use super::kit::{self, ENCRYPTION_USER, Lab, message, outcome};
use crate::testing::TestCloud;

#[tokio::test]
async fn disk_sets_are_in_the_region_of_their_vault() {
    let cloud = kit::cloud().await;
    let lab = Lab::new(&cloud);
    let (far, near) = (lab.kid("farvault", "cmk").await, lab.kid("labvault01", "cmk").await);
    let refused = lab.ask_set(&far).await;
    assert_eq!(outcome(&refused), "400 InvalidParameter");
    assert!(message(&refused).contains("must be in one region"), "{refused:?}");
    assert_eq!(outcome(&lab.ask_set(&near).await), "202");
}

#[tokio::test]
async fn disk_sets_name_a_key_version() {
    let cloud = kit::cloud().await;
    let lab = Lab::new(&cloud);
    let kid = lab.kid("labvault01", "cmk").await;
    let versionless = kid.rsplit_once('/').unwrap().0;
    for url in [versionless.to_owned(), format!("{versionless}/")] {
        assert_eq!(outcome(&lab.ask_set(&url).await), "400 InvalidParameter", "{url}");
    }
    assert_eq!(outcome(&lab.ask_set(&kid).await), "202");
}

/// A lab with an account, whose identity may use all keys of the group.
async fn foundry(cloud: &TestCloud) -> Lab<'_> {
    let lab = Lab::new(cloud);
    let identity = lab.foundry().await;
    lab.assign(ENCRYPTION_USER, &identity, &lab.here()).await;
    lab
}

const INVALID: &str = "400 InvalidResourceProperties";

#[tokio::test]
async fn ai_keys_have_2048_bits() {
    let cloud = kit::cloud().await;
    let lab = foundry(&cloud).await;
    let other = lab.rsa("labvault01", "other", 3072).await;
    let refused = lab.protect_ai(&other).await;
    assert_eq!(outcome(&refused), INVALID);
    assert!(message(&refused).contains("2048 bits"), "{refused:?}");
    let fits = lab.kid("labvault01", "cmk").await;
    assert_eq!(outcome(&lab.protect_ai(&fits).await), "200");
}

#[tokio::test]
async fn ai_keys_are_in_the_region() {
    let cloud = kit::cloud().await;
    let lab = foundry(&cloud).await;
    let (far, near) = (lab.kid("farvault", "cmk").await, lab.kid("labvault01", "cmk").await);
    let refused = lab.protect_ai(&far).await;
    assert_eq!(outcome(&refused), INVALID);
    assert!(message(&refused).contains("same region"), "{refused:?}");
    assert_eq!(outcome(&lab.protect_ai(&near).await), "200");
}

#[tokio::test]
async fn ai_accounts_do_not_go_back() {
    let cloud = kit::cloud().await;
    let lab = foundry(&cloud).await;
    let microsofts = json!({ "keySource": "Microsoft.CognitiveServices" });
    assert_eq!(outcome(&lab.encrypt_ai(microsofts.clone()).await), "200", "where it is from the start");
    let kid = lab.kid("labvault01", "cmk").await;
    assert_eq!(outcome(&lab.protect_ai(&kid).await), "200");
    let refused = lab.encrypt_ai(microsofts).await;
    assert_eq!(outcome(&refused), INVALID);
    assert!(message(&refused).contains("can't go back"), "{refused:?}");
    let shown = lab.ask("GET", &lab.id("CognitiveServices/accounts/foundry"), Value::Null).await;
    assert_eq!(shown.body["properties"]["encryption"]["keySource"], "Microsoft.KeyVault");
}
