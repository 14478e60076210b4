//! Trust anchors: whom a verdict believes without further proof. Data, handed in with every verification.
//!
//! Built in are AMD's root keys (ARK) for Milan, Genoa and Turin, Intel's root for SGX and TDX, and DigiCert's roots, to
//! which the certificates of Azure's services lead. A test root belongs to a world of its own and says so in every
//! verdict; none is built in.
//!
//! The text form is a PEM bundle with one line before each certificate:
//!
//! ```text
//! # root amd/milan; what follows a semicolon is a comment
//! # root amd/milan test "SEALBOOK TEST"
//! # intermediate amd/milan
//! # root intel
//! # root tls
//! ```

use std::fmt;

use crate::snp::Product;
use crate::x509::{Anchor, Certificate};

/// What a root is trusted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// SEV-SNP hardware of a generation.
    Amd(Product),
    /// SGX and TDX hardware.
    Intel,
    /// Certificates of services.
    Tls,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::Amd(Product::Milan), Self::Amd(Product::Genoa), Self::Amd(Product::Turin), Self::Intel, Self::Tls];

    /// Returns the name in the text form.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd(Product::Milan) => "amd/milan",
            Self::Amd(Product::Genoa) => "amd/genoa",
            Self::Amd(Product::Turin) => "amd/turin",
            Self::Intel => "intel",
            Self::Tls => "tls",
        }
    }
}

/// Where a root comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Origin {
    /// It is built in.
    Builtin,
    /// Whoever asked for the verdict gave it.
    Given,
    /// It is the root of a test world.
    Test {
        /// The world's name.
        name: String,
    },
}

/// A trust anchor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// What it is trusted for.
    pub kind: Kind,
    /// Where it comes from.
    pub origin: Origin,
    /// Its certificate; what is trusted is the name and the public key.
    pub certificate: Certificate,
    /// Authorities right below it that everybody knows, so that evidence need not bring them.
    pub intermediates: Vec<Certificate>,
    label: String,
}

impl Root {
    /// Makes a root.
    #[must_use]
    pub fn new(kind: Kind, origin: Origin, certificate: Certificate, intermediates: Vec<Certificate>) -> Self {
        let name = certificate.name();
        let label = match &origin {
            Origin::Builtin => format!("{name} (built in)"),
            Origin::Given => format!("{name} (given by you)"),
            Origin::Test { name: world } => format!("{name} (a TEST root of {world})"),
        };
        Self { kind, origin, certificate, intermediates, label }
    }

    /// Returns the name in a verdict: also says whether it is built in, given or a test root.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }
}

/// Why a text has no roots.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("certificate {number} of the roots: {why}")]
pub struct RootsError {
    /// Which certificate, counted from one.
    pub number: usize,
    /// What is wrong.
    pub why: String,
}

/// The trust anchors of one verification.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roots(Vec<Root>);

impl Roots {
    /// Trusts nobody.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The roots of AMD, Intel and DigiCert.
    #[must_use]
    pub fn builtin() -> Self {
        let mut roots = Self::from_pem(include_str!("builtin.pem")).unwrap_or_default();
        for root in &mut roots.0 {
            *root = Root::new(
                root.kind,
                Origin::Builtin,
                root.certificate.clone(),
                std::mem::take(&mut root.intermediates),
            );
        }
        roots
    }

    /// Adds a root of a test world, with the authorities below it.
    #[must_use]
    pub fn with_test(self, world: &str, kind: Kind, certificate: Certificate, intermediates: Vec<Certificate>) -> Self {
        self.with(Root::new(kind, Origin::Test { name: world.to_owned() }, certificate, intermediates))
    }

    /// Adds a root.
    #[must_use]
    pub fn with(mut self, root: Root) -> Self {
        self.0.push(root);
        self
    }

    /// Adds the roots of a file.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Returns all of them.
    pub fn iter(&self) -> impl Iterator<Item = &Root> {
        self.0.iter()
    }

    /// Returns those of the kinds that `wanted` names.
    #[must_use]
    pub fn of(&self, wanted: impl Fn(Kind) -> bool) -> Vec<&Root> {
        self.0.iter().filter(|root| wanted(root.kind)).collect()
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// [`RootsError`] says which certificate has no line before it, a line that is not understood, or is broken.
    pub fn from_pem(text: &str) -> Result<Self, RootsError> {
        const END: &str = "-----END CERTIFICATE-----";
        let mut roots = Self::default();
        if !text.contains(END) {
            return Err(RootsError { number: 1, why: "there is none".into() });
        }
        for (index, part) in text.split_inclusive(END).enumerate() {
            let refuse = |why: String| RootsError { number: index.saturating_add(1), why };
            let Some((comments, _)) = part.split_once("-----BEGIN CERTIFICATE-----") else {
                if part.contains(END) {
                    return Err(refuse("it has no beginning".into()));
                }
                continue;
            };
            let certificate = Certificate::bundle(part.as_bytes()).map_err(|error| refuse(error.to_string()))?;
            let certificate = certificate.into_iter().next().ok_or_else(|| refuse("there is none".into()))?;
            let line = comments.lines().rev().find_map(Line::parse);
            let line = line.ok_or_else(|| {
                let kinds: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
                refuse(format!(
                    "the line before it must say `# root KIND` or `# intermediate KIND`; kinds: {}",
                    kinds.join(", ")
                ))
            })?;
            match line {
                Line { root: true, kind, test } => {
                    let origin = test.map_or(Origin::Given, |name| Origin::Test { name });
                    roots.0.push(Root::new(kind, origin, certificate, Vec::new()));
                }
                Line { root: false, kind, .. } => {
                    let above = roots.0.iter_mut().rev().find(|root| root.kind == kind);
                    let above = above.ok_or_else(|| refuse(format!("no root {} stands before it", kind.name())))?;
                    above.intermediates.push(certificate);
                }
            }
        }
        Ok(roots)
    }

    /// Writes the text form.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Root { kind, origin, certificate, intermediates, .. } in &self.0 {
            let test = match origin {
                Origin::Test { name } => format!(" test \"{name}\""),
                Origin::Builtin | Origin::Given => String::new(),
            };
            let rows = std::iter::once(("root", test, certificate))
                .chain(intermediates.iter().map(|below| ("intermediate", String::new(), below)));
            for (what, test, certificate) in rows {
                let digest = hex::encode(certificate.fingerprint());
                writeln!(f, "# {what} {}{test}; {}; sha256 {digest}", kind.name(), certificate.name())?;
                f.write_str(&certificate.pem())?;
            }
        }
        Ok(())
    }
}

