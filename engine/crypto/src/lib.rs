//! Keys, wraps, sealing and secret types over aws-lc-rs.
//!
//! The one place of this workspace that calls the cryptographic library. What it offers is small on purpose:
//! secrets that wipe themselves ([`SecretBytes`], [`SecretString`]), authenticated encryption at rest ([`SealKey`]),
//! RSA, ECDSA and AES as Azure Key Vault uses them ([`rsa`], [`ec`], [`aes`]), AES key wrap ([`AesKek`]), shares of
//! secrets ([`shamir`]), security domains of managed HSMs ([`security_domain`]), Ed25519 signatures ([`SigningKey`]),
//! hashes ([`sha256`], [`hmac_sha256`], [`Digest`]), and files of any size under one key ([`sealed`]).
//!
//! ```
//! use sealbook_crypto::SealKey;
//!
//! let key = SealKey::generate();
//! let sealed = key.seal(b"runs/7/token", b"secret");
//! assert_eq!(key.open(b"runs/7/token", &sealed)?.expose(), b"secret");
//! assert!(key.open(b"runs/8/token", &sealed).is_err(), "it belongs to another place");
//! # Ok::<(), sealbook_crypto::OpenError>(())
//! ```
//!
//! Errors carry no detail on purpose: why a ciphertext did not open is what an attacker would want to learn.

pub mod aes;
mod digest;
pub mod ec;
mod hash;
mod kw;
pub mod rsa;
mod seal;
pub mod sealed;
mod secret;
pub mod security_domain;
pub mod shamir;
mod sign;

pub use digest::{Digest, Hash};
pub use hash::{
    Sha256, TagMismatch, constant_time_eq, hmac_sha256, hmac_sha512, random, random_bytes, sha1, sha256,
    verify_hmac_sha256,
};
pub use kw::{AesKek, KeyWrapError};
pub use seal::{OpenError, SealKey};
pub use secret::{SecretBytes, SecretString};
pub use sign::{BadKey, BadSignature, SigningKey, verify};
