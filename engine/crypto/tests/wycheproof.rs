//! The vectors of C2SP Wycheproof (not part of this repository): key wrap, RSA-OAEP, AES-GCM, Cobblestone-256.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "../../../tests/support/shared.rs"]
mod support;

use miniz_oxide::inflate::decompress_to_vec_zlib;
use sealbook_crypto::aes::{AesKey, Sealed};
use sealbook_crypto::rsa::{Padding, RsaKey};
use sealbook_crypto::sealed::{ContentKey, Kek, KekFile, SealedError, Wrap, cobblestone};
use sealbook_crypto::{AesKek, Hash, KeyWrapError, SecretBytes};
use serde_json::Value;

/// A test and the group that it stands in.
type Visit<'a> = &'a mut dyn FnMut(&Value, &Value);

/// Shows each vector of a file to `judge`; `None` where the vectors are missing.
fn each(file: &str, judge: Visit<'_>) -> Option<()> {
    let text = std::fs::read(support::shared("evidence/wycheproof")?.join(file)).unwrap();
    let vectors: Value = serde_json::from_slice(&text).unwrap();
    let mut seen = 0;
    for group in vectors["testGroups"].as_array().unwrap() {
        for test in group["tests"].as_array().unwrap() {
            judge(group, test);
            seen += 1;
        }
    }
    assert_eq!(vectors["numberOfTests"], seen, "{file}");
    Some(())
}

fn bytes(test: &Value, field: &str) -> Vec<u8> {
    hex::decode(test[field].as_str().unwrap_or_else(|| panic!("no {field} in {test}"))).unwrap()
}

fn flagged(test: &Value, flag: &str) -> bool {
    test["flags"].as_array().unwrap().iter().any(|f| f == flag)
}

#[test]
fn cobblestone_256() {
    let mut valid = 0;
    let done = each("c2sp_chunked_encryption_aes_256_gcm_test.json", &mut |_, test| {
        let id = &test["tcId"];
        let key = SecretBytes::new(bytes(test, "key"));
        let sealed = decompress_to_vec_zlib(&bytes(test, "ct")).unwrap();
        let mut plain = Vec::new();
        let opened = cobblestone::open(&sealed[..], &mut plain, &key, &bytes(test, "ctx"));
        if test["result"] == "valid" {
            valid += 1;
            assert_eq!(opened.unwrap(), test["msgLength"], "{id}");
            assert_eq!(Hash::Sha512.digest(&plain).as_bytes(), bytes(test, "msgSha512"), "{id}");
            assert_eq!(cobblestone::sealed_length(plain.len() as u64), Some(sealed.len() as u64), "{id}");
            assert_eq!(cobblestone::plaintext_length(sealed.len() as u64).unwrap(), plain.len() as u64, "{id}");
            return;
        }
        let error = opened.expect_err(&test.to_string());
        // What is written is verified: a beginning of the message, no longer than what is valid of it.
        assert!(plain.len() as u64 <= test["msgLength"].as_u64().unwrap_or(0), "{id}: {error}");
        if plain.len() as u64 == test["msgLength"] {
            assert_eq!(Hash::Sha512.digest(&plain).as_bytes(), bytes(test, "msgSha512"), "{id}");
        }
        let named = if flagged(test, "InvalidKeySize") {
            matches!(error, SealedError::KeyLength(31 | 33))
        } else if flagged(test, "HeaderFailure") && flagged(test, "Truncation") {
            matches!(error, SealedError::Truncated)
        } else if flagged(test, "HeaderFailure") {
            matches!(error, SealedError::Commitment)
        } else {
            matches!(error, SealedError::Chunk(_) | SealedError::Truncated)
        };
        assert!(named, "{id} {}: {error:?}", test["comment"]);
    });
    assert!(done.is_none() || valid == 10);
}

#[test]
fn aes_key_wrap() {
    let kek = |test: &Value| AesKek::new(bytes(test, "key").into()).unwrap();
    each("testvectors_v1/aes_wrap_test.json", &mut |_, test| {
        let (kek, message, wrapped) = (kek(test), bytes(test, "msg"), bytes(test, "ct"));
        if test["result"] == "valid" {
            assert_eq!(kek.wrap(&message).unwrap(), wrapped, "{test}");
            assert_eq!(kek.unwrap(&wrapped).unwrap().expose(), message, "{test}");
        } else {
            // Also what is merely acceptable: keys of 8 bytes, which RFC 3394 does not take.
            assert_eq!(kek.unwrap(&wrapped).unwrap_err(), KeyWrapError::Unwrap, "{test}");
        }
    });
    each("testvectors_v1/aes_kwp_test.json", &mut |_, test| {
        let (kek, message, wrapped) = (kek(test), bytes(test, "msg"), bytes(test, "ct"));
        if test["result"] == "valid" {
            assert_eq!(kek.wrap_padded(&message).unwrap(), wrapped, "{test}");
            assert_eq!(kek.unwrap_padded(&wrapped).unwrap().expose(), message, "{test}");
        } else {
            assert_eq!(kek.unwrap_padded(&wrapped).unwrap_err(), KeyWrapError::Unwrap, "{test}");
        }
    });
}

