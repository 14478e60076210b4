//! More than one tenant: each has its people and its subscription, and nobody sees another's.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::testing::{self, Client, TestCloud};

/// Registers a provider and makes a group in the first tenant.
async fn prepare(cloud: &TestCloud, me: &Client<'_>, namespace: &str) -> String {
    let subscription = cloud.subscription();
    let register = format!("{subscription}/providers/{namespace}/register?api-version=2021-04-01");
    assert_eq!(me.arm("POST", &register, Value::Null).await.status, 200);
    cloud.advance(1);
    let group = format!("{subscription}/resourceGroups/lab");
    let made = me.arm("PUT", &format!("{group}?api-version=2024-11-01"), json!({ "location": "westeurope" })).await;
    assert!(made.status < 300, "{made:?}");
    group
}

#[tokio::test]
async fn each_tenant_has_its_own_people_and_subscription() {
    let cloud = testing::cloud();
    let other = cloud.cloud.add_tenant("Second").unwrap();
    let (me, you) = (cloud.learner(), cloud.stranger(&other));
    for (client, seed) in [(&me, &cloud.seed), (&you, &other)] {
        let found = client.arm("GET", "/subscriptions?api-version=2022-12-01", Value::Null).await;
        assert_eq!(found.body["value"].as_array().unwrap().len(), 1);
        assert_eq!(found.body["value"][0]["subscriptionId"], seed.subscription);
        assert_eq!(found.body["value"][0]["tenantId"], seed.tenant);
        let found = client.arm("GET", "/tenants?api-version=2022-12-01", Value::Null).await;
        assert_eq!(found.body["value"][0]["tenantId"], seed.tenant);
        let path = format!("/subscriptions/{}/resourceGroups/lab?api-version=2024-11-01", seed.subscription);
        assert_eq!(client.arm("PUT", &path, json!({ "location": "westus" })).await.status, 201);
        let found = client.send("GET", "https://graph.microsoft.com/v1.0/users", None).await;
        assert_eq!(found.body["value"].as_array().unwrap().len(), 1);
        assert_eq!(found.body["value"][0]["id"], seed.user_oid);
    }
    let uri = format!("https://graph.microsoft.com/v1.0/users/{}", cloud.seed.user_oid);
    assert_eq!(you.send("GET", &uri, None).await.status, 404);
    assert_eq!(cloud.cloud.seed().unwrap().tenant, cloud.seed.tenant, "the first tenant stays the seed");
    let tenants: Vec<String> = cloud.again().cloud.tenants().unwrap().into_iter().map(|t| t.tenant).collect();
    assert_eq!(tenants, [cloud.seed.tenant.clone(), other.tenant.clone()]);
}

#[tokio::test]
async fn registrations_are_per_subscription() {
    let cloud = testing::cloud();
    let other = cloud.cloud.add_tenant("Second").unwrap();
    let (me, you) = (cloud.learner(), cloud.stranger(&other));
    prepare(&cloud, &me, "Microsoft.KeyVault").await;
    let state = async |client: &Client<'_>, subscription: &str| {
        let path = format!("/subscriptions/{subscription}/providers/Microsoft.KeyVault?api-version=2021-04-01");
        client.arm("GET", &path, Value::Null).await.body["registrationState"].clone()
    };
    assert_eq!(state(&me, &cloud.seed.subscription).await, "Registered");
    assert_eq!(state(&you, &other.subscription).await, "NotRegistered");
}

#[tokio::test]
async fn resource_manager_refuses_tokens_of_another_tenant() {
    let cloud = testing::cloud();
    let other = cloud.cloud.add_tenant("Second").unwrap();
    let you = cloud.stranger(&other);
    for path in ["", "/resourceGroups", "/providers/Microsoft.KeyVault/vaults"] {
        let path = format!("{}{path}?api-version=2022-12-01", cloud.subscription());
        let refused = you.arm("GET", &path, Value::Null).await;
        assert_eq!((refused.status, refused.code()), (401, "InvalidAuthenticationTokenTenant"), "{path}");
        let message = refused.body["error"]["message"].as_str().unwrap();
        let start = format!(
            "The access token is from the wrong issuer 'https://sts.windows.net/{}/'. It must match the tenant \
             'https://sts.windows.net/{}/' associated with this subscription.",
            other.tenant, cloud.seed.tenant
        );
        assert!(message.starts_with(&start), "{message}");
        assert!(refused.header("www-authenticate").contains(&cloud.seed.tenant));
    }
    let nowhere = "/subscriptions/00000000-0000-0000-0000-000000000000?api-version=2022-12-01";
    assert_eq!(you.arm("GET", nowhere, Value::Null).await.code(), "SubscriptionNotFound");
}

