//! Tokens: what Entra answers, and what every service refuses.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sealbook_crypto::rsa::{RsaBits, RsaKey};
use serde_json::{Value, json};

use crate::testing::{self, START};

const SUBSCRIPTIONS: &str = "https://management.azure.com/subscriptions?api-version=2022-12-01";

fn parts(token: &str) -> (Value, Value, String) {
    let mut parts = token.split('.');
    let mut read =
        || -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts.next().unwrap()).unwrap()).unwrap() };
    let (header, claims) = (read(), read());
    (header, claims, parts.next().unwrap().to_owned())
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[tokio::test]
async fn user_signs_in_as_az_does() {
    let cloud = testing::cloud();
    let nobody = cloud.anonymous();
    let host = "https://login.microsoftonline.com";
    let get = async |path: String| nobody.raw("GET", &format!("{host}{path}"), &[], Bytes::new()).await.unwrap();
    let discovery = get("/organizations/v2.0/.well-known/openid-configuration".into()).await;
    assert_eq!(discovery.body["issuer"], "https://login.microsoftonline.com/{tenantid}/v2.0");
    assert_eq!(discovery.body["token_endpoint"], format!("{host}/organizations/oauth2/v2.0/token"));
    let realm = get(format!("/common/userrealm/{}?api-version=1.0", cloud.seed.user)).await;
    assert_eq!(realm.body["account_type"], "Managed");
    assert_eq!(realm.body["cloud_audience_urn"], "urn:federation:MicrosoftOnline");
    let az = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";
    let post = async |pairs: &[(&str, &str)]| {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        nobody.raw("POST", &format!("{host}/organizations/oauth2/v2.0/token"), &[], form.into()).await.unwrap()
    };
    let scope = "https://management.core.windows.net//.default offline_access openid profile";
    let signed_in = post(&[
        ("grant_type", "password"),
        ("client_id", az),
        ("client_info", "1"),
        ("username", &cloud.seed.user),
        ("password", cloud.seed.password.expose()),
        ("scope", scope),
    ])
    .await;
    assert_eq!(signed_in.status, 200, "{signed_in:?}");
    let (header, claims, _) = parts(signed_in.body["access_token"].as_str().unwrap());
    assert_eq!(header["alg"], "RS256");
    assert_eq!(claims["aud"], "https://management.core.windows.net/");
    assert_eq!(claims["iss"], format!("https://sts.windows.net/{}/", cloud.seed.tenant));
    assert_eq!(claims["oid"], cloud.seed.user_oid);
    assert_eq!(claims["upn"], cloud.seed.user);
    assert_eq!(claims["idtyp"], "user");
    assert_eq!(claims["exp"], START + 3_599);
    let (_, id, _) = parts(signed_in.body["id_token"].as_str().unwrap());
    assert_eq!(id["aud"], az);
    assert_eq!(id["preferred_username"], cloud.seed.user);
    let info = URL_SAFE_NO_PAD.decode(signed_in.body["client_info"].as_str().unwrap()).unwrap();
    let info: Value = serde_json::from_slice(&info).unwrap();
    assert_eq!(info, json!({ "uid": cloud.seed.user_oid, "utid": cloud.seed.tenant }));
    let refreshed = post(&[
        ("grant_type", "refresh_token"),
        ("client_id", az),
        ("refresh_token", signed_in.body["refresh_token"].as_str().unwrap()),
        ("scope", "https://graph.microsoft.com/.default"),
    ])
    .await;
    let bearer = format!("Bearer {}", refreshed.body["access_token"].as_str().unwrap());
    let me = nobody
        .raw("GET", "https://graph.microsoft.com/v1.0/me", &[("authorization", &bearer)], Bytes::new())
        .await
        .unwrap();
    assert_eq!(me.body["id"], cloud.seed.user_oid);
}

