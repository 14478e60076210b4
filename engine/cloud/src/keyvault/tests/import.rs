//! Import: published keys come in, sign and verify as published, and what is no key stays out.

use serde_json::{Value, json};

use super::{Lab, message, refusal};
use crate::testing;

/// RFC 7515, appendix A.2.1.
fn rsa() -> Value {
    json!({
        "kty": "RSA",
        "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
        "e": "AQAB",
        "d": "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ",
        "p": "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc",
        "q": "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc",
        "dp": "BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOKnu1R6HsJeDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0",
        "dq": "h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U0ajaHF-NKJnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU",
        "qi": "IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd_QJQ3ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp_gh6A5603k2-ZQwVK0JKSHuLFkuQ3U",
    })
}

/// RFC 7515, appendix A.3.1.
fn ec() -> Value {
    json!({
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
    })
}

fn changed(mut jwk: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        jwk[name] = value.clone();
    }
    jwk
}

#[tokio::test]
async fn published_keys_come_in_and_work_as_published() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    let tags = json!({ "from": "elsewhere" });
    let attributes = json!({ "enabled": true, "exp": 4_000_000_000i64 });
    let made = lab.data("PUT", "/keys/rsa", json!({ "key": rsa(), "tags": tags, "attributes": attributes })).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let jwk = &made.body["key"];
    assert_eq!((&jwk["n"], &jwk["e"], &jwk["kty"]), (&rsa()["n"], &rsa()["e"], &json!("RSA")));
    assert_eq!((&made.body["tags"], &made.body["attributes"]["exp"]), (&tags, &json!(4_000_000_000i64)));
    assert!(!made.body.to_string().contains(rsa()["d"].as_str().unwrap()));

    // The digest and the signature of RFC 7515, appendix A.2.1.
    let input = b"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let digest =
        base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, sealbook_crypto::sha256(input));
    let signed = lab.data("POST", "/keys/rsa/sign", json!({ "alg": "RS256", "value": digest })).await;
    assert_eq!(
        signed.body["value"],
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    );

    let made = lab.data("PUT", "/keys/ec", json!({ "key": ec(), "Hsm": true })).await;
    assert_eq!((made.status, &made.body["key"]["kty"]), (200, &json!("EC-HSM")), "{}", made.body);
    assert_eq!((&made.body["key"]["x"], &made.body["key"]["crv"]), (&ec()["x"], &json!("P-256")));
    let input = b"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let digest =
        base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, sealbook_crypto::sha256(input));
    let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let body = json!({ "alg": "ES256", "digest": digest, "value": signature });
    assert_eq!(lab.data("POST", "/keys/ec/verify", body).await.body, json!({ "value": true }));

    // A second import is a second version; key_ops come with the JSON Web Key.
    let again = changed(ec(), json!({ "key_ops": ["sign"] }));
    let again = lab.data("PUT", "/keys/ec", json!({ "key": again })).await;
    assert_eq!((&again.body["key"]["kty"], &again.body["key"]["key_ops"]), (&json!("EC"), &json!(["sign"])));
    let versions = lab.data("GET", "/keys/ec/versions", Value::Null).await.body;
    assert_eq!(versions["value"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn imports_that_azure_refuses_are_refused() {
    let premium_cloud = testing::cloud();
    let premium = Lab::with_vault(&premium_cloud, json!({})).await;
    let standard_cloud = testing::cloud();
    let standard = Lab::with_vault(&standard_cloud, json!({ "sku": { "family": "A", "name": "standard" } })).await;
    let key = |jwk: Value| json!({ "key": jwk });
    let swapped = json!({ "p": rsa()["q"], "q": rsa()["p"] });
    let hardware = "Hardware key operation not allowed on standard vault.";
    let rows = [
        (&premium, json!({}), "Property key is required."),
        (&premium, key(json!({ "kty": "oct", "k": "AAAA" })), "symmetric keys are for managed HSMs"),
        (&premium, key(json!({ "kty": "DSA" })), "Property kty has invalid value DSA"),
        (&premium, key(json!({})), "Property kty is required."),
        (&premium, key(changed(rsa(), json!({ "d": null }))), "Property d is required."),
        (&premium, key(changed(rsa(), json!({ "d": rsa()["n"] }))), "do not make up one valid key"),
        (&premium, key(changed(rsa(), swapped)), "do not make up one valid key"),
        (&premium, key(changed(rsa(), json!({ "n": "AQAB" }))), "2048, 3072 or 4096 bits"),
        (&premium, key(changed(rsa(), json!({ "n": "+" }))), "must be base64url"),
        (&premium, key(changed(ec(), json!({ "y": ec()["x"] }))), "do not make up one valid key"),
        (&premium, key(changed(ec(), json!({ "d": "AQ" }))), "do not make up one valid key"),
        (&premium, key(changed(ec(), json!({ "crv": "P-256K" }))), "do not make up one valid key"),
        (&premium, key(changed(ec(), json!({ "crv": null }))), "Property crv is required."),
        (&premium, key(changed(ec(), json!({ "crv": "P-224" }))), "curves are"),
        (&premium, key(changed(ec(), json!({ "key_ops": ["encrypt"] }))), "permits sign and verify"),
        (&premium, key(changed(rsa(), json!({ "kty": "RSA-HSM", "key_ops": ["import"] }))), "is made in the vault"),
        (&premium, json!({ "key": ec(), "Hsm": "yes" }), "must be true or false"),
        (&premium, json!({ "key": ec(), "attributes": { "exportable": true } }), "AKV.SKR.1004"),
        (&standard, json!({ "key": ec(), "Hsm": true }), hardware),
        (&standard, key(changed(rsa(), json!({ "kty": "RSA-HSM" }))), hardware),
    ];
    for (lab, body, expected) in rows {
        let reply = lab.data("PUT", "/keys/k", body.clone()).await;
        assert_eq!(refusal(&reply), (400, "BadParameter", ""), "{body}: {}", reply.body);
        assert!(message(&reply).contains(expected), "{body}: {}", message(&reply));
    }
    assert_eq!(premium.data("GET", "/keys", Value::Null).await.body["value"], json!([]));

    premium.key("k", json!({ "kty": "EC" })).await;
    premium.data("DELETE", "/keys/k", Value::Null).await;
    premium_cloud.advance(1);
    let taken = premium.data("PUT", "/keys/k", key(ec())).await;
    assert_eq!(refusal(&taken), (409, "Conflict", "ObjectIsDeletedButRecoverable"));
}
