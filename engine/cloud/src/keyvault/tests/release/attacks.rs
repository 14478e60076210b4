//! Attacks on release: one row each, all of them against a key that an honest environment gets.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealbook_crypto::rsa::{RsaBits, RsaKey};
use serde_json::{Value, json};

use super::super::{CRYPTO_USER, Lab, OFFICER, READER, data, message, oid, refusal};
use super::kit::{self, ISSUER, OTHER, TEE, claims, claims_with, exportable, open, policy, runtime_key, signed, token};
use crate::attestation::issuers;
use crate::testing::{Reply, START, TestCloud};

const UNVERIFIED: &str = "Target environment attestation statement cannot be verified.";
const UNMET: &str = "Target environment attestation does not meet key release policy requirements.";
const RUNTIME: &str = "/x-ms-runtime/keys";

fn encoded(document: &Value) -> String {
    URL_SAFE_NO_PAD.encode(document.to_string())
}

/// The parts of a token.
fn parts(token: &str) -> [String; 3] {
    let mut parts = token.split('.').map(str::to_owned);
    std::array::from_fn(|_| parts.next().unwrap())
}

fn header(token: &str) -> Value {
    serde_json::from_slice(&kit::part(token, 0)).unwrap()
}

/// A token under another header, with its old signature.
fn under(token: &str, changes: Value) -> String {
    let [_, payload, signature] = parts(token);
    let mut header = header(token);
    header.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    format!("{}.{payload}.{signature}", encoded(&header))
}

/// Claims signed by a key of the attacker's own.
fn forged(header: &Value, claims: &Value, key: &RsaKey) -> String {
    let signed = format!("{}.{}", encoded(header), encoded(claims));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(key.sign_rs256(signed.as_bytes())))
}

/// A modulus of 1024 bits, which no library here would make a key of.
fn short_key() -> Value {
    let mut key = runtime_key(&TEE);
    let modulus = URL_SAFE_NO_PAD.decode(key["n"].as_str().unwrap()).unwrap();
    key["n"] = URL_SAFE_NO_PAD.encode(&modulus[..128]).into();
    key
}

fn with(key: &Value, member: &str, value: Value) -> Value {
    let mut key = key.clone();
    key[member] = value;
    json!([key])
}

