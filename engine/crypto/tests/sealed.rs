//! Sealed files: every length, every kind of damage by its name, any place, any key that does not fit.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::{self, Cursor, Read, Write};

use proptest::prelude::*;
use sealbook_crypto::rsa::{RsaBits, RsaKey};
use sealbook_crypto::sealed::cobblestone::{CHUNK, SEALED_CHUNK};
use sealbook_crypto::sealed::{self, ContentKey, Header, Kek, KekFile, SealedError, SealedFile, Wrap, cobblestone};
use sealbook_crypto::{AesKek, SecretBytes};

/// Bytes of one piece that travels between threads: more than that is worked on in parallel.
const PIECE: usize = 32 * CHUNK;

fn message(length: usize) -> Vec<u8> {
    (0..length).map(|i| u8::try_from((i ^ i >> 8 ^ i >> 16) & 0xff).unwrap()).collect()
}

fn direct() -> Header {
    Header::new(ContentKey::Direct { kid: None })
}

fn sealed(plain: &[u8], key: &SecretBytes, header: &Header) -> Vec<u8> {
    let mut file = Vec::new();
    assert_eq!(sealed::seal(plain, &mut file, key, header).unwrap(), plain.len() as u64);
    file
}

/// Opens, and answers what was written too.
fn opened(file: &[u8], key: &SecretBytes) -> (Vec<u8>, Result<sealed::Opened, SealedError>) {
    let mut plain = Vec::new();
    let result = sealed::open(file, &mut plain, |_| Ok(key.clone()));
    (plain, result)
}

/// Where the message begins.
fn start(header: &Header) -> usize {
    header.to_bytes().unwrap().len()
}

#[test]
fn every_length_round_trips() {
    let key = sealed::generate_key();
    let lengths = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 9 * PIECE + 5];
    for length in lengths {
        let plain = message(length);
        for stated in [None, Some(length as u64)] {
            let header = Header { length: stated, name: Some("grün.csv".into()), ..direct() };
            let file = sealed(&plain, &key, &header);
            let body = (file.len() - start(&header)) as u64;
            assert_eq!(Some(body), cobblestone::sealed_length(length as u64), "{length}");
            assert_eq!(cobblestone::plaintext_length(body).unwrap(), length as u64);
            let (back, result) = opened(&file, &key);
            assert_eq!(result.unwrap(), sealed::Opened { header: header.clone(), length: length as u64 });
            assert!(back == plain, "{length}");
            let mut at_random = SealedFile::open::<SealedError>(Cursor::new(&file), |_| Ok(key.clone())).unwrap();
            assert_eq!((at_random.length(), at_random.header()), (length as u64, &header));
            for at in [0, 1, CHUNK - 1, CHUNK, length / 2, length.saturating_sub(1), length, length + 7] {
                let mut some = vec![0xaa; CHUNK + 3];
                let read = at_random.read_at(at as u64, &mut some).unwrap();
                let expected = plain.get(at..).unwrap_or_default();
                let expected = &expected[..expected.len().min(some.len())];
                assert_eq!(&some[..read], expected, "{length} {at}");
            }
        }
    }
}

/// What is done to a file, how, the name of the error, and how much is written before it.
type Damage<'a> = (&'a str, &'a dyn Fn(&mut Vec<u8>), &'a str, usize);

