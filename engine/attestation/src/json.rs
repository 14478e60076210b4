//! JSON from outside, read strictly: no name twice in one object (RFC 8259 §4 leaves open which of two counts, and two
//! readers that choose differently are an attack), nothing nested too deep, nothing too long.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Why a text was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It is longer than what this kind of document may be. It was not looked at.
    #[error("it has {length} bytes, and more than {limit} are not read")]
    TooLong {
        /// Length in bytes.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
    /// It is no JSON, is nested too deep, or has a name twice.
    #[error("{0}")]
    Syntax(String),
}

/// Reads one document of at most `bytes` bytes whose arrays and objects are nested at most `depth` deep.
pub(crate) fn read(text: &[u8], bytes: usize, depth: usize) -> Result<Value, JsonError> {
    if text.len() > bytes {
        return Err(JsonError::TooLong { length: text.len(), limit: bytes });
    }
    let syntax = |why: serde_json::Error| JsonError::Syntax(why.to_string());
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Strict { limit: depth, left: depth }.deserialize(&mut reader).map_err(syntax)?;
    reader.end().map_err(syntax)?;
    Ok(value)
}

#[derive(Clone, Copy)]
struct Strict {
    limit: usize,
    left: usize,
}

impl Strict {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.left.checked_sub(1) {
            Some(left) => Ok(Self { left, ..self }),
            None => Err(E::custom(format_args!("it is nested deeper than {} levels", self.limit))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut all = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            all.push(item);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut all = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if all.contains_key(&name) {
                return Err(A::Error::custom(format_args!("the name {name:?} is there twice")));
            }
            let value = members.next_value_seed(inner)?;
            all.insert(name, value);
        }
        Ok(Value::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        let table: [(&str, Option<&str>); 9] = [
            (r#"{"a":1,"b":[true,null,-2,1.5,"x"],"c":{"a":2}}"#, None),
            (r#"{"a":1,"a":1}"#, Some("the name \"a\" is there twice")),
            (r#"{"x":{"a":1,"b":0,"\u0061":2}}"#, Some("the name \"a\" is there twice")),
            (r#"[{"a":1},{"a":2}]"#, None),
            ("{} {}", Some("trailing characters")),
            ("", Some("EOF")),
            ("[1,]", Some("trailing comma")),
            ("\u{feff}{}", Some("expected value")),
            (r#""\ud800""#, Some("hex escape")),
        ];
        for (text, refusal) in table {
            match (read(text.as_bytes(), 1000, 8), refusal) {
                (Ok(value), None) => assert_eq!(value, serde_json::from_str::<Value>(text).unwrap()),
                (Err(why), Some(refusal)) => assert!(why.to_string().contains(refusal), "{text}: {why}"),
                (got, _) => panic!("{text}: {got:?}"),
            }
        }
        assert!(read(&[b'"', 0xff, b'"'], 1000, 8).is_err(), "no UTF-8");
    }

    #[test]
    fn depth_and_length_are_limited() {
        assert!(read(b"[[[]]]", 100, 3).is_ok());
        assert!(read(b"[[[]]]", 100, 2).unwrap_err().to_string().contains("deeper than 2 levels"));
        assert!(read(b"{\"a\":[{}]}", 100, 2).is_err());
        assert_eq!(read(b"[]  ", 3, 2), Err(JsonError::TooLong { length: 4, limit: 3 }));
        for bomb in ["[".repeat(100_000), "{\"a\":".repeat(100_000)] {
            assert!(read(bomb.as_bytes(), usize::MAX, 64).unwrap_err().to_string().contains("deeper than 64"));
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&text, 1 << 20, 64);
        }
    }
}