/// Name of the attack, the token, the message, what decided.
type Row = (&'static str, String, &'static str, &'static str);

fn tokens(cloud: &TestCloud) -> Vec<Row> {
    let honest = token(cloud, &claims());
    let mine = RsaKey::generate(RsaBits::B2048);
    let changed = |changes: &[(&str, Value)]| token(cloud, &claims_with(changes));
    let [head, payload, signature] = parts(&honest);
    let tampered = encoded(&claims_with(&[("/secureboot", json!(false))]));
    let (key, jwks) = (runtime_key(&TEE), cloud.within(|cx| issuers::jwks(cx, ISSUER).unwrap().unwrap()));
    let published = jwks["keys"][0]["x5c"][0].as_str().unwrap().to_owned();
    let der = base64::engine::general_purpose::STANDARD.decode(&published).unwrap();
    let confused = |secret: &[u8]| {
        let mut header = header(&honest);
        header["alg"] = json!("HS256");
        let signed = format!("{}.{payload}", encoded(&header));
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(sealbook_crypto::hmac_sha256(secret, signed.as_bytes())))
    };
    let lured = json!({ "alg": "RS256", "typ": "JWT", "kid": "mine", "jku": "https://evil.example/certs" });
    let twice = claims().to_string().replacen('{', "{\"iss\":\"https://evil.example\",", 1);
    let twice = format!("{head}.{}.{signature}", URL_SAFE_NO_PAD.encode(twice));
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let bomb = claims().to_string().replacen('{', &format!("{{\"bomb\":{},", nested(10_000)), 1);
    let bomb = format!("{head}.{}.{signature}", URL_SAFE_NO_PAD.encode(bomb));
    let tee = "/x-ms-isolation-tee";
    let isolated = |name: &str, value: Value| token(cloud, &{
        let mut claims = claims();
        claims["x-ms-isolation-tee"][name] = value;
        claims
    });
    vec![
        ("expired", changed(&[("/exp", json!(START - 301))]), UNVERIFIED, "token.times"),
        ("not yet valid", changed(&[("/nbf", json!(START + 301))]), UNVERIFIED, "token.times"),
        ("without an end", changed(&[("/exp", Value::Null)]), UNVERIFIED, "token.times"),
        ("with an end in words", changed(&[("/exp", json!("never"))]), UNVERIFIED, "token.times"),
        ("of a provider that the policy does not name", changed(&[("/iss", json!(OTHER))]), UNVERIFIED, "token.issuer"),
        ("with another issuer in another's name", signed(cloud, ISSUER, &claims_with(&[("/iss", json!(OTHER))])), UNVERIFIED, "token.issuer"),
        ("of an issuer with a slash too many", signed(cloud, ISSUER, &claims_with(&[("/iss", json!(format!("{ISSUER}/")))])), UNVERIFIED, "token.issuer"),
        ("of an issuer in capitals", signed(cloud, ISSUER, &claims_with(&[("/iss", json!(ISSUER.to_uppercase()))])), UNVERIFIED, "token.issuer"),
        ("without an issuer", signed(cloud, ISSUER, &claims_with(&[("/iss", Value::Null)])), UNVERIFIED, "token.format"),
        ("signed by another provider", signed(cloud, OTHER, &claims()), UNVERIFIED, "token.key"),
        ("signed by another provider under the right key id", under(&signed(cloud, OTHER, &claims()), json!({ "kid": header(&honest)["kid"] })), UNVERIFIED, "token."),
        ("signed by the attacker", forged(&header(&honest), &claims(), &mine), UNVERIFIED, "token.signature"),
        ("that brings its own key set", forged(&lured, &claims(), &mine), UNVERIFIED, "token."),
        ("that brings its own key", forged(&json!({ "alg": "RS256", "jwk": runtime_key(&mine) }), &claims(), &mine), UNVERIFIED, "token."),
        ("without a signature", format!("{head}.{payload}."), UNVERIFIED, "token."),
        ("with algorithm none", under(&honest, json!({ "alg": "none" })), UNVERIFIED, "token.algorithm"),
        ("with algorithm none and no signature", format!("{}.{payload}.", encoded(&json!({ "alg": "none", "typ": "JWT" }))), UNVERIFIED, "token."),
        ("with algorithm None", under(&honest, json!({ "alg": "None" })), UNVERIFIED, "token.algorithm"),
        ("as HMAC under the published certificate", confused(published.as_bytes()), UNVERIFIED, "token.algorithm"),
        ("as HMAC under the certificate's bytes", confused(&der), UNVERIFIED, "token.algorithm"),
        ("changed after it was signed", format!("{head}.{tampered}.{signature}"), UNVERIFIED, "token.signature"),
        ("that names its issuer twice", twice, UNVERIFIED, "token."),
        ("as deep as a bomb", bomb, UNVERIFIED, "token.format"),
        ("that is no token", "x".to_owned(), UNVERIFIED, "token.format"),
        ("of dots", "..".to_owned(), UNVERIFIED, "token.format"),
        ("of other things", "☃.é.\u{0}".to_owned(), UNVERIFIED, "token.format"),
        ("in five parts", format!("{honest}.AAAA.AAAA"), UNVERIFIED, "token.format"),
        ("of 70 KB", changed(&[("/padding", json!("x".repeat(70_000)))]), UNVERIFIED, "token.format"),
        ("of 5 MB", "A".repeat(5_000_000), UNVERIFIED, "token.format"),
        ("without runtime data", changed(&[("/x-ms-runtime", Value::Null)]), UNVERIFIED, "release.key"),
        ("without a key", changed(&[(RUNTIME, json!([]))]), UNVERIFIED, "release.key"),
        ("with a key for signatures", changed(&[(RUNTIME, with(&key, "key_ops", json!(["sign"])))]), UNVERIFIED, "release.key"),
        ("with a key without a name", changed(&[(RUNTIME, with(&key, "kid", Value::Null))]), UNVERIFIED, "release.key"),
        ("with a symmetric key", changed(&[(RUNTIME, with(&key, "kty", json!("oct")))]), UNVERIFIED, "release.key"),
        ("with a key of 1024 bits", changed(&[(RUNTIME, json!([short_key()]))]), UNVERIFIED, "release.key"),
        ("with the exponent 1", changed(&[(RUNTIME, with(&key, "e", json!("AQ")))]), UNVERIFIED, "release.key"),
        ("of a machine that is debugged", isolated("x-ms-sevsnpvm-is-debuggable", json!(true)), UNMET, "release.policy"),
        ("of another kind of machine", isolated("x-ms-attestation-type", json!("tdxvm")), UNMET, "release.policy"),
        ("of a machine that does not comply", isolated("x-ms-compliance-status", json!("azure-compliant-uvm")), UNMET, "release.policy"),
        ("with its claims a level higher", token(cloud, &{
            let mut claims = claims();
            let nested = claims.pointer(tee).unwrap().clone();
            claims.as_object_mut().unwrap().extend(nested.as_object().unwrap().clone());
            claims["x-ms-isolation-tee"] = Value::Null;
            claims
        }), UNMET, "release.policy"),
        ("without the claims", changed(&[(tee, Value::Null)]), UNMET, "release.policy"),
    ]
}