#[test]
fn aes_key_wrap_of_the_rfcs() {
    let Some(folder) = support::shared("evidence/rfc-vectors") else { return };
    let text = std::fs::read(folder.join("aes-kw-kwp.json")).unwrap();
    let vectors: Value = serde_json::from_slice(&text).unwrap();
    for vector in vectors.as_array().unwrap() {
        let (plain, wrapped) = (bytes(vector, "plaintext"), bytes(vector, "ciphertext"));
        let kek = AesKek::new(bytes(vector, "kek").into()).unwrap();
        let (made, back) = match vector["kwp"] == true {
            true => (kek.wrap_padded(&plain), kek.unwrap_padded(&wrapped)),
            false => (kek.wrap(&plain), kek.unwrap(&wrapped)),
        };
        assert_eq!((made.unwrap(), back.unwrap().expose()), (wrapped, &plain[..]), "{}", vector["name"]);
    }
}

#[test]
fn rsa_oaep() {
    let files = [
        ("testvectors_v1/rsa_oaep_2048_sha1_mgf1sha1_test.json", Padding::OaepSha1),
        ("testvectors_v1/rsa_oaep_2048_sha256_mgf1sha256_test.json", Padding::OaepSha256),
        ("testvectors_v1/rsa_oaep_3072_sha256_mgf1sha256_test.json", Padding::OaepSha256),
        ("testvectors_v1/rsa_oaep_4096_sha256_mgf1sha256_test.json", Padding::OaepSha256),
        ("testvectors_v1/rsa_oaep_2048_sha384_mgf1sha384_test.json", Padding::OaepSha384),
    ];
    for (file, padding) in files {
        each(file, &mut |group, test| {
            let key = RsaKey::from_pkcs8(&bytes(group, "privateKeyPkcs8")).unwrap();
            let opened = key.decrypt(padding, &bytes(test, "ct"));
            // Key Vault has no labels: what was made with one does not open.
            if test["result"] == "valid" && test["label"] == "" {
                assert_eq!(opened.unwrap().expose(), bytes(test, "msg"), "{file} {test}");
            } else {
                assert!(opened.is_err(), "{file} {test}");
            }
        });
    }
}

#[test]
fn private_json_web_keys_and_pem_are_the_same_key() {
    let wrapped = |kek: &Kek, key: &SecretBytes| match kek.wrap(key, None).unwrap() {
        ContentKey::Wrapped { wrap: Wrap::RsaOaep256, wrapped, .. } => wrapped,
        other => panic!("{other:?}"),
    };
    let read = |text: &str| KekFile::parse(&SecretBytes::new(text.as_bytes().to_vec())).unwrap().kek;
    let content = SecretBytes::new(vec![7; 32]);
    let mut seen = 0;
    each("testvectors_v1/rsa_oaep_2048_sha256_mgf1sha256_test.json", &mut |group, _| {
        if seen > 0 {
            return;
        }
        seen += 1;
        let jwk = read(&group["privateKeyJwk"].to_string());
        let pem = read(group["privateKeyPem"].as_str().unwrap());
        for (one, other) in [(&jwk, &pem), (&pem, &jwk)] {
            let key = ContentKey::Wrapped { wrap: Wrap::RsaOaep256, kid: None, wrapped: wrapped(one, &content) };
            assert_eq!(other.unwrap(&key).unwrap().expose(), content.expose());
        }
    });
}

#[test]
fn aes_gcm() {
    let mut taken = 0;
    let done = each("testvectors_v1/aes_gcm_test.json", &mut |_, test| {
        let key = AesKey::from_bytes(bytes(test, "key").into()).unwrap();
        // Nonces of other lengths than 12 bytes are nothing that is used here.
        let (Ok(nonce), Ok(tag)) = (bytes(test, "iv").try_into(), bytes(test, "tag").try_into()) else { return };
        taken += 1;
        let opened = key.decrypt_gcm(&bytes(test, "aad"), &Sealed { nonce, ciphertext: bytes(test, "ct"), tag });
        match test["result"] == "valid" {
            true => assert_eq!(opened.unwrap().expose(), bytes(test, "msg"), "{test}"),
            false => assert!(opened.is_err(), "{test}"),
        }
    });
    assert!(done.is_none() || taken == 197, "{taken}");
}
