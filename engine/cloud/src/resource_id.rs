//! ARM resource ids: parsing, comparing by segment without case, and the scope that an id lies in.

use std::fmt;

/// An ARM id, also one that extends a resource (`…/vaults/v/providers/Microsoft.Authorization/roleAssignments/n`)
/// or names a part of it that ARM does not manage (`…/vaults/v/keys/k`).
#[derive(Clone, Debug)]
pub(crate) struct ResourceId {
    segments: Vec<String>,
}

impl ResourceId {
    /// Parses an id; `None` when a segment is empty, `.` or `..`.
    pub fn parse(id: &str) -> Option<Self> {
        let id = id.strip_prefix('/')?;
        let id = id.strip_suffix('/').unwrap_or(id);
        if id.is_empty() {
            return Some(Self { segments: Vec::new() });
        }
        let segments: Vec<String> = id.split('/').map(str::to_owned).collect();
        segments.iter().all(|s| !matches!(s.as_str(), "" | "." | "..")).then_some(Self { segments })
    }

    /// The id of a resource of a resource group. `kind` is the type with namespace (`Microsoft.KeyVault/vaults`).
    pub fn resource(subscription: &str, group: &str, kind: &str, name: &str) -> Self {
        let mut segments = vec!["subscriptions".to_owned(), subscription.to_owned()];
        segments.extend(["resourceGroups".to_owned(), group.to_owned(), "providers".to_owned()]);
        segments.extend(kind.split('/').map(str::to_owned));
        segments.push(name.to_owned());
        Self { segments }
    }

    /// Segments in order.
    pub fn segments(&self) -> &[String] {
        &self.segments
    }

    fn after(&self, position: usize, literal: &str) -> Option<&str> {
        let named = self.segments.get(position)?.eq_ignore_ascii_case(literal);
        named.then(|| self.segments.get(position + 1)).flatten().map(String::as_str)
    }

    /// Subscription id.
    pub fn subscription(&self) -> Option<&str> {
        self.after(0, "subscriptions")
    }

    /// Resource group.
    pub fn group(&self) -> Option<&str> {
        self.subscription()?;
        self.after(2, "resourceGroups")
    }

    /// Position of the last `providers` segment.
    fn provider(&self) -> Option<usize> {
        let mut next = if self.group().is_some() {
            4
        } else if self.subscription().is_some() {
            2
        } else {
            0
        };
        let is_literal = |at: usize| self.segments.get(at).is_some_and(|s| s.eq_ignore_ascii_case("providers"));
        let mut found = None;
        // Only where a type could stand is it the literal: a resource may have that name.
        while is_literal(next) {
            found = Some(next);
            next += 2;
            while next < self.segments.len() && !is_literal(next) {
                next += 2;
            }
        }
        found
    }

    /// Namespace of the (innermost) provider.
    pub fn namespace(&self) -> Option<&str> {
        self.segments.get(self.provider()? + 1).map(String::as_str)
    }

    /// Type with namespace; `Microsoft.Resources/resourceGroups` or `…/subscriptions` for those.
    pub fn kind(&self) -> String {
        let Some(provider) = self.provider() else {
            let kind = if self.group().is_some() { "resourceGroups" } else { "subscriptions" };
            return format!("Microsoft.Resources/{kind}");
        };
        let mut kind = self.segments.get(provider + 1).cloned().unwrap_or_default();
        for part in self.segments.iter().skip(provider + 2).step_by(2) {
            kind.push('/');
            kind.push_str(part);
        }
        kind
    }

    /// The resource that this one is a part of (`…/virtualNetworks/v` of `…/virtualNetworks/v/subnets/s`).
    pub fn parent(&self) -> Option<Self> {
        let below = self.segments.len().checked_sub(self.provider()? + 2)?;
        (below >= 4).then(|| Self { segments: self.segments[..self.segments.len() - 2].to_vec() })
    }

