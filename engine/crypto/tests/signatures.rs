//! Signatures over digests: RFC 6979, RFC 7515 and RFC 7520 vectors, and what must not verify.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use sealbook_crypto::ec::{Curve, EcKey, EcPublic, WrongHash};
use sealbook_crypto::rsa::{RsaBits, RsaKey, RsaPublic, SignaturePadding};
use sealbook_crypto::{BadKey, BadSignature, Digest, Hash, SecretBytes};
use std::sync::LazyLock;

/// Private number, coordinates and the signature of "sample" with the curve's own hash, all in hexadecimal.
struct Vector {
    curve: Curve,
    d: &'static str,
    x: &'static str,
    y: &'static str,
    signature: &'static str,
}

/// RFC 6979, appendix A.2.5 to A.2.7; the last row was made by its rule with another implementation.
const VECTORS: [Vector; 4] = [
    Vector {
        curve: Curve::P256,
        d: "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
        x: "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6",
        y: "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
        signature: "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
    },
    Vector {
        curve: Curve::P384,
        d: "6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d896d5724e4c70a825f872c9ea60d2edf5",
        x: "ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a254515480bc13",
        y: "8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533264720",
        signature: "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe4699ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8",
    },
    Vector {
        curve: Curve::P521,
        d: "00fad06daa62ba3b25d2fb40133da757205de67f5bb0018fee8c86e1b68c7e75caa896eb32f1f47c70855836a6d16fcc1466f6d8fbec67db89ec0c08b0e996b83538",
        x: "01894550d0785932e00eaa23b694f213f8c3121f86dc97a04e5a7167db4e5bcd371123d46e45db6b5d5370a7f20fb633155d38ffa16d2bd761dcac474b9a2f5023a4",
        y: "00493101c962cd4d2fddf782285e64584139c2f91b47f87ff82354d6630f746a28a0db25741b5b34a828008b22acc23f924faafbd4d33f81ea66956dfeaa2bfdfcf5",
        signature: "00c328fafcbd79dd77850370c46325d987cb525569fb63c5d3bc53950e6d4c5f174e25a1ee9017b5d450606add152b534931d7d4e8455cc91f9b15bf05ec36e377fa00617cce7cf5064806c467f678d3b4080d6f1cc50af26ca209417308281b68af282623eaa63e5b5c0723d8b8c37ff0777b1a20f8ccb1dccc43997f1ee0e44da4a67a",
    },
    Vector {
        curve: Curve::P256K,
        d: "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
        x: "2c8c31fc9f990c6b55e3865a184a4ce50e09481f2eaeb3e60ec1cea13a6ae645",
        y: "64b95e4fdb6948c0386e189b006a29f686769b011704275e4459822dc3328085",
        signature: "432310e32cb80eb6503a26ce83cc165c783b870845fb8aad6d970889fcd7a6c8530128b6b81c548874a6305d93ed071ca6e05074d85863d4056ce89b02bfab69",
    },
];

#[allow(clippy::unwrap_used, reason = "only tests call it")]
fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

