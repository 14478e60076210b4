//! How far a scope reaches: canonical ids and URIs, compared segment by segment.

use std::fmt;

use super::Capability;

/// The scope of `attestation` that means the machine's GPU.
const GPU: &str = "gpu";

/// A scope, or the target of a call, in a form that can be read in one way only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Interfaces without scopes.
    All,
    /// A thing by its name: an application id, in lower case; the machine's GPU.
    Name(String),
    /// Segments of an ARM id.
    Arm(Vec<String>),
    /// A host, the segments of a path, and whether what lies below is meant.
    Uri { host: String, path: Vec<String>, below: Below },
}

/// What of a URI's subtree is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Below {
    /// The thing itself.
    Itself,
    /// The thing and everything below (Key Vault: a key and its versions).
    Included,
    /// A last segment `*`: everything below; the thing itself only when it is a container.
    Only,
}

impl Reach {
    /// Reads a scope (`scope`: may use `*`) or a target. The error completes "… because".
    pub(crate) fn parse(capability: Capability, text: &str, scope: bool) -> Result<Self, &'static str> {
        match capability {
            Capability::Artifacts | Capability::Crypto => Ok(Self::All),
            Capability::Azure if text == "/" => Err("it would reach everything"),
            Capability::Azure => {
                let path = text.strip_prefix('/').ok_or("an ARM id starts with /")?;
                let path = segments(path)?;
                match path.first().map(|s| s.to_ascii_lowercase()).as_deref() {
                    Some("subscriptions") if path.len() >= 2 || !scope => {}
                    Some("providers" | "tenants") if path.len() >= 2 || !scope => {}
                    Some("subscriptions" | "providers" | "tenants") => return Err("it would reach all of them"),
                    _ => return Err("an ARM id starts with /subscriptions/ or /providers/"),
                }
                if path.iter().any(|s| s.contains('*')) {
                    Err("ARM ids have no wildcards")
                } else {
                    Ok(Self::Arm(path))
                }
            }
            Capability::Keyvault => {
                let (host, path) = uri(text, &["vault.azure.net", "managedhsm.azure.net"])?;
                if path.iter().any(|s| s.contains('*')) {
                    return Err("key URIs have no wildcards; a key's URI covers its versions");
                }
                if path.first().is_some_and(|kind| kind != "keys") {
                    return Err("a key's URI continues with /keys/");
                }
                Ok(Self::Uri { host, path, below: Below::Included })
            }
            Capability::Hsm => {
                let (host, path) = uri(text, &["managedhsm.azure.net"])?;
                match path.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                    [] | ["keys"] => {}
                    ["keys", key] if !key.contains('*') => {}
                    _ => return Err("a scope in a managed HSM is /, /keys or /keys/<name>"),
                }
                Ok(Self::Uri { host, path, below: Below::Included })
            }
            Capability::Attestation if text == GPU => Ok(Self::Name(GPU.into())),
            Capability::Attestation => {
                let host = text.strip_prefix("https://").ok_or("it does not start with https://")?;
                let host = host.strip_suffix('/').unwrap_or(host).to_ascii_lowercase();
                // `<provider>.<region>.attest.azure.net`.
                let labels: Vec<&str> = host.strip_suffix(".attest.azure.net").unwrap_or_default().split('.').collect();
                match labels.len() == 2 && labels.iter().all(|l| is_label(l)) {
                    true => Ok(Self::Uri { host, path: Vec::new(), below: Below::Itself }),
                    false => Err("the host is not an attestation provider's"),
                }
            }
            Capability::Directory => {
                let digits = text.bytes().enumerate().all(|(i, b)| match i {
                    8 | 13 | 18 | 23 => b == b'-',
                    _ => b.is_ascii_hexdigit(),
                });
                match text.len() == 36 && digits {
                    true => Ok(Self::Name(text.to_ascii_lowercase())),
                    false => Err("an application id is a GUID"),
                }
            }
            Capability::Blob => {
                let (host, mut path) = uri(text, &["blob.core.windows.net"])?;
                let star = path.last().is_some_and(|s| s == "*");
                if star && scope {
                    path.pop();
                }
                if path.iter().any(|s| s.contains('*')) {
                    return Err("* may only be the whole last segment");
                }
                if path.is_empty() && !star {
                    return Err("a blob's URI names a container");
                }
                Ok(Self::Uri { host, path, below: if star { Below::Only } else { Below::Itself } })
            }
        }
    }

    /// Whether all of `other` lies within.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, Self::All) => true,
            (Self::Name(mine), Self::Name(theirs)) => mine == theirs,
            (Self::Arm(mine), Self::Arm(theirs)) => starts_with(theirs, mine, str::eq_ignore_ascii_case),
            (Self::Uri { host, path, below }, Self::Uri { host: their_host, path: theirs, below: their_below }) => {
                host == their_host
                    && match (below, their_below) {
                        (Below::Included, _) => starts_with(theirs, path, |a, b| a == b),
                        (Below::Itself, Below::Itself) => path == theirs,
                        (Below::Itself, _) => false,
                        (Below::Only, Below::Itself) => {
                            let container = path.len() == 1 && theirs.len() == 1;
                            starts_with(theirs, path, |a, b| a == b) && (theirs.len() > path.len() || container)
                        }
                        (Below::Only, _) => starts_with(theirs, path, |a, b| a == b),
                    }
            }
            _ => false,
        }
    }

    /// Whether a blob scope lies in a container.
    pub(crate) fn lies_in(&self, container: &Self) -> bool {
        match (self, container) {
            (Self::Uri { host, path, .. }, Self::Uri { host: theirs, path: container, .. }) => {
                host == theirs && container.len() == 1 && path.first() == container.first()
            }
            _ => false,
        }
    }

    /// Whether an ARM target goes, at a place that `scope` does not name itself, to where rights are given: to
    /// `providers/Microsoft.Authorization`, or to a type that gives them on its behalf (a template may assign roles).
    pub(crate) fn enters_authorization_below(&self, scope: &Self) -> bool {
        let (Self::Arm(target), Self::Arm(scope)) = (self, scope) else { return false };
        let count = |path: &[String]| {
            let gives = |name: &String| {
                let types = [
                    "Microsoft.Authorization",
                    "Microsoft.ManagedServices",
                    "deployments",
                    "deploymentStacks",
                    "deploymentScripts",
                ];
                types.iter().any(|t| name.eq_ignore_ascii_case(t))
            };
            path.iter().filter(|name| gives(name)).count()
        };
        count(target) > count(scope)
    }

    /// Whether an ARM target is an action of the `listKeys` kind, which answers with secrets.
    pub(crate) fn reveals_secrets(&self) -> bool {
        let Self::Arm(target) = self else { return false };
        // Types and names alternate after the provider's namespace: an action stands where a type would.
        let after = target.iter().rposition(|s| s.eq_ignore_ascii_case("providers")).map_or(0, |at| at + 2);
        let action = target.len() > after && (target.len() - after) % 2 == 1;
        let last = target.last().map(|s| s.to_ascii_lowercase()).unwrap_or_default();
        action && target.len() > after + 1 && last.starts_with("list")
    }

    /// The subscription of an ARM id.
    pub(crate) fn subscription(&self) -> Option<&str> {
        match self {
            Self::Arm(path) if path.first().is_some_and(|s| s.eq_ignore_ascii_case("subscriptions")) => {
                path.get(1).map(String::as_str)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => Ok(()),
            Self::Name(id) => f.write_str(id),
            Self::Arm(path) => write!(f, "/{}", path.join("/")),
            Self::Uri { host, path, below } => {
                write!(f, "https://{host}/{}", path.join("/"))?;
                match below {
                    Below::Only if path.is_empty() => f.write_str("*"),
                    Below::Only => f.write_str("/*"),
                    _ => Ok(()),
                }
            }
        }
    }
}