    /// The same id with the literals and the type spelled as Azure spells them. `kind` is the type with namespace.
    pub fn spelled(mut self, kind: &str) -> Self {
        for (position, literal) in [(0, "subscriptions"), (2, "resourceGroups")] {
            if self.after(position, literal).is_some() {
                literal.clone_into(&mut self.segments[position]);
            }
        }
        if let Some(provider) = self.provider() {
            "providers".clone_into(&mut self.segments[provider]);
            let mut parts = kind.split('/');
            let positions = std::iter::once(provider + 1).chain((provider + 2..).step_by(2));
            for (position, part) in positions.zip(&mut parts) {
                if let Some(segment) = self.segments.get_mut(position) {
                    part.clone_into(segment);
                }
            }
        }
        self
    }

    /// Last segment.
    pub fn name(&self) -> &str {
        self.segments.last().map_or("", String::as_str)
    }

    /// Whether `self` is `other` or lies below it, by segments and without case.
    pub fn within(&self, other: &Self) -> bool {
        self.segments.len() >= other.segments.len()
            && self.segments.iter().zip(&other.segments).all(|(a, b)| a.eq_ignore_ascii_case(b))
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.segments.is_empty() {
            return f.write_str("/");
        }
        self.segments.iter().try_for_each(|s| write!(f, "/{s}"))
    }
}

/// Whether scope `inner` is `outer` or lies below it.
pub(crate) fn within(inner: &str, outer: &str) -> bool {
    match (ResourceId::parse(inner), ResourceId::parse(outer)) {
        (Some(inner), Some(outer)) => inner.within(&outer),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let id = ResourceId::parse("/subscriptions/s/resourcegroups/G/providers/Microsoft.KeyVault/vaults/v/keys/k");
        let id = id.unwrap();
        assert_eq!(id.subscription(), Some("s"));
        assert_eq!(id.group(), Some("G"));
        assert_eq!(id.namespace(), Some("Microsoft.KeyVault"));
        assert_eq!(id.kind(), "Microsoft.KeyVault/vaults/keys");
        assert_eq!(id.name(), "k");
        assert!(ResourceId::parse("/subscriptions//x").is_none());
        assert!(ResourceId::parse("/subscriptions/../x").is_none());
        assert_eq!(ResourceId::parse("/").unwrap().to_string(), "/");
    }

    #[test]
    fn parents_and_spelling() {
        let id = "/Subscriptions/s/resourcegroups/g/Providers/microsoft.network/virtualnetworks/v/SUBNETS/n";
        let id = ResourceId::parse(id).unwrap().spelled("Microsoft.Network/virtualNetworks/subnets");
        let vnet = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v";
        assert_eq!(id.to_string(), format!("{vnet}/subnets/n"));
        assert_eq!(id.parent().unwrap().to_string(), vnet);
        assert!(id.parent().unwrap().parent().is_none());
    }

    #[test]
    fn a_name_is_no_literal() {
        let group = "/subscriptions/s/resourceGroups/providers";
        let table = [
            (group.to_owned(), "Microsoft.Resources/resourceGroups", "providers"),
            (format!("{group}/providers/A.b/c/providers"), "A.b/c", "providers"),
            (format!("{group}/providers/A.b/c/providers/d/e"), "A.b/c/d", "e"),
            (format!("{group}/providers/A.b/c/providers/providers/D.e/f/g"), "D.e/f", "g"),
            ("/providers/A.b/c/d".to_owned(), "A.b/c", "d"),
        ];
        for (id, kind, name) in table {
            let id = ResourceId::parse(&id).unwrap();
            assert_eq!((id.kind().as_str(), id.name()), (kind, name), "{id}");
        }
    }

    #[test]
    fn within_is_by_segment() {
        let table = [
            ("/subscriptions/s/resourceGroups/lab", "/subscriptions/S/resourcegroups/LAB", true),
            ("/subscriptions/s/resourceGroups/lab-2", "/subscriptions/s/resourceGroups/lab", false),
            ("/subscriptions/s/resourceGroups/lab", "/subscriptions/s", true),
            ("/subscriptions/s", "/subscriptions/s/resourceGroups/lab", false),
            ("/subscriptions/s", "/", true),
            ("/subscriptions/s/", "/subscriptions/s", true),
        ];
        for (inner, outer, expected) in table {
            assert_eq!(within(inner, outer), expected, "{inner} in {outer}");
        }
    }
}