fn reason(reply: &Reply) -> &str {
    reply.header("x-sealbook-reason")
}

#[tokio::test]
async fn no_token_gets_a_key_that_it_should_not() {
    let cloud = kit::cloud().await;
    let lab = Lab::again(&cloud);
    let rows = tokens(&cloud);
    assert!(rows.len() >= 40, "{}", rows.len());
    for (attack, target, expected, decided) in rows {
        let reply = lab.data("POST", "/keys/kek/release", json!({ "target": target })).await;
        assert_eq!(refusal(&reply), (403, "Forbidden", "AccessDenied"), "{attack}: {}", reply.body);
        assert_eq!(message(&reply), expected, "{attack}: {}", reason(&reply));
        assert!(reason(&reply).starts_with(decided), "{attack}: {}", reason(&reply));
    }
    let honest = lab.data("POST", "/keys/kek/release", json!({ "target": token(&cloud, &claims()) })).await;
    open(&cloud, "lab-vault.vault.azure.net", &honest);
}

/// Whoever steals a token gets the key wrapped for somebody else.
#[tokio::test]
async fn a_stolen_token_opens_nothing() {
    let cloud = kit::cloud().await;
    let lab = Lab::again(&cloud);
    let release = json!({ "target": token(&cloud, &claims()) });
    let thief = RsaKey::generate(RsaBits::B2048);
    let opened = open(&cloud, "lab-vault.vault.azure.net", &lab.data("POST", "/keys/kek/release", release).await);
    assert!(opened.material(&thief).is_none());
    assert!(opened.material(&TEE).is_some());
}