fn starts_with(long: &[String], short: &[String], same: impl Fn(&str, &str) -> bool) -> bool {
    long.len() >= short.len() && long.iter().zip(short).all(|(a, b)| same(a, b))
}

/// Splits a path. Only characters that mean themselves everywhere are let through: no escapes, no queries, and no
/// letters outside ASCII, which services fold in ways of their own.
fn segments(path: &str) -> Result<Vec<String>, &'static str> {
    path.split('/')
        .map(|s| match s {
            "" => Err("it has an empty segment"),
            "." | ".." => Err("it has a relative segment"),
            _ if s.contains('%') => Err("it has a percent escape"),
            _ if s.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~()!$&'*+,;=:@".contains(&b)) => Ok(s.to_owned()),
            _ => Err("it has a character that does not belong there"),
        })
        .collect()
}

/// Whether a text is one label of a host name.
fn is_label(l: &str) -> bool {
    !l.is_empty()
        && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !l.starts_with('-')
        && !l.ends_with('-')
}

/// Splits `https://<label>.<suffix>/<path>`. A slash directly after the host is the whole host.
fn uri(text: &str, suffixes: &[&str]) -> Result<(String, Vec<String>), &'static str> {
    let rest = text.strip_prefix("https://").ok_or("it does not start with https://")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host.to_ascii_lowercase();
    let known = suffixes.iter().any(|s| host.strip_suffix(s).and_then(|l| l.strip_suffix('.')).is_some_and(is_label));
    if !known {
        return Err("the host is not one of the service's");
    }
    Ok((host, if path.is_empty() { Vec::new() } else { segments(path)? }))
}
