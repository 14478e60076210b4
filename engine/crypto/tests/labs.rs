//! The layout of the published labs, on the vectors made for this project and on its own.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "../../../tests/support/shared.rs"]
mod support;

use std::fs;

use sealbook_crypto::aes::AesKey;
use sealbook_crypto::rsa::Padding;
use sealbook_crypto::sealed::labs::{self, Memory};
use sealbook_crypto::sealed::{Kek, KekFile, SealedError, generate_key};
use sealbook_crypto::{SecretBytes, sha256};
use serde_json::Value;

const SOME: Memory = Memory { limit: 1 << 20, expected: 0 };

/// Keys that begin or end with white space or hold a zero byte, an empty message, a changed one.
#[test]
fn opens_what_the_labs_wrote() {
    let Some(folder) = support::shared("evidence/workshop-format-vectors") else { return };
    let kek = KekFile::parse(&SecretBytes::new(fs::read(folder.join("kek.key")).unwrap())).unwrap().kek;
    let Kek::Rsa(kek) = kek else { panic!("{kek:?}") };
    let expected: Vec<Value> = serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
    for row in &expected {
        let file = |field: &str| fs::read(folder.join(row[field].as_str().unwrap())).unwrap();
        let key = kek.decrypt(Padding::OaepSha256, &file("key")).unwrap();
        let mut plain = Vec::new();
        let opened = labs::open(&file("enc")[..], &mut plain, &key, SOME);
        if row["expect"].as_str().unwrap().starts_with("accept") {
            assert_eq!(opened.unwrap(), row["len"], "{row}");
            assert_eq!(hex::encode(sha256(&plain)), row["plaintext_sha256"], "{row}");
        } else {
            assert!(matches!(opened, Err(SealedError::Message)) && plain.is_empty(), "{row}");
        }
    }
    assert!(expected.len() >= 7);
}

#[test]
fn lengths_round_trip_and_have_the_layout() {
    let key = generate_key();
    for length in [0, 1, 4095, 4096, 4097, 8193, 100_000] {
        let message: Vec<u8> = (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect();
        for expected in [0, length as u64, 10 + length as u64] {
            let memory = Memory { limit: 1 << 20, expected };
            let mut file = Vec::new();
            assert_eq!(labs::seal(&message[..], &mut file, &key, memory).unwrap(), length as u64);
            assert_eq!(file.len() as u64, length as u64 + labs::OVERHEAD);
            let sealed = sealbook_crypto::aes::Sealed {
                nonce: file[..12].try_into().unwrap(),
                ciphertext: file[12..12 + length].to_vec(),
                tag: file[12 + length..].try_into().unwrap(),
            };
            let apart = AesKey::from_bytes(key.clone()).unwrap().decrypt_gcm(b"", &sealed).unwrap();
            assert_eq!(apart.expose(), message);
            let mut plain = Vec::new();
            assert_eq!(labs::open(&file[..], &mut plain, &key, memory).unwrap(), length as u64);
            assert_eq!(plain, message);
        }
    }
}

#[test]
fn what_does_not_verify_writes_nothing() {
    let key = generate_key();
    let mut file = Vec::new();
    labs::seal(&[7; 100][..], &mut file, &key, SOME).unwrap();
    let refused = |file: &[u8], key: &SecretBytes| {
        let mut plain = Vec::new();
        let error = labs::open(file, &mut plain, key, SOME).unwrap_err();
        assert!(plain.is_empty(), "{error}");
        error
    };
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1;
        assert!(matches!(refused(&changed, &key), SealedError::Message), "{at}");
        let error = refused(&file[..at], &key);
        assert!(if at < 28 { matches!(error, SealedError::Truncated) } else { matches!(error, SealedError::Message) });
    }
    assert!(matches!(refused(&file, &generate_key()), SealedError::Message));
    for length in [0, 16, 31, 33] {
        let key = SecretBytes::new(vec![1; length]);
        assert!(matches!(refused(&file, &key), SealedError::KeyLength(l) if l == length));
        assert!(matches!(labs::seal(&[7][..], Vec::new(), &key, SOME), Err(SealedError::KeyLength(l)) if l == length));
    }
}

#[test]
fn more_than_the_limit_is_refused_whether_it_is_announced_or_not() {
    let key = generate_key();
    let message = vec![3; 10_000];
    let mut file = Vec::new();
    labs::seal(&message[..], &mut file, &key, SOME).unwrap();
    for expected in [0, 10_000, 1 << 40] {
        let memory = Memory { limit: 9_999, expected };
        assert!(matches!(
            labs::seal(&message[..], Vec::new(), &key, memory),
            Err(SealedError::Memory { limit: 9_999 })
        ));
        assert!(matches!(labs::open(&file[..], Vec::new(), &key, memory), Err(SealedError::Memory { limit: 9_999 })));
    }
    let just = Memory { limit: 10_000, expected: 10_028 };
    assert_eq!(labs::open(&file[..], Vec::new(), &key, just).unwrap(), 10_000);
    assert_eq!(labs::seal(&message[..], Vec::new(), &key, just).unwrap(), 10_000);
    let beyond = Memory { limit: u64::MAX, expected: 1 << 37 };
    assert!(matches!(labs::open(&file[..], Vec::new(), &key, beyond), Err(SealedError::TooLong)));
}