/// A provider that trusted nobody can be asked of: because it does not exist here, or not any longer.
#[tokio::test]
async fn a_policy_may_name_whom_it_likes_but_keys_must_be_published() {
    let cloud = kit::cloud().await;
    let lab = Lab::again(&cloud);
    lab.arm("POST", &lab.in_subscription("providers/Microsoft.Attestation/register"), json!({})).await;
    cloud.advance(60);
    let provider = lab.in_subscription("resourceGroups/lab/providers/Microsoft.Attestation/attestationProviders/mine");
    let provider = format!("{provider}?api-version=2021-06-01");
    let body = json!({ "location": "westeurope", "properties": {} });
    assert_eq!(lab.me.arm("PUT", &provider, body).await.status, 201);
    let trusting = |issuer: &str| {
        let mut policy = policy();
        policy["anyOf"][0]["authority"] = json!(issuer);
        policy
    };
    let own = "https://mine.weu.attest.azure.net";
    lab.key("own", exportable("RSA-HSM", &trusting(own))).await;
    let ask = async |key: &str, target: String| {
        lab.data("POST", &format!("/keys/{key}/release"), json!({ "target": target })).await
    };
    let target = token(&cloud, &claims_with(&[("/iss", json!(own))]));
    assert_eq!(ask("own", target.clone()).await.status, 200, "a customer's own provider");
    assert_eq!(lab.me.arm("DELETE", &provider, Value::Null).await.status, 200);
    let gone = ask("own", target).await;
    assert_eq!((message(&gone), reason(&gone)), (UNVERIFIED, format!("token.issuer: {own} publishes no signing keys").as_str()));

    let evil = "https://evil.example";
    lab.key("lured", exportable("RSA-HSM", &trusting(evil))).await;
    let mine = RsaKey::generate(RsaBits::B2048);
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": "mine", "jku": format!("{evil}/certs") });
    let reply = ask("lured", forged(&header, &claims_with(&[("/iss", json!(evil))]), &mine)).await;
    assert_eq!((reply.status, message(&reply)), (403, UNVERIFIED));
    assert!(reason(&reply).ends_with("publishes no signing keys"), "{}", reason(&reply));
}

#[tokio::test]
async fn requests_that_ask_for_no_release_are_refused() {
    let cloud = kit::cloud().await;
    let lab = Lab::again(&cloud);
    let target = token(&cloud, &claims());
    let rows = [
        (json!({}), "Property target is required."),
        (json!({ "target": "" }), "Property target is required."),
        (json!({ "target": 7 }), "Property target is required."),
        (json!([target]), "The request body must be a JSON object."),
        (json!({ "target": target, "enc": "RSA_AES_KEY_WRAP_512" }), "Property enc has invalid value"),
        (json!({ "target": target, "enc": "ckm_rsa_aes_key_wrap" }), "Property enc has invalid value"),
        (json!({ "target": target, "enc": ["CKM_RSA_AES_KEY_WRAP"] }), "Property enc has invalid value"),
        (json!({ "target": target, "nonce": { "a": 1 } }), "Property nonce has invalid value"),
    ];
    for (body, expected) in rows {
        let reply = lab.data("POST", "/keys/kek/release", body.clone()).await;
        assert_eq!(refusal(&reply), (400, "BadParameter", ""), "{body}");
        assert!(message(&reply).starts_with(expected), "{body}: {}", message(&reply));
    }
    let uri = "https://lab-vault.vault.azure.net/keys/kek/release?api-version=7.1";
    let old = lab.me.send("POST", uri, Some(json!({ "target": target }))).await;
    assert_eq!((old.status, old.code()), (400, "BadParameter"), "an api-version without it");
}

#[tokio::test]
async fn who_may_not_release_learns_nothing_of_the_token() {
    let cloud = kit::cloud().await;
    let lab = Lab::again(&cloud);
    let tools = cloud.tools();
    let principal = oid(&tools).await;
    let scope = lab.vault_id("lab-vault");
    let targets = [token(&cloud, &claims()), "no token".to_owned()];
    for role in [None, Some(CRYPTO_USER), Some(READER)] {
        if let Some(role) = role {
            lab.assign(role, &principal, "ServicePrincipal", &scope).await;
        }
        for target in &targets {
            let reply = data(&tools, "POST", "/keys/kek/release", json!({ "target": target })).await;
            assert_eq!(refusal(&reply), (403, "Forbidden", "ForbiddenByRbac"), "{role:?}");
            assert!(message(&reply).contains("'Microsoft.KeyVault/vaults/keys/release/action'"), "{}", message(&reply));
            assert_eq!(reason(&reply), "");
        }
    }
    lab.assign(OFFICER, &principal, "ServicePrincipal", &scope).await;
    assert_eq!(data(&tools, "POST", "/keys/kek/release", json!({ "target": targets[0] })).await.status, 200);
    let anonymous = cloud.anonymous();
    let reply = data(&anonymous, "POST", "/keys/kek/release", json!({ "target": targets[0] })).await;
    assert_eq!(reply.status, 401);
}
