//! Whatever a sealed file, a file of the labs or a key file holds: it opens to what was sealed, or is refused, and what
//! was written before is a beginning of what was sealed. Both ways of reading agree. Never a panic.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use sealbook_crypto::sealed::labs::{self, Memory};
use sealbook_crypto::sealed::{self, ContentKey, Header, KekFile, MAGIC, SealedError, SealedFile, cobblestone};
use sealbook_crypto::{SecretBytes, sha256};

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else { return };
    match kind % 4 {
        0 => anything(data),
        1 => any_header(data),
        2 => any_damage(data),
        _ => drop(KekFile::parse(&SecretBytes::new(data.to_vec()))),
    }
});

fn key() -> SecretBytes {
    SecretBytes::new(vec![7; 32])
}

/// Opens in both ways; nothing but `plain` may come out.
fn open(file: &[u8], plain: &[u8]) -> bool {
    let mut written = Vec::new();
    let opened = sealed::open::<_, _, SealedError>(file, &mut written, |_| Ok(key()));
    assert!(plain.starts_with(&written), "what was never sealed came out");
    let at_random = SealedFile::open::<SealedError>(Cursor::new(file), |_| Ok(key()));
    if let Ok(opened) = &opened {
        assert!(written == plain && opened.length == plain.len() as u64);
        assert!(at_random.is_ok(), "only one way of reading takes it");
    }
    if let Ok(mut at_random) = at_random {
        assert_eq!(at_random.length(), plain.len() as u64);
        let mut some = vec![0; 20_000];
        let from = plain.len().saturating_sub(10_000);
        if let Ok(read) = at_random.read_at(from as u64, &mut some) {
            assert_eq!(&some[..read], &plain[from..]);
        }
    }
    opened.is_ok()
}

/// Bytes that nobody sealed.
fn anything(data: &[u8]) {
    assert!(!open(data, b""));
    assert!(!open(&[&MAGIC[..], data].concat(), b""));
    let mut written = Vec::new();
    let memory = Memory { limit: 50_000, expected: 0 };
    assert!(labs::open(data, &mut written, &key(), memory).is_err() && written.is_empty());
}

/// A header that somebody with the key made: it is read as it is written, or refused.
fn any_header(data: &[u8]) {
    let Ok(length) = u16::try_from(data.len()) else { return };
    let envelope = [&MAGIC[..], &1_u16.to_be_bytes(), &length.to_be_bytes(), data].concat();
    let mut file = envelope.clone();
    let context = [&b"sealbook/sealed-file@v1\0"[..], &sha256(&envelope)].concat();
    cobblestone::seal(&b"plain"[..], &mut file, &key(), &context).expect("a message can be sealed");
    match Header::read(&mut &file[..]) {
        Ok((header, bytes)) => {
            assert_eq!((header.to_bytes().expect("what was read can be written"), bytes), (envelope.clone(), envelope));
            let fits = header.length.is_none_or(|length| length == 5);
            assert_eq!(open(&file, b"plain"), fits);
        }
        Err(_) => assert!(!open(&file, b"plain")),
    }
}

/// A good file to which something was done: three bytes say how long it is and where to begin, the rest what to put
/// there.
fn any_damage(data: &[u8]) {
    let [chunks, high, low, change @ ..] = data else { return };
    let plain: Vec<u8> = (0..usize::from(*chunks) * 512).map(|i| (i >> 4) as u8).collect();
    let mut header = Header::new(ContentKey::Direct { kid: None });
    header.length = (chunks % 2 == 0).then_some(plain.len() as u64);
    let mut file = Vec::new();
    sealed::seal(&plain[..], &mut file, &key(), &header).expect("a file can be sealed");
    let whole = file.clone();
    let at = usize::from(u16::from_be_bytes([*high, *low])) * 2 % (file.len() + 1);
    match change {
        [] => file.truncate(at),
        [0, rest @ ..] => drop(file.splice(at..at, rest.iter().copied())),
        [1, rest @ ..] => drop(file.drain(at..(at + rest.len()).min(whole.len()))),
        [2, rest @ ..] => file.iter_mut().skip(at).zip(rest).for_each(|(to, by)| *to ^= by),
        [count, ..] => {
            let copied = whole[at..(at + 16_400 * usize::from(*count % 8)).min(whole.len())].to_vec();
            file.splice(at..at, copied);
        }
    }
    assert_eq!(open(&file, &plain), file == whole);
}