#[test]
fn each_kind_of_damage_has_its_name() {
    let key = sealed::generate_key();
    let plain = message(3 * PIECE + 2 * CHUNK + 100);
    let chunk = |number: usize| number * SEALED_CHUNK..(number + 1) * SEALED_CHUNK;
    let last = 3 * 32 + 2;
    for stated in [None, Some(plain.len() as u64)] {
        let header = Header { length: stated, ..direct() };
        let whole = sealed(&plain, &key, &header);
        let (head, body) = whole.split_at(start(&header) + cobblestone::PREFIX);
        let damaged = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut body = body.to_vec();
            change(&mut body);
            let (written, result) = opened(&[head, &body].concat(), &key);
            assert!(plain.starts_with(&written) && written.len() < plain.len(), "only what is verified is written");
            let at_random = SealedFile::open::<SealedError>(Cursor::new([head, &body].concat()), |_| Ok(key.clone()));
            (written.len(), result.unwrap_err(), at_random.err())
        };
        let told = stated.is_some();
        let rows: &[Damage<'_>] = &[
            ("a bit of a chunk", &|b| b[40 * SEALED_CHUNK + 9] ^= 4, "Chunk(40)", PIECE),
            ("a bit of a tag", &|b| b[40 * SEALED_CHUNK - 1] ^= 4, "Chunk(39)", PIECE),
            (
                "two chunks exchanged",
                &|b| {
                    let (one, rest) = b.split_at_mut(SEALED_CHUNK);
                    one.swap_with_slice(&mut rest[..SEALED_CHUNK]);
                },
                "Chunk(0)",
                0,
            ),
            ("a chunk in place of another", &|b| b.copy_within(chunk(1), chunk(34).start), "Chunk(34)", PIECE),
            ("a chunk twice", &|b| drop(b.splice(chunk(5).end..chunk(5).end, body[chunk(5)].to_vec())), "Chunk(6)", 0),
            ("a chunk missing", &|b| drop(b.drain(chunk(70))), "Chunk(70)", 2 * PIECE),
            (
                "cut within the last chunk",
                &|b| b.truncate(b.len() - 7),
                if told { "Truncated" } else { "Chunk(98)" },
                3 * PIECE,
            ),
            ("cut between chunks", &|b| b.truncate(chunk(last).start), "Truncated", 3 * PIECE),
            ("cut between pieces", &|b| b.truncate(chunk(32).start), "Truncated", PIECE),
            ("cut before the tag's end", &|b| b.truncate(chunk(64).start + 15), "Truncated", 2 * PIECE),
            ("nothing behind the prefix", &|b| b.clear(), "Truncated", 0),
            ("a byte added", &|b| b.push(0), if told { "Appended" } else { "Chunk(98)" }, 3 * PIECE),
            (
                "chunks added",
                &|b| b.extend_from_slice(&body[..40 * SEALED_CHUNK]),
                if told { "Appended" } else { "Chunk(98)" },
                3 * PIECE,
            ),
        ];
        for (what, change, named, written) in rows {
            let (length, error, _) = damaged(change);
            assert_eq!((format!("{error:?}").as_str(), length), (*named, *written), "{what}, {stated:?}");
        }
        // Who opens for reading at random learns of a wrong end at once.
        for cut in [1, 100, SEALED_CHUNK, 33 * SEALED_CHUNK] {
            let (_, _, error) = damaged(&|b| b.truncate(b.len() - cut));
            assert!(matches!(error, Some(SealedError::Truncated | SealedError::Chunk(_))), "{cut}: {error:?}");
        }
    }
}

#[test]
fn every_byte_of_a_small_file_counts() {
    let kek = Kek::Aes(AesKek::generate());
    let key = sealed::generate_key();
    let mut header = Header::new(kek.wrap(&key, Some("https://v.example/keys/k/1".into())).unwrap());
    header.name = Some("a.csv".into());
    header.media_type = Some("text/csv".into());
    let file = sealed(b"content", &key, &header);
    for at in 0..file.len() {
        for bit in [1, 0x20, 0x80] {
            let mut changed = file.clone();
            changed[at] ^= bit;
            let mut plain = Vec::new();
            let result = sealed::open(&changed[..], &mut plain, |h| kek.unwrap(&h.key));
            assert!(result.is_err() && plain.is_empty(), "byte {at}");
            // Also for someone who has the content key and does not look at the header.
            let (plain, result) = opened(&changed, &key);
            assert!(result.is_err() && plain.is_empty(), "byte {at}");
        }
        let (plain, result) = opened(&file[..at], &key);
        let error = result.unwrap_err();
        let named = match at {
            0..8 => matches!(error, SealedError::NotSealed),
            _ if at < start(&header) + 56 + 16 => matches!(error, SealedError::Truncated),
            _ => matches!(error, SealedError::Chunk(0)),
        };
        assert!(named && plain.is_empty(), "{at}: {error:?}");
    }
}