#[tokio::test]
async fn vault_and_storage_refuse_tokens_of_another_tenant() {
    let cloud = testing::cloud();
    let other = cloud.cloud.add_tenant("Second").unwrap();
    let (me, you) = (cloud.learner(), cloud.stranger(&other));
    let group = prepare(&cloud, &me, "Microsoft.KeyVault").await;
    prepare(&cloud, &me, "Microsoft.Storage").await;
    let vault = format!("{group}/providers/Microsoft.KeyVault/vaults/tenant-vault-1?api-version=2023-07-01");
    let body = json!({ "location": "westeurope", "properties": {
        "tenantId": cloud.seed.tenant, "sku": { "family": "A", "name": "standard" }, "enableRbacAuthorization": true,
    } });
    let made = me.arm("PUT", &vault, body).await;
    assert!(made.status < 300, "{made:?}");
    let keys = "https://tenant-vault-1.vault.azure.net/keys?api-version=7.4";
    assert_eq!(me.send("GET", keys, None).await.status, 403, "the right tenant comes as far as the roles");
    let refused = you.send("GET", keys, None).await;
    assert_eq!((refused.status, refused.code()), (401, "Unauthorized"));
    assert!(refused.body["error"]["message"].as_str().unwrap().starts_with("AKV10032: Invalid issuer."));
    let challenge = refused.header("www-authenticate");
    assert!(challenge.contains(&format!("authorization=\"https://login.microsoftonline.com/{}\"", cloud.seed.tenant)));
    let probe = you.raw("GET", keys, &[], Bytes::new()).await.unwrap();
    assert!(probe.header("www-authenticate").contains(&cloud.seed.tenant), "the challenge names the vault's tenant");

    let account = format!("{group}/providers/Microsoft.Storage/storageAccounts/tenantacct1?api-version=2023-05-01");
    let body = json!({ "location": "westeurope", "kind": "StorageV2", "sku": { "name": "Standard_LRS" } });
    let made = me.arm("PUT", &account, body).await;
    assert!(made.status < 300, "{made:?}");
    cloud.advance(60);
    let list = "https://tenantacct1.blob.core.windows.net/?comp=list";
    let version = [("x-ms-version", "2023-11-03")];
    let refused = you.send_with("GET", list, &version, Bytes::new()).await.unwrap();
    assert_eq!(refused.status, 401, "{refused:?}");
    assert_eq!(refused.header("x-ms-error-code"), "InvalidAuthenticationInfo");
    assert!(refused.header("www-authenticate").contains(&cloud.seed.tenant));
    assert_ne!(me.send_with("GET", list, &version, Bytes::new()).await.unwrap().status, 401);
}

#[tokio::test]
async fn people_sign_in_to_their_own_tenant_only() {
    let cloud = testing::cloud();
    let other = cloud.cloud.add_tenant("Second").unwrap();
    let nobody = cloud.anonymous();
    let az = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";
    let ask = async |tenant: &str, pairs: &[(&str, &str)]| {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let uri = format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token");
        nobody.raw("POST", &uri, &[], form.into()).await.unwrap()
    };
    let scope = "https://management.azure.com/.default offline_access";
    let user = [
        ("grant_type", "password"),
        ("client_id", az),
        ("username", other.user.as_str()),
        ("password", other.password.expose()),
        ("scope", scope),
    ];
    let app = [
        ("grant_type", "client_credentials"),
        ("client_id", other.client_id.as_str()),
        ("client_secret", other.client_secret.expose()),
        ("scope", scope),
    ];
    for tenant in [other.tenant.as_str(), "organizations"] {
        assert_eq!(ask(tenant, &user).await.status, 200, "{tenant}");
    }
    assert_eq!(ask(&cloud.seed.tenant, &user).await.body["error_codes"][0], 50_034);
    assert_eq!(ask(&other.tenant, &app).await.status, 200);
    assert_eq!(ask(&cloud.seed.tenant, &app).await.body["error_codes"][0], 700_016);
    let signed_in = ask("organizations", &user).await;
    let refresh = [
        ("grant_type", "refresh_token"),
        ("client_id", az),
        ("refresh_token", signed_in.body["refresh_token"].as_str().unwrap()),
        ("scope", scope),
    ];
    assert_eq!(ask(&cloud.seed.tenant, &refresh).await.body["error_codes"][0], 50_020);
    assert_eq!(ask(&other.tenant, &refresh).await.status, 200);
    let keys = format!("https://login.microsoftonline.com/{}/v2.0/.well-known/openid-configuration", other.tenant);
    let found = nobody.raw("GET", &keys, &[], Bytes::new()).await.unwrap();
    assert_eq!(found.body["issuer"], format!("https://login.microsoftonline.com/{}/v2.0", other.tenant));
}

#[tokio::test]
async fn roles_do_not_reach_across_tenants() {
    let cloud = testing::cloud();
    let other = cloud.cloud.add_tenant("Second").unwrap();
    let me = cloud.learner();
    let scope = cloud.subscription();
    let reader =
        format!("{scope}/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7");
    let path = format!(
        "{scope}/providers/Microsoft.Authorization/roleAssignments/{}?api-version=2022-04-01",
        uuid::Uuid::new_v4()
    );
    let body = json!({ "properties": { "roleDefinitionId": reader, "principalId": other.user_oid } });
    let refused = me.arm("PUT", &path, body).await;
    assert_eq!((refused.status, refused.code()), (400, "PrincipalNotFound"), "the directory does not have them");
}
