//! From a certificate to a trust anchor (RFC 5280 §6), with every check noted.

use der::oid::AssociatedOid as _;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName};

use super::{Certificate, X509Error};
use crate::time;
use crate::verdict::Verdict;

/// A certificate that is trusted, by its name and its public key.
#[derive(Debug, Clone, Copy)]
pub struct Anchor<'a> {
    /// What it is called in a verdict.
    pub name: &'a str,
    /// The certificate.
    pub certificate: &'a Certificate,
}

/// What else a chain must keep to.
#[derive(Debug, Clone, Copy, Default)]
pub struct ChainRules<'a> {
    /// Critical extensions that the caller looks at itself.
    pub understood: &'a [&'a str],
}

/// Longer chains are refused; the longest that attestation uses has five certificates.
const LONGEST: usize = 8;
/// Signatures that are checked at most, so that a heap of certificates of one name costs a bounded time.
const BUDGET: usize = 64;

/// Follows a certificate to a trust anchor and notes `{what}.chain` (issuers' names and signatures, who may issue),
/// `{what}.root` (which anchor) and `{what}.validity` (every certificate's dates at `now`, the anchor's too).
///
/// Returns the index of the anchor, when there is one, whatever else failed.
pub fn verify_chain(
    what: &str,
    leaf: &Certificate,
    intermediates: &[Certificate],
    anchors: &[Anchor<'_>],
    rules: ChainRules<'_>,
    now: i64,
    verdict: &mut Verdict,
) -> Option<usize> {
    let mut search =
        Search { intermediates, anchors, rules, path: vec![leaf], unknown: None, why: None, budget: BUDGET };
    let found = search.walk();
    let Search { path, unknown, why, .. } = search;
    let Some(anchor) = found else {
        match unknown {
            // The chain holds together, but ends at somebody who is not trusted.
            Some((names, root)) => {
                verdict.check(format!("{what}.chain"), true, names);
                verdict.check(format!("{what}.root"), false, root);
            }
            None => {
                let why =
                    why.unwrap_or_else(|| format!("the issuer of {} ({}) is missing", leaf.name(), leaf.issuer()));
                verdict.check(format!("{what}.chain"), false, why);
            }
        }
        return None;
    };
    let root = anchors.get(anchor)?;
    let names: Vec<_> = path.iter().map(|c| c.name()).chain([root.certificate.name()]).collect();
    verdict.check(format!("{what}.chain"), true, format!("{}: every signature verifies", names.join(" <- ")));
    let key = root.certificate.spki().map(|spki| hex::encode(sealbook_crypto::sha256(&spki))).unwrap_or_default();
    verdict.check(format!("{what}.root"), true, format!("{}, pinned by its public key (SHA-256 {key})", root.name));
    let mut outside = Vec::new();
    for certificate in path.iter().copied().chain([root.certificate]) {
        if now < certificate.not_before() || now > certificate.not_after() {
            outside.push(format!(
                "{} is valid from {} to {}",
                certificate.name(),
                time::utc(certificate.not_before()),
                time::utc(certificate.not_after())
            ));
        }
    }
    let at = time::utc(now);
    let detail = if outside.is_empty() {
        format!("every certificate is valid at {at}")
    } else {
        format!("not valid at {at}: {}", outside.join("; "))
    };
    verdict.check(format!("{what}.validity"), outside.is_empty(), detail);
    Some(anchor)
}

struct Search<'a> {
    intermediates: &'a [Certificate],
    anchors: &'a [Anchor<'a>],
    rules: ChainRules<'a>,
    path: Vec<&'a Certificate>,
    /// A chain that is sound but ends at an unknown root: its names, and what is said of the root.
    unknown: Option<(String, String)>,
    /// The first reason why a chain does not go on.
    why: Option<String>,
    /// Signatures that may still be checked.
    budget: usize,
}

impl<'a> Search<'a> {
    /// Depth first: several certificates may carry the issuer's name.
    fn walk(&mut self) -> Option<usize> {
        let current = *self.path.last()?;
        if let Err(why) = self.extensions(current) {
            self.why.get_or_insert(why);
            return None;
        }
        for (index, anchor) in self.anchors.iter().enumerate() {
            if self.path.len() > 1 && current.same_subject_and_key(anchor.certificate) {
                // A chain that brings its root along: the trusted one stands in for it.
                self.path.pop();
                return Some(index);
            }
            if current.names(anchor.certificate) {
                match self.issued(current, anchor.certificate) {
                    Ok(()) => return Some(index),
                    Err(why) => _ = self.why.get_or_insert(why.to_string()),
                }
            }
        }
        for issuer in self.intermediates {
            if self.path.contains(&issuer) || !current.names(issuer) {
                continue;
            }
            match self.issued(current, issuer) {
                Ok(()) if self.path.len() < LONGEST => {
                    self.path.push(issuer);
                    let depth = self.path.len();
                    if let Some(found) = self.walk() {
                        return Some(found);
                    }
                    self.path.truncate(depth.saturating_sub(1));
                }
                Ok(()) => _ = self.why.get_or_insert(format!("it has more than {LONGEST} certificates")),
                Err(why) => _ = self.why.get_or_insert(why.to_string()),
            }
        }
        if current.names(current) && current.issued_by(current).is_ok() {
            let names: Vec<_> = self.path.iter().map(|c| c.name()).collect();
            let key = current.spki().map(|spki| hex::encode(sealbook_crypto::sha256(&spki))).unwrap_or_default();
            self.unknown.get_or_insert((
                format!("{}: every signature verifies", names.join(" <- ")),
                format!("{} with the public key SHA-256 {key} is no root that is trusted here", current.name()),
            ));
        } else {
            let missing = format!("the issuer of {} ({}) is missing", current.name(), current.issuer());
            self.why.get_or_insert(missing);
        }
        None
    }

    /// Whether `issuer` made `subject`, and may.
    fn issued(&mut self, subject: &Certificate, issuer: &Certificate) -> Result<(), X509Error> {
        let refuse = |what: &str| Err(X509Error::Unsupported(format!("{} {what}", issuer.name())));
        let Some(constraints) = issuer.basic_constraints().filter(|constraints| constraints.ca) else {
            return refuse("may not issue certificates: its basic constraints do not say that it is an authority");
        };
        // Authorities below it, without the leaf.
        let below = self.path.len().saturating_sub(1);
        if constraints.path_len_constraint.is_some_and(|most| below > usize::from(most)) {
            return refuse("may not stand so high above the leaf: its path length says so");
        }
        if issuer.key_usage().is_some_and(|usage| !usage.key_cert_sign()) {
            return refuse("may not sign certificates: its key usage says so");
        }
        let Some(left) = self.budget.checked_sub(1) else {
            return refuse("was not tried any more: too many certificates carry the same names");
        };
        self.budget = left;
        subject.issued_by(issuer)
    }

    /// Critical extensions must be understood (RFC 5280 §4.2).
    fn extensions(&self, certificate: &Certificate) -> Result<(), String> {
        let known = [BasicConstraints::OID, KeyUsage::OID, ExtendedKeyUsage::OID, SubjectAltName::OID];
        for extension in certificate.extensions().iter().filter(|extension| extension.critical) {
            let oid = extension.extn_id;
            if !known.contains(&oid) && !self.rules.understood.contains(&oid.to_string().as_str()) {
                return Err(format!(
                    "{} has the critical extension {oid}, which is not understood",
                    certificate.name()
                ));
            }
        }
        Ok(())
    }
}