/// What the line before a certificate says.
struct Line {
    root: bool,
    kind: Kind,
    test: Option<String>,
}

impl Line {
    fn parse(line: &str) -> Option<Self> {
        let (line, _) = line.split_once(';').unwrap_or((line, ""));
        let line = line.trim().strip_prefix('#')?.trim();
        let (what, rest) = line.split_once(' ')?;
        let (kind, rest) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
        let kind = Kind::ALL.into_iter().find(|known| known.name() == kind)?;
        let test = match rest.trim() {
            "" => None,
            rest => {
                let name = rest.strip_prefix("test")?.trim().strip_prefix('"')?.strip_suffix('"')?;
                Some(name.to_owned())
            }
        };
        match what {
            "root" => Some(Self { root: true, kind, test }),
            "intermediate" if test.is_none() => Some(Self { root: false, kind, test }),
            _ => None,
        }
    }
}

/// The roots as anchors of a chain.
pub(crate) fn anchors<'a>(roots: &[&'a Root]) -> Vec<Anchor<'a>> {
    roots.iter().map(|root| Anchor { name: root.label(), certificate: &root.certificate }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of each certificate, as its owner publishes it.
    const BUILTIN: [(&str, &str, &str); 6] = [
        ("amd/milan", "ARK-Milan", "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd"),
        ("amd/genoa", "ARK-Genoa", "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1"),
        ("amd/turin", "ARK-Turin", "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a"),
        ("intel", "Intel SGX Root CA", "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"),
        ("tls", "DigiCert Global Root G2", "cb3ccbb76031e5e0138f8dd39a23f9de47ffc35e43c1144cea27d46a5ab1cb5f"),
        ("tls", "DigiCert Global Root G3", "31ad6648f8104138c738f39ea4320133393e3a18cc02296ef97c2ac9ef6731d0"),
    ];

    #[test]
    fn the_built_in_roots_are_these_and_no_test_root() {
        let roots = Roots::builtin();
        let found: Vec<_> = roots
            .iter()
            .map(|root| (root.kind.name(), root.certificate.name(), hex::encode(root.certificate.fingerprint())))
            .collect();
        let expected = BUILTIN.map(|(kind, name, digest)| (kind, name.to_owned(), digest.to_owned()));
        assert_eq!(found, expected);
        for root in roots.iter() {
            assert_eq!(root.origin, Origin::Builtin);
            root.certificate.issued_by(&root.certificate).unwrap();
            for below in &root.intermediates {
                below.issued_by(&root.certificate).unwrap();
            }
        }
        assert_eq!(roots.iter().filter(|root| root.intermediates.len() == 1).count(), 3, "AMD's");
    }

    #[test]
    fn the_text_form_reads_what_it_writes() {
        let mut roots = Roots::builtin();
        let milan = roots.0[0].clone();
        roots = roots.with_test("A WORLD", milan.kind, milan.certificate, milan.intermediates);
        let text = roots.to_pem();
        let again = Roots::from_pem(&text).unwrap();
        assert_eq!(again.to_pem(), text);
        let origins: Vec<_> = again.iter().map(|root| root.origin.clone()).collect();
        assert!(origins[..6].iter().all(|origin| *origin == Origin::Given), "a file cannot say that it is built in");
        assert_eq!(origins[6], Origin::Test { name: "A WORLD".into() });
        assert!(again.0[6].label().contains("TEST root of A WORLD"), "{}", again.0[6].label());
    }

    #[test]
    fn lines_that_say_nothing_are_refused() {
        let pem = Roots::builtin().0[0].certificate.pem();
        for (text, why) in [
            (String::new(), "there is none"),
            ("# root amd/milan\n".into(), "there is none"),
            (pem.clone(), "must say"),
            (format!("# root amd/naples\n{pem}"), "must say"),
            (format!("# root amd/milan builtin\n{pem}"), "must say"),
            (format!("# intermediate amd/milan\n{pem}"), "no root amd/milan"),
            (format!("# root amd/milan\n{}", pem.replace("MII", "!!!")), "base64"),
            (format!("# root amd/milan\n{pem}{pem}"), "must say"),
        ] {
            let error = Roots::from_pem(&text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
