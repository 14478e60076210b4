//! Values that must not be shown, and that wipe their memory when they go.

use std::fmt;

use zeroize::Zeroizing;

/// Holds secret bytes: wiped on drop, never printed, never compared with `==`.
///
/// To compare, use [`crate::constant_time_eq`] on the exposed bytes.
#[derive(Clone, Default)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes the bytes over. The vector's own buffer is the one that is wiped later.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Lends the bytes. Every call site is a place where a secret is in the open: keep them few.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Counts the bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells whether there is nothing inside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<u8>> for SecretBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(..)")
    }
}

/// Holds secret text: wiped on drop, never printed, never compared with `==`.
#[derive(Clone, Default)]
pub struct SecretString(Zeroizing<String>);

impl SecretString {
    /// Takes the text over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Lends the text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Counts the bytes of the UTF-8 form.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells whether there is nothing inside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for SecretString {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for SecretString {
    fn from(text: &str) -> Self {
        Self::new(text.to_owned())
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretString(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_the_content() {
        let rows = [
            (format!("{:?}", SecretBytes::from(b"hunter2".to_vec())), "SecretBytes(..)"),
            (format!("{:#?}", Some(SecretBytes::from(vec![7; 3]))), "Some(\n    SecretBytes(..),\n)"),
            (format!("{:?}", SecretString::from("hunter2")), "SecretString(..)"),
        ];
        for (shown, expected) in rows {
            assert_eq!(shown, expected);
        }
    }

    #[test]
    fn content_and_length_are_kept() {
        let bytes = SecretBytes::from(b"abc".to_vec());
        assert_eq!((bytes.expose(), bytes.len(), bytes.is_empty()), (&b"abc"[..], 3, false));
        let text = SecretString::from("grün");
        assert_eq!((text.expose(), text.len(), text.is_empty()), ("grün", 5, false));
        assert!(SecretBytes::default().is_empty() && SecretString::default().is_empty());
    }
}