#[allow(clippy::unwrap_used, reason = "only tests call it")]
fn url(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn public(vector: &Vector) -> EcPublic {
    EcPublic { curve: vector.curve, x: bytes(vector.x), y: bytes(vector.y) }
}

static RSA: LazyLock<RsaKey> = LazyLock::new(|| RsaKey::generate(RsaBits::B2048));
const HASHES: [Hash; 3] = [Hash::Sha256, Hash::Sha384, Hash::Sha512];
const PADDINGS: [SignaturePadding; 2] = [SignaturePadding::Pkcs1v15, SignaturePadding::Pss];

#[test]
fn curves_verify_the_vectors_of_rfc_6979() {
    for vector in &VECTORS {
        let (public, curve) = (public(vector), vector.curve);
        let digest = curve.hash().digest(b"sample");
        let mut signature = bytes(vector.signature);
        assert_eq!(public.verify(&digest, &signature), Ok(()), "{curve:?}");
        let key = EcKey::from_components(&public, &SecretBytes::from(bytes(vector.d))).unwrap();
        assert_eq!(key.public(), public);
        assert_eq!(public.verify(&digest, &key.sign(&digest).unwrap()), Ok(()), "{curve:?}");
        assert_eq!(public.verify(&curve.hash().digest(b"other"), &signature), Err(BadSignature));
        assert_eq!(public.verify(&digest, &signature[1..]), Err(BadSignature));
        signature[7] ^= 1;
        assert_eq!(public.verify(&digest, &signature), Err(BadSignature));
        assert_eq!(public.verify(&digest, &vec![0; signature.len()]), Err(BadSignature));
    }
}

#[test]
fn es256_and_es512_verify_the_examples_of_rfc_7515() {
    let rows = [
        (
            Curve::P256,
            "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        (
            Curve::P521,
            "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
            "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
            "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA",
            "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
        ),
    ];
    for (curve, x, y, message, signature) in rows {
        let public = EcPublic { curve, x: url(x), y: url(y) };
        assert_eq!(public.verify(&curve.hash().digest(message.as_bytes()), &url(signature)), Ok(()), "{curve:?}");
    }
}

#[test]
fn ps384_verifies_the_example_of_rfc_7520() {
    let n = "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw";
    let message = b"eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4";
    let signature = url(
        "cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw",
    );
    let public = RsaPublic { n: url(n), e: vec![1, 0, 1] };
    let digest = Hash::Sha384.digest(message);
    assert_eq!(public.verify(SignaturePadding::Pss, &digest, &signature), Ok(()));
    assert_eq!(public.verify(SignaturePadding::Pkcs1v15, &digest, &signature), Err(BadSignature));
    assert_eq!(public.verify(SignaturePadding::Pss, &Hash::Sha256.digest(message), &signature), Err(BadSignature));
}

#[test]
fn rsa_signs_digests_as_it_signs_messages() {
    let digest = Hash::Sha256.digest(b"message");
    assert_eq!(RSA.sign(SignaturePadding::Pkcs1v15, &digest).unwrap(), RSA.sign_rs256(b"message"));
    for hash in HASHES {
        for padding in PADDINGS {
            let digest = hash.digest(b"message");
            let mut signature = RSA.sign(padding, &digest).unwrap();
            assert_eq!(RSA.public().verify(padding, &digest, &signature), Ok(()), "{hash:?} {padding:?}");
            for other in PADDINGS.into_iter().filter(|other| *other != padding) {
                assert_eq!(RSA.public().verify(other, &digest, &signature), Err(BadSignature));
            }
            signature[200] ^= 1;
            assert_eq!(RSA.public().verify(padding, &digest, &signature), Err(BadSignature));
        }
    }
}

#[test]
fn stored_elliptic_keys_are_the_same_and_others_are_refused() {
    for curve in Curve::ALL {
        let made = EcKey::generate(curve);
        let document = made.to_pkcs8();
        let again = EcKey::from_pkcs8(curve, document.expose()).unwrap();
        assert_eq!((again.public(), again.public().x.len()), (made.public(), curve.bytes()));
        for other in Curve::ALL.into_iter().filter(|other| *other != curve) {
            assert_eq!(EcKey::from_pkcs8(other, document.expose()).unwrap_err(), BadKey, "{curve:?} {other:?}");
        }
        for bad in [&b""[..], b"junk", &document.expose()[1..]] {
            assert_eq!(EcKey::from_pkcs8(curve, bad).unwrap_err(), BadKey);
        }
        let wrong = HASHES.into_iter().find(|hash| *hash != curve.hash()).unwrap();
        assert_eq!(made.sign(&wrong.digest(b"x")).unwrap_err(), WrongHash);
        assert_eq!(
            (Curve::from_name(curve.name()), format!("{made:?}")),
            (Some(curve), format!("EcKey({}, ..)", curve.name()))
        );
    }
    assert_eq!(Curve::from_name("P-224"), None);
}

#[test]
fn parts_that_contradict_each_other_are_no_key() {
    let (first, last) = (&VECTORS[0], &VECTORS[3]);
    let d = SecretBytes::from(bytes(first.d));
    let mut moved = public(first);
    moved.y[31] ^= 1;
    let rows = [
        (moved, d.clone()),
        (EcPublic { curve: Curve::P256K, ..public(first) }, d.clone()),
        (EcPublic { curve: Curve::P256, ..public(last) }, d.clone()),
        (public(first), SecretBytes::from(vec![1])),
        (public(first), SecretBytes::from(vec![0; 32])),
        (public(first), SecretBytes::from(vec![0xff; 32])),
        (public(first), SecretBytes::from(vec![1; 33])),
        (EcPublic { x: vec![1; 33], ..public(first) }, d),
    ];
    for (public, d) in rows {
        assert_eq!(EcKey::from_components(&public, &d).unwrap_err(), BadKey, "{public:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn signatures_bind_the_digest(digest in proptest::collection::vec(any::<u8>(), 32), at in 0usize..32) {
        let key = EcKey::generate(Curve::P256K);
        let signed = Digest::from_bytes(Hash::Sha256, &digest).unwrap();
        let signature = key.sign(&signed).unwrap();
        prop_assert!(key.public().verify(&signed, &signature).is_ok());
        let mut other = digest;
        other[at] ^= 1;
        let other = Digest::from_bytes(Hash::Sha256, &other).unwrap();
        prop_assert!(key.public().verify(&other, &signature).is_err());
    }
}