#[test]
fn header_and_message_of_two_files_do_not_mix() {
    let key = sealed::generate_key();
    let headers = [
        direct(),
        Header { name: Some("one".into()), ..direct() },
        Header { length: Some(3), ..direct() },
        Header::new(ContentKey::Direct { kid: Some("1".into()) }),
    ];
    for mine in &headers {
        let file = sealed(b"abc", &key, mine);
        let (_, message) = file.split_at(start(mine));
        for other in &headers {
            let mixed = [&other.to_bytes().unwrap(), message].concat();
            match opened(&mixed, &key) {
                (plain, Ok(_)) => assert!(mine == other && plain == b"abc"),
                (plain, Err(SealedError::Commitment)) => assert!(mine != other && plain.is_empty()),
                (_, Err(other)) => panic!("{other:?}"),
            }
        }
        assert!(matches!(opened(&file, &sealed::generate_key()).1, Err(SealedError::Commitment)));
        // The bare message has another context.
        assert!(matches!(cobblestone::open(message, Vec::new(), &key, b""), Err(SealedError::Commitment)));
    }
    for length in [0, 16, 31, 33] {
        let short = SecretBytes::new(vec![0; length]);
        assert!(
            matches!(opened(&sealed(b"x", &key, &direct()), &short).1, Err(SealedError::KeyLength(l)) if l == length)
        );
        let made = sealed::seal(&b"x"[..], Vec::new(), &short, &direct());
        assert!(matches!(made, Err(SealedError::KeyLength(l)) if l == length));
    }
}

#[test]
fn the_stated_length_must_be_the_real_one() {
    let header = Header { length: Some(4), ..direct() };
    let made = sealed::seal(&b"abc"[..], Vec::new(), &sealed::generate_key(), &header);
    assert!(matches!(made, Err(SealedError::Length { stated: 4, found: 3 })), "{made:?}");
}