#[tokio::test]
async fn published_keys_verify_tokens() {
    let cloud = testing::cloud();
    let token = cloud.tools().token("https://vault.azure.net").await;
    let (header, claims, signature) = parts(&token);
    assert_eq!((&claims["idtyp"], &claims["appidacr"]), (&json!("app"), &json!("1")));
    let uri = format!("https://login.microsoftonline.com/{}/discovery/v2.0/keys", cloud.seed.tenant);
    let keys = cloud.anonymous().raw("GET", &uri, &[], Bytes::new()).await.unwrap().body;
    let key = keys["keys"].as_array().unwrap().iter().find(|k| k["kid"] == header["kid"]).unwrap();
    let part = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
    let public = sealbook_crypto::rsa::RsaPublic { n: part("n"), e: part("e") };
    let signed = token.rsplit_once('.').unwrap().0;
    public.verify_rs256(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
}

#[tokio::test]
async fn sign_in_is_refused_with_entras_codes() {
    let cloud = testing::cloud();
    let seed = &cloud.seed;
    let az = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";
    let scope = "https://management.azure.com/.default";
    let tenant = seed.tenant.as_str();
    /// Tenant, form, status, error, AADSTS number.
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], u16, &'a str, u32);
    let table: &[Case<'_>] = &[
        (
            tenant,
            &[
                ("grant_type", "client_credentials"),
                ("client_id", &seed.client_id),
                ("client_secret", "x"),
                ("scope", scope),
            ],
            401,
            "invalid_client",
            7_000_215,
        ),
        (
            tenant,
            &[("grant_type", "client_credentials"), ("client_id", az), ("client_secret", "x"), ("scope", scope)],
            400,
            "unauthorized_client",
            700_016,
        ),
        (
            tenant,
            &[
                ("grant_type", "password"),
                ("client_id", az),
                ("username", &seed.user),
                ("password", "x"),
                ("scope", scope),
            ],
            400,
            "invalid_grant",
            50_126,
        ),
        (
            tenant,
            &[
                ("grant_type", "password"),
                ("client_id", az),
                ("username", "a@b.c"),
                ("password", "x"),
                ("scope", scope),
            ],
            400,
            "invalid_grant",
            50_034,
        ),
        ("no-tenant", &[("grant_type", "password"), ("client_id", az)], 400, "invalid_request", 90_002),
        (tenant, &[("client_id", az), ("scope", scope)], 400, "invalid_request", 900_144),
        (
            tenant,
            &[("grant_type", "refresh_token"), ("client_id", az), ("refresh_token", "x"), ("scope", scope)],
            400,
            "invalid_grant",
            70_000,
        ),
        (
            tenant,
            &[
                ("grant_type", "client_credentials"),
                ("client_id", &seed.client_id),
                ("client_secret", seed.client_secret.expose()),
                ("scope", "https://nobody.example/.default"),
            ],
            400,
            "invalid_resource",
            500_011,
        ),
    ];
    for (tenant, form, status, error, number) in table {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(*form).finish();
        let uri = format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token");
        let reply = cloud.anonymous().raw("POST", &uri, &[], form.into()).await.unwrap();
        assert_eq!(
            (reply.status, &reply.body["error"], &reply.body["error_codes"][0]),
            (*status, &json!(error), &json!(number)),
            "{reply:?}"
        );
    }
}

