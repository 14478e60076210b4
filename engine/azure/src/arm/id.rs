//! Resource ids: what they may look like, and which type they are of.

use crate::error::{AzureError, Kind};

/// Longest id that Azure gives out, with room to spare.
const LONGEST: usize = 2048;

/// Checks that an id is a plain path: nothing in it may change host, query or level once it stands in a URL.
pub(crate) fn check(id: &str) -> Result<(), AzureError> {
    let Some(path) = id.strip_prefix('/') else {
        return Err(refused(id, "it must start with `/`"));
    };
    if id.len() > LONGEST {
        let start: String = id.chars().take(40).collect();
        return Err(refused(&start, "it is too long"));
    }
    for segment in path.split('/') {
        if segment.is_empty() {
            return Err(refused(id, "it has an empty segment"));
        }
        if segment.chars().all(|c| c == '.') {
            return Err(refused(id, "a segment may not be dots alone"));
        }
        if let Some(c) = segment.chars().find(|c| !is_plain(*c)) {
            return Err(refused(id, &format!("{c:?} may not stand in it")));
        }
    }
    Ok(())
}

/// Letters, digits and the punctuation that names in Azure may have and URLs do not interpret.
fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || "-_.~()+,;=:@!$'&".contains(c)
}

pub(crate) fn refused(id: &str, why: &str) -> AzureError {
    AzureError::new(Kind::BadRequest, "InvalidResourceId", format!("{id:?} is not a resource id: {why}"))
}

/// Names the type of what an id stands for (`Microsoft.KeyVault/vaults/keys`); what a list or action is asked of counts
/// by its path (`Microsoft.KeyVault/locations/deletedVaults/purge`).
pub(crate) fn type_of(id: &str) -> String {
    let segments: Vec<&str> = id.split('/').filter(|segment| !segment.is_empty()).collect();
    let is = |index: usize, name: &str| segments.get(index).is_some_and(|segment| segment.eq_ignore_ascii_case(name));
    // The last `providers` decides: a role assignment on a key is a role assignment.
    let provider = segments.iter().rposition(|segment| segment.eq_ignore_ascii_case("providers"));
    if let Some(at) = provider
        && segments.len() > at + 2
        // `/subscriptions/s/providers/N/register` is about the provider, not a type of its own.
        && !(segments.len() == at + 3 && (is(at + 2, "register") || is(at + 2, "unregister")))
    {
        let types = segments[at + 2..].iter().step_by(2);
        return types.fold(segments[at + 1].to_owned(), |name, segment| format!("{name}/{segment}"));
    }
    if provider.is_some() {
        return "Microsoft.Resources/providers".to_owned();
    }
    match segments.as_slice() {
        [first, ..] if first.eq_ignore_ascii_case("tenants") => "Microsoft.Resources/tenants".to_owned(),
        [_] | [_, _] => "Microsoft.Resources/subscriptions".to_owned(),
        [_, _, kind, ..] if kind.eq_ignore_ascii_case("resourceGroups") && !is(4, "resources") => {
            "Microsoft.Resources/resourceGroups".to_owned()
        }
        [_, _, kind] if kind.eq_ignore_ascii_case("locations") => {
            "Microsoft.Resources/subscriptions/locations".to_owned()
        }
        [.., kind] => format!("Microsoft.Resources/{kind}"),
        [] => "Microsoft.Resources".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_plain_paths() {
        let fine = [
            "/subscriptions",
            "/subscriptions/s/resourceGroups/rg-1",
            "/subscriptions/s/resourceGroups/rg_(a).b",
            "/subscriptions/s/resourceGroups/grün",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v/keys/k",
        ];
        for id in fine {
            assert!(check(id).is_ok(), "{id}");
        }
        let refused = [
            "",
            "subscriptions/s",
            "/",
            "/subscriptions//resourceGroups/g",
            "/subscriptions/s/",
            "/subscriptions/../tenants",
            "/subscriptions/./s",
            "/subscriptions/.../s",
            "/subscriptions/%2e%2e/tenants",
            "/subscriptions/s%2Fx",
            "/subscriptions/s?api-version=1",
            "/subscriptions/s#x",
            "//evil.example/subscriptions/s",
            "/\\evil.example",
            "https://evil.example/subscriptions/s",
            "/subscriptions/s x",
            "/subscriptions/s\t",
            "/subscriptions/s\n",
            "/subscriptions/s\u{0}",
            "/subscriptions/*",
        ];
        for id in refused {
            let error = check(id).unwrap_err();
            assert_eq!((error.kind, error.code.as_str()), (Kind::BadRequest, "InvalidResourceId"), "{id:?}");
        }
        assert!(check(&format!("/{}", "x".repeat(3000))).is_err());
    }

    #[test]
    fn the_type_follows_from_the_path() {
        let rows = [
            ("/tenants", "Microsoft.Resources/tenants"),
            ("/subscriptions", "Microsoft.Resources/subscriptions"),
            ("/subscriptions/s", "Microsoft.Resources/subscriptions"),
            ("/subscriptions/s/locations", "Microsoft.Resources/subscriptions/locations"),
            ("/subscriptions/s/resources", "Microsoft.Resources/resources"),
            ("/subscriptions/s/resourcegroups", "Microsoft.Resources/resourceGroups"),
            ("/subscriptions/s/resourceGroups/g", "Microsoft.Resources/resourceGroups"),
            ("/subscriptions/s/resourceGroups/g/resources", "Microsoft.Resources/resources"),
            ("/subscriptions/s/providers", "Microsoft.Resources/providers"),
            ("/subscriptions/s/providers/Microsoft.KeyVault", "Microsoft.Resources/providers"),
            ("/subscriptions/s/providers/Microsoft.KeyVault/register", "Microsoft.Resources/providers"),
            ("/subscriptions/s/providers/Microsoft.Compute/skus", "Microsoft.Compute/skus"),
            (
                "/subscriptions/s/providers/Microsoft.KeyVault/locations/west/deletedVaults/v/purge",
                "Microsoft.KeyVault/locations/deletedVaults/purge",
            ),
            ("/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v", "Microsoft.KeyVault/vaults"),
            (
                "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v/keys/k/providers/Microsoft.Authorization/roleAssignments/r",
                "Microsoft.Authorization/roleAssignments",
            ),
        ];
        for (id, name) in rows {
            assert_eq!(type_of(id), name, "{id}");
        }
    }
}