#[test]
fn headers_that_are_not_the_format_are_refused() {
    let rows = [
        (r#"{"cipher":"Cobblestone-256","wrap":"dir"}"#, None),
        (r#"{"cipher":"Cobblestone-256","kid":"k","length":0,"media_type":"a/b","name":"ä","wrap":"dir"}"#, None),
        (r#"{"cipher":"Cobblestone-256","wrap":"A256KW","wrapped":""}"#, None),
        (r#"{"cipher":"Cobblestone-128","wrap":"dir"}"#, Some("`cipher` is not")),
        (r#"{"cipher":"Cobblestone-256"}"#, Some("missing field")),
        (r#"{"cipher":"Cobblestone-256","wrap":"RSA1_5","wrapped":""}"#, Some("`wrap` is none of")),
        (r#"{"cipher":"Cobblestone-256","wrap":"A256KW"}"#, Some("`wrapped` is missing")),
        (r#"{"cipher":"Cobblestone-256","wrap":"dir","wrapped":""}"#, Some("does not go with")),
        (r#"{"cipher":"Cobblestone-256","wrap":"A256KW","wrapped":"=="}"#, Some("not base64url")),
        (r#"{"cipher":"Cobblestone-256","wrap":"A256KW","wrapped":"AB"}"#, Some("not base64url")),
        (r#"{"cipher":"Cobblestone-256","extra":1,"wrap":"dir"}"#, Some("unknown field")),
        (r#"{"cipher":"Cobblestone-256","cipher":"Cobblestone-256","wrap":"dir"}"#, Some("duplicate field")),
        (r#"{"wrap":"dir","cipher":"Cobblestone-256"}"#, Some("canonical")),
        (r#"{"cipher":"Cobblestone-256", "wrap":"dir"}"#, Some("canonical")),
        (r#"{"cipher":"Cobblestone-256","name":null,"wrap":"dir"}"#, Some("canonical")),
        (r#"{"cipher":"Cobblestone-256","name":"\u0061","wrap":"dir"}"#, Some("canonical")),
        (r#"{"cipher":"Cobblestone-256","length":1e3,"wrap":"dir"}"#, Some("invalid type")),
        (r#"{"cipher":"Cobblestone-256","length":-1,"wrap":"dir"}"#, Some("invalid value")),
        (r#"{"cipher":"Cobblestone-256","length":4503599627370497,"wrap":"dir"}"#, Some("4 PiB")),
        (r#"{"cipher":"Cobblestone-256","name":"../x","wrap":"dir"}"#, Some("`name`")),
        (r#"{"cipher":"Cobblestone-256","name":"a\\b","wrap":"dir"}"#, Some("`name`")),
        (r#"{"cipher":"Cobblestone-256","name":"..","wrap":"dir"}"#, Some("`name`")),
        (r#"{"cipher":"Cobblestone-256","name":"a\nb","wrap":"dir"}"#, Some("`name`")),
        (r#"{"cipher":"Cobblestone-256","name":"","wrap":"dir"}"#, Some("`name`")),
        (r#"{"cipher":"Cobblestone-256","media_type":"text","wrap":"dir"}"#, Some("`media_type`")),
        (r#"{"cipher":"Cobblestone-256","media_type":"text/a b","wrap":"dir"}"#, Some("`media_type`")),
        (r#"{"cipher":"Cobblestone-256","kid":"a b","wrap":"dir"}"#, Some("`kid`")),
        (r#"{"cipher":"Cobblestone-256","kid":"","wrap":"dir"}"#, Some("`kid`")),
        ("[]", Some("invalid")),
        ("", Some("EOF")),
    ];
    let envelope = |version: u16, json: &str| {
        let length = u16::try_from(json.len()).unwrap();
        [&sealed::MAGIC[..], &version.to_be_bytes(), &length.to_be_bytes(), json.as_bytes()].concat()
    };
    for (json, expected) in rows {
        match (Header::read(&mut &envelope(1, json)[..]), expected) {
            (Ok((header, bytes)), None) => {
                assert_eq!((bytes, header.to_bytes().unwrap()), (envelope(1, json), envelope(1, json)))
            }
            (Err(SealedError::Header(why)), Some(expected)) => assert!(why.contains(expected), "{json}: {why}"),
            (other, _) => panic!("{json}: {other:?}"),
        }
    }
    for version in [0, 2, u16::MAX] {
        let read = Header::read(&mut &envelope(version, rows[0].0)[..]);
        assert!(matches!(read, Err(SealedError::Version(v)) if v == version));
    }
    let long = envelope(1, &" ".repeat(16 * 1024 + 1));
    assert!(matches!(Header::read(&mut &long[..]), Err(SealedError::Header(why)) if why.contains("16 KiB")));
    let bad = Header { name: Some("a/b".into()), ..direct() };
    assert!(matches!(bad.to_bytes(), Err(SealedError::HeaderValue(_))));
    let key = ContentKey::Wrapped { wrap: Wrap::RsaOaep256, kid: None, wrapped: vec![0; 13_000] };
    assert!(matches!(Header::new(key).to_bytes(), Err(SealedError::HeaderValue(why)) if why.contains("16 KiB")));
}

#[test]
fn keys_wrap_and_unwrap_by_the_header() {
    let pair = RsaKey::generate(RsaBits::B2048);
    let public = Kek::RsaPublic(pair.public());
    let private = Kek::Rsa(Box::new(pair));
    let stranger = Kek::Rsa(Box::new(RsaKey::generate(RsaBits::B2048)));
    let aes = Kek::Aes(AesKek::generate());
    let other_aes = Kek::Aes(AesKek::generate());
    let short_aes = Kek::Aes(AesKek::new(vec![1; 16].into()).unwrap());
    let key = sealed::generate_key();
    let kid = || Some("https://v.vault.azure.net/keys/k/0".to_owned());
    for (to, wrap, opens, refuses) in [
        (&public, "RSA-OAEP-256", &private, [&public, &aes, &stranger]),
        (&private, "RSA-OAEP-256", &private, [&public, &aes, &stranger]),
        (&aes, "A256KW", &aes, [&private, &other_aes, &short_aes]),
    ] {
        let header = Header::new(to.wrap(&key, kid()).unwrap());
        assert!(matches!(&header.key, ContentKey::Wrapped { wrap: w, .. } if w.name() == wrap));
        assert_eq!(header.key.kid(), kid().as_deref());
        let file = sealed(b"x", &key, &header);
        let mut plain = Vec::new();
        sealed::open(&file[..], &mut plain, |h| opens.unwrap(&h.key)).unwrap();
        assert_eq!(plain, b"x");
        for wrong in refuses {
            let error = sealed::open(&file[..], Vec::new(), |h| wrong.unwrap(&h.key)).unwrap_err();
            assert!(matches!(error, SealedError::Kek(_) | SealedError::Unwrap), "{wrong:?}: {error:?}");
        }
    }
    assert!(matches!(short_aes.wrap(&key, None), Err(SealedError::Kek(_))));
    assert!(matches!(aes.wrap(&SecretBytes::new(vec![0; 16]), None), Err(SealedError::KeyLength(16))));
    assert!(matches!(aes.unwrap(&direct().key), Err(SealedError::Kek(_))));
}

#[test]
fn key_files_of_every_form() {
    use base64::Engine as _;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let pair = RsaKey::generate(RsaBits::B2048);
    let public = pair.public();
    let document = base64::engine::general_purpose::STANDARD.encode(pair.to_pkcs8().expose());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{document}\n-----END PRIVATE KEY-----\n");
    let jwk = format!(r#"{{"kty":"RSA-HSM","kid":"k1","n":"{}","e":"AQAB","key_ops":["wrapKey"]}}"#, encode(&public.n));
    let bundle = format!(r#"{{"attributes":{{"enabled":true}},"key":{jwk}}}"#);
    let az = bundle.replace(&encode(&public.n), &base64::engine::general_purpose::STANDARD.encode(&public.n));
    let oct = format!(r#"{{"kty":"oct","k":"{}"}}"#, encode(&[7; 32]));
    let read = |text: &[u8]| KekFile::parse(&SecretBytes::new(text.to_vec()));
    let key = sealed::generate_key();
    for (text, kid, kind) in [
        (pem.as_bytes(), None, "Rsa("),
        (jwk.as_bytes(), Some("k1"), "RsaPublic("),
        (bundle.as_bytes(), Some("k1"), "RsaPublic("),
        (az.as_bytes(), Some("k1"), "RsaPublic("),
        (oct.as_bytes(), None, "Aes("),
        (&[7; 32], None, "Aes("),
    ] {
        let file = read(text).unwrap();
        assert_eq!(file.kid.as_deref(), kid);
        assert!(format!("{:?}", file.kek).starts_with(kind), "{:?}", file.kek);
        let wrapped = file.kek.wrap(&key, None).unwrap();
        let opener = if kind == "Aes(" { read(&[7; 32]) } else { read(pem.as_bytes()) };
        assert_eq!(opener.unwrap().kek.unwrap(&wrapped).unwrap().expose(), key.expose());
    }
    let cut = &pem[..pem.len() / 2];
    for bad in [
        &b""[..],
        &[7; 31],
        &[7; 33],
        cut.as_bytes(),
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        b"{}",
        br#"{"kty":"EC","crv":"P-256"}"#,
        br#"{"kty":"oct-HSM","kid":"k"}"#,
        br#"{"kty":"oct","k":"AAAA"}"#,
        br#"{"kty":"RSA","e":"AQAB"}"#,
        br#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#,
        br#"{"kty": "RSA", "n": "!", "e": "AQAB"}"#,
    ] {
        assert!(read(bad).is_err(), "{}", String::from_utf8_lossy(bad));
    }
}

/// Gives some bytes and then fails.
struct Fails(usize);

impl Read for Fails {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.0);
        self.0 -= count;
        if count == 0 { Err(io::Error::other("gone")) } else { Ok(count) }
    }
}

/// Takes some bytes and then fails.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.0);
        self.0 -= count;
        if count == 0 { Err(io::Error::other("full")) } else { Ok(count) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn readers_and_writers_that_fail_end_it() {
    let key = sealed::generate_key();
    let plain = message(20 * PIECE);
    let file = sealed(&plain, &key, &direct());
    for length in [0, 100, PIECE, 5 * PIECE + 77, 19 * PIECE] {
        assert!(matches!(sealed::seal(Fails(length), Vec::new(), &key, &direct()), Err(SealedError::Read(_))));
        assert!(matches!(sealed::seal(&plain[..], Full(length), &key, &direct()), Err(SealedError::Write(_))));
        let to_full = sealed::open::<_, _, SealedError>(&file[..], Full(length), |_| Ok(key.clone()));
        assert!(matches!(to_full, Err(SealedError::Write(_))));
        let cut = file[..length].chain(Fails(0));
        let mut written = Vec::new();
        let from_gone = sealed::open::<_, _, SealedError>(cut, &mut written, |_| Ok(key.clone()));
        assert!(matches!(from_gone, Err(SealedError::Read(_))) && plain.starts_with(&written));
    }
}

/// A reader that answers in small and odd pieces.
struct Dribble<'a>(&'a [u8]);

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.0.len()).min(10_007);
        let (some, rest) = self.0.split_at(count);
        buffer[..count].copy_from_slice(some);
        self.0 = rest;
        Ok(count)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_length_from_any_reader_and_any_range(
        length in 0..3 * PIECE,
        at in 0..3 * PIECE,
        count in 0..3 * CHUNK,
        name in "[^/\\\\\\p{Cc}]{1,40}",
    ) {
        prop_assume!(name != "." && name != ".." && name.len() <= 255);
        let key = sealed::generate_key();
        let plain = message(length);
        let header = Header { name: Some(name), length: Some(length as u64), ..direct() };
        let mut file = Vec::new();
        sealed::seal(Dribble(&plain), &mut file, &key, &header).unwrap();
        let mut back = Vec::new();
        let result = sealed::open::<_, _, SealedError>(Dribble(&file), &mut back, |_| Ok(key.clone())).unwrap();
        prop_assert!(result.header == header && back == plain);
        let mut some = vec![0; count];
        let mut at_random = SealedFile::open::<SealedError>(Cursor::new(&file), |_| Ok(key.clone())).unwrap();
        let read = at_random.read_at(at as u64, &mut some).unwrap();
        let expected = plain.get(at..).unwrap_or_default();
        prop_assert_eq!(&some[..read], &expected[..expected.len().min(count)]);
    }

    #[test]
    fn anything_else_is_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), magic in any::<bool>()) {
        if magic {
            bytes.splice(0..0, sealed::MAGIC);
        }
        let mut plain = Vec::new();
        prop_assert!(sealed::open::<_, _, SealedError>(&bytes[..], &mut plain, |_| Ok(sealed::generate_key())).is_err());
        prop_assert!(plain.is_empty());
        let _ = KekFile::parse(&SecretBytes::new(bytes));
    }
}