#[tokio::test]
async fn bad_tokens_are_refused() {
    let cloud = testing::cloud();
    let client = cloud.tools();
    let good = client.token("https://management.azure.com").await;
    let vault = client.token("https://vault.azure.net").await;
    let (header, claims, signature) = parts(&good);
    let with =
        |header: &Value, claims: &Value, signature: &str| format!("{}.{}.{signature}", encode(header), encode(claims));
    let forged = |claims: &Value| {
        let input = format!("{}.{}", encode(&header), encode(claims));
        let signature = RsaKey::generate(RsaBits::B2048).sign_rs256(input.as_bytes());
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    };
    let mut none = header.clone();
    none["alg"] = "none".into();
    let mut hmac = header.clone();
    hmac["alg"] = "HS256".into();
    let mut other = claims.clone();
    other["oid"] = cloud.seed.user_oid.clone().into();
    let table = [
        ("alg none", with(&none, &claims, ""), "InvalidAuthenticationToken"),
        ("alg none keeping the signature", with(&none, &claims, &signature), "InvalidAuthenticationToken"),
        ("alg HS256", with(&hmac, &claims, &signature), "InvalidAuthenticationToken"),
        ("changed claims", with(&header, &other, &signature), "InvalidAuthenticationToken"),
        ("another key", forged(&claims), "InvalidAuthenticationToken"),
        ("not a token", "abc".to_owned(), "InvalidAuthenticationToken"),
        ("another audience", vault, "InvalidAuthenticationTokenAudience"),
        ("good", good, ""),
    ];
    for (name, token, code) in table {
        let bearer = format!("Bearer {token}");
        let reply = client.raw("GET", SUBSCRIPTIONS, &[("authorization", &bearer)], Bytes::new()).await.unwrap();
        assert_eq!(reply.code(), code, "{name}");
        assert_eq!(reply.status, if code.is_empty() { 200 } else { 401 }, "{name}");
        if !code.is_empty() {
            assert!(reply.header("www-authenticate").contains(&cloud.seed.tenant), "{name}");
        }
    }
    let reply = cloud.anonymous().raw("GET", SUBSCRIPTIONS, &[], Bytes::new()).await.unwrap();
    assert_eq!((reply.status, reply.code()), (401, "AuthenticationFailed"));
}

#[tokio::test]
async fn token_of_another_tenant_is_refused() {
    let (here, there) = (testing::cloud(), testing::cloud());
    let bearer = format!("Bearer {}", there.tools().token("https://management.azure.com").await);
    let reply = here.anonymous().raw("GET", SUBSCRIPTIONS, &[("authorization", &bearer)], Bytes::new()).await.unwrap();
    assert_eq!(reply.status, 401);
}

#[tokio::test]
async fn tokens_live_on_the_wall_clock() {
    let cloud = testing::cloud();
    let client = cloud.tools();
    let bearer = format!("Bearer {}", client.token("https://management.azure.com").await);
    let ask = async || {
        let headers = [("authorization", bearer.as_str())];
        client.raw("GET", SUBSCRIPTIONS, &headers, Bytes::new()).await.unwrap()
    };
    cloud.advance(90 * 86_400);
    assert_eq!(ask().await.status, 200, "the cloud clock does not expire tokens");
    cloud.advance_wall(3_600 + 299);
    assert_eq!(ask().await.status, 200, "five minutes of skew are granted");
    cloud.advance_wall(2);
    let reply = ask().await;
    assert_eq!((reply.status, reply.code()), (401, "ExpiredAuthenticationToken"));
    cloud.advance_wall(-8_000);
    assert_eq!(ask().await.code(), "InvalidAuthenticationToken", "not yet valid");
}

#[tokio::test]
async fn metadata_endpoint_serves_only_the_machines_identities() {
    let cloud = testing::cloud();
    let uri = "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net";
    let ask = async |identities: Vec<String>, metadata: bool| {
        let mut request = http::Request::get(uri).body(Bytes::new()).unwrap();
        if metadata {
            request.headers_mut().insert("metadata", "true".parse().unwrap());
        }
        request.extensions_mut().insert(crate::MachineIdentities(identities));
        let response = cloud.cloud.handle(request).await.unwrap();
        let status = response.status().as_u16();
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        (status, body)
    };
    // Any principal will do to show the rules.
    let held = vec![cloud.seed.client_oid.clone()];
    let (status, body) = ask(held.clone(), true).await;
    assert_eq!(status, 200, "{body}");
    let (_, claims, _) = parts(body["access_token"].as_str().unwrap());
    assert_eq!((&claims["oid"], &claims["aud"]), (&json!(held[0]), &json!("https://vault.azure.net")));
    assert_eq!(claims["appidacr"], "2");
    assert_eq!(ask(held, false).await.1["error_description"], "Required metadata header not specified");
    assert_eq!(ask(Vec::new(), true).await.1["error_description"], "Identity not found");
}

