//! Places and spellings.

use super::shape::snake;
use super::{Source, inside, is_forbidden};

#[test]
fn places_inside_strings_are_exact_when_nothing_is_escaped() {
    let text = "a = \"x ${bad} y\"\nb = '''\n${bad}'''\nc = \"\\t${bad}\"\n";
    let source = Source { file: "f", text };
    let rows = [
        (4..16, "x ${bad} y", 4..7, "bad"),
        (21..34, "${bad}", 2..5, "bad"),
        (39..49, "\t${bad}", 3..6, "\"\\t${bad}\""),
    ];
    for (string, decoded, at, expected) in rows {
        assert_eq!(&text[inside(source, &string, decoded, at)], expected, "{decoded}");
    }
}

#[test]
fn names_that_would_do() {
    for (given, expected) in [
        ("key-store", Some("key_store")),
        ("KeyStore", Some("key_store")),
        ("a b.c", Some("a_b_c")),
        ("1x", None),
        ("schlüssel", None),
        ("", None),
    ] {
        assert_eq!(snake(given).as_deref(), expected, "{given}");
    }
}

#[test]
fn scripts_may_join_but_nothing_may_turn_around() {
    assert!(
        ['\0', '\r', '\u{1b}', '\u{7f}', '\u{202e}', '\u{2066}', '\u{200f}', '\u{feff}']
            .iter()
            .all(|c| is_forbidden(*c))
    );
    assert!(!['\n', '\t', 'é', '\u{200d}', '漢', 'ع'].iter().any(|c| is_forbidden(*c)));
}
