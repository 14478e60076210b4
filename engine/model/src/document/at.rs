//! Values that remember where they stand.

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Deref, Range};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use toml::Spanned;

/// A value and its bytes in the file.
#[derive(Debug, Clone)]
pub(crate) struct At<T>(Spanned<T>);

impl<T> At<T> {
    pub(crate) fn span(&self) -> Range<usize> {
        self.0.span()
    }

    pub(crate) fn value(&self) -> &T {
        self.0.get_ref()
    }
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.get_ref()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Spanned::deserialize(d).map(Self)
    }
}

impl<T: Ord> Ord for At<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.value().cmp(other.value())
    }
}

impl<T: Ord> PartialOrd for At<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value() == other.value()
    }
}

impl<T: Eq> Eq for At<T> {}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// Any TOML value, each part with its place.
pub(crate) type LooseAt = At<Loose>;

/// Any TOML value that has a counterpart in JSON.
#[derive(Debug, Clone)]
pub(crate) enum Loose {
    Text(String),
    Plain(Value),
    List(Vec<LooseAt>),
    /// In source order.
    Table(Vec<(At<String>, LooseAt)>),
}

impl JsonSchema for Loose {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Value".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        Schema::from(true)
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Loose;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, true or false, a list or a table")
            }

            fn visit_str<E>(self, v: &str) -> Result<Loose, E> {
                Ok(Loose::Text(v.to_owned()))
            }

            fn visit_bool<E>(self, v: bool) -> Result<Loose, E> {
                Ok(Loose::Plain(v.into()))
            }

            fn visit_i64<E>(self, v: i64) -> Result<Loose, E> {
                Ok(Loose::Plain(v.into()))
            }

            fn visit_u64<E>(self, v: u64) -> Result<Loose, E> {
                Ok(Loose::Plain(v.into()))
            }

            fn visit_f64<E>(self, v: f64) -> Result<Loose, E> {
                Ok(Loose::Plain(v.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Loose, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Loose::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose, A::Error> {
                let mut fields: Vec<(At<String>, LooseAt)> = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                fields.sort_by_key(|(key, _)| key.span().start);
                Ok(Loose::Table(fields))
            }
        }
        d.deserialize_any(Any)
    }
}