#[tokio::test]
async fn graph_finds_principals() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let app = &cloud.seed.client_id;
    let uri = format!(
        "https://graph.microsoft.com/v1.0/servicePrincipals?$filter=servicePrincipalNames/any(c:c%20eq%20'{app}')"
    );
    let found = me.send("GET", &uri, None).await;
    assert_eq!(found.body["value"][0]["id"], cloud.seed.client_oid, "{found:?}");
    let ids = json!({ "ids": [cloud.seed.user_oid, "00000000-0000-0000-0000-000000000000"] });
    let found = me.send("POST", "https://graph.microsoft.com/v1.0/directoryObjects/getByIds", Some(ids)).await;
    assert_eq!(found.body["value"].as_array().unwrap().len(), 1);
    assert_eq!(found.body["value"][0]["@odata.type"], "#microsoft.graph.user");
    let missing = me.send("GET", "https://graph.microsoft.com/v1.0/users/nobody@x", None).await;
    assert_eq!((missing.status, missing.code()), (404, "Request_ResourceNotFound"));
    let app_me = cloud.tools().send("GET", "https://graph.microsoft.com/v1.0/me", None).await;
    assert_eq!(app_me.status, 400);
}

#[tokio::test]
async fn graph_filters_as_the_command_line_asks_and_refuses_the_rest() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let (app, oid) = (cloud.seed.client_id.as_str(), cloud.seed.client_oid.as_str());
    let ask = async |set: &str, option: &str, value: &str| {
        let query: String = form_urlencoded::Serializer::new(String::new()).append_pair(option, value).finish();
        me.send("GET", &format!("https://graph.microsoft.com/v1.0/{set}?{query}"), None).await
    };
    let table = [
        ("servicePrincipals", format!("appId eq '{app}'"), 1),
        ("servicePrincipals", format!("servicePrincipalNames/any(c:c eq '{app}')"), 1),
        ("servicePrincipals", "displayName eq 'sealbook-tools'".to_owned(), 1),
        ("servicePrincipals", "startswith(displayName,'Seal')".to_owned(), 1),
        ("servicePrincipals", "startswith(displayName,'other')".to_owned(), 0),
        ("users", format!("userPrincipalName eq '{}'", cloud.seed.user), 1),
        ("users", "startswith(displayName,'Lea')".to_owned(), 1),
    ];
    for (set, filter, count) in table {
        let found = ask(set, "$filter", &filter).await;
        assert_eq!(found.body["value"].as_array().map(Vec::len), Some(count), "{filter}: {found:?}");
    }
    for (option, value) in [
        ("$filter", "city eq 'x'"),
        ("$filter", "displayName eq 'a' or displayName eq 'b'"),
        ("$filter", "endswith(displayName,'x')"),
        ("$expand", "owners"),
        ("$search", "\"displayName:x\""),
    ] {
        let refused = ask("servicePrincipals", option, value).await;
        assert_eq!((refused.status, refused.code()), (400, "Request_UnsupportedQuery"), "{option}={value}");
        assert!(!refused.header("x-sealbook-gap").is_empty(), "{option}={value}");
    }
    let one = ask(&format!("servicePrincipals/{oid}"), "$select", "id,appId").await;
    assert_eq!((&one.body["appId"], &one.body["displayName"]), (&json!(app), &Value::Null));
    let keyed = ask(&format!("servicePrincipals(appId='{app}')"), "$select", "id").await;
    assert_eq!(keyed.body["id"], oid);
    let unknown = ask("planets", "$select", "id").await;
    assert_eq!((unknown.status, unknown.code()), (400, "BadRequest"));
    assert!(!unknown.header("x-sealbook-gap").is_empty());
}

#[tokio::test]
async fn graph_gets_objects_by_ids_and_types() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let uri = "https://graph.microsoft.com/v1.0/directoryObjects/getByIds";
    let ids = json!([cloud.seed.user_oid, cloud.seed.client_oid]);
    let table = [
        (json!(["user", "group", "servicePrincipal", "directoryObjectPartnerReference"]), 2),
        (json!(["user"]), 1),
        (json!(["servicePrincipal"]), 1),
        (json!(["group"]), 0),
        (json!(["directoryObject"]), 2),
        (json!([]), 2),
    ];
    for (types, count) in table {
        let body = json!({ "ids": ids, "types": types });
        let found = me.send("POST", uri, Some(body)).await;
        assert_eq!(found.body["value"].as_array().map(Vec::len), Some(count), "{types}");
    }
    for body in [json!({}), json!({ "ids": "x" }), json!({ "ids": [1] }), json!({ "ids": [], "types": ["planet"] })] {
        let refused = me.send("POST", uri, Some(body.clone())).await;
        assert_eq!((refused.status, refused.code()), (400, "Request_BadRequest"), "{body}");
    }
}

#[tokio::test]
async fn discovery_documents_name_the_endpoints_of_both_versions() {
    let cloud = testing::cloud();
    let (nobody, tenant) = (cloud.anonymous(), &cloud.seed.tenant);
    let get = async |path: &str| {
        nobody.raw("GET", &format!("https://login.microsoftonline.com/{path}"), &[], Bytes::new()).await.unwrap().body
    };
    let first = get(&format!("{tenant}/.well-known/openid-configuration")).await;
    assert_eq!(first["issuer"], format!("https://sts.windows.net/{tenant}/"));
    assert_eq!(first["token_endpoint"], format!("https://login.microsoftonline.com/{tenant}/oauth2/token"));
    let keys = get(&format!("{tenant}/discovery/keys")).await;
    assert!(keys["keys"].as_array().is_some_and(|keys| !keys.is_empty()), "{keys}");
    let authority = "https://login.microsoftonline.com/common/oauth2/v2.0/authorize";
    let instance = get(&format!("common/discovery/instance?api-version=1.1&authorization_endpoint={authority}")).await;
    assert!(instance["tenant_discovery_endpoint"].is_string(), "{instance}");
}

#[tokio::test]
async fn the_first_token_endpoint_takes_resources() {
    let cloud = testing::cloud();
    let ask = async |secret: &str| {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", &cloud.seed.client_id)
            .append_pair("client_secret", secret)
            .append_pair("resource", "https://management.azure.com/")
            .finish();
        let uri = format!("https://login.microsoftonline.com/{}/oauth2/token", cloud.seed.tenant);
        cloud.anonymous().raw("POST", &uri, &[], form.into()).await.unwrap()
    };
    let token = ask(cloud.seed.client_secret.expose()).await.body;
    let (_, claims, _) = parts(token["access_token"].as_str().unwrap_or_else(|| panic!("{token}")));
    assert_eq!((&claims["ver"], &claims["oid"]), (&json!("1.0"), &json!(cloud.seed.client_oid)));
    assert_eq!(ask("wrong").await.status, 401);
}

#[tokio::test]
async fn graph_gets_one_object() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let get = async |path: &str| me.send("GET", &format!("https://graph.microsoft.com/v1.0/{path}"), None).await;
    for path in [format!("users/{}", cloud.seed.user), format!("users/{}", cloud.seed.user_oid)] {
        assert_eq!(get(&path).await.body["id"], cloud.seed.user_oid, "{path}");
    }
    let object = get(&format!("directoryObjects/{}", cloud.seed.client_oid)).await;
    assert_eq!(object.body["@odata.type"], "#microsoft.graph.servicePrincipal");
    assert_eq!(get("directoryObjects/00000000-0000-0000-0000-000000000000").await.status, 404);
}
