//! Whether a principal may do something somewhere, at this instant of the cloud clock.

use super::custom::Permission;
use super::roles::Role;
use super::{assignments, definitions};
use crate::cx::Cx;
use crate::identity::tenants;
use crate::refusal::Refusal;
use crate::resource_id::within;

/// The outcome of an access check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    /// Whether the action is allowed.
    pub allowed: bool,
    /// The assignment that allows it.
    pub assignment: Option<String>,
    /// Whether an assignment exists that would allow it but has not propagated yet.
    pub propagating: bool,
}

/// Judges `action` (a data action when `data`) of a principal at a scope: role assignments at the scope or above it
/// count once their propagation delay has passed.
pub(crate) fn decide(cx: &Cx<'_>, principal: &str, action: &str, data: bool, scope: &str) -> Result<Decision, Refusal> {
    let mut decision = Decision { allowed: false, assignment: None, propagating: false };
    // A subscription trusts one tenant: nobody from another has a role in it.
    let trusted = tenants::of_scope(cx.tx, scope)?;
    if let Some(tenant) = trusted
        && !tenants::of_principal(cx.tx, principal)?.eq_ignore_ascii_case(&tenant.id)
    {
        return Ok(decision);
    }
    for assignment in assignments::of_principal(cx.tx, principal)? {
        if !within(scope, &assignment.scope) {
            continue;
        }
        let Some(role) = definitions::by_id(cx.tx, assignment.role())? else { continue };
        if !role.grants(action, data) {
            continue;
        }
        if assignment.effective <= cx.now {
            decision.allowed = true;
            decision.assignment = Some(assignment.id());
            decision.propagating = false;
            break;
        }
        decision.propagating = true;
    }
    Ok(decision)
}

/// Whether a role grants an action: named by its (data) actions and not taken out again.
pub(crate) fn grants(role: &Role, action: &str, data: bool) -> bool {
    let (yes, no) = if data { (role.data_actions, role.not_data_actions) } else { (role.actions, role.not_actions) };
    named(yes, action) && !named(no, action)
}

/// Whether a custom role's permission grants an action.
pub(crate) fn permits(permission: &Permission, action: &str, data: bool) -> bool {
    let (yes, no) = if data {
        (&permission.data_actions, &permission.not_data_actions)
    } else {
        (&permission.actions, &permission.not_actions)
    };
    named(yes, action) && !named(no, action)
}

fn named(patterns: &[impl AsRef<str>], action: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern.as_ref(), action))
}

/// Matches an action against a pattern in which `*` stands for any run of characters, without case. A `*` between two
/// slashes may stand for nothing together with one of them: Managed Identity Operator's
/// `userAssignedIdentities/*/assign/action` grants `userAssignedIdentities/assign/action`.
fn matches(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    runs(&pattern, &action) || (pattern.contains("/*/") && runs(&pattern.replace("/*/", "/"), &action))
}

fn runs(pattern: &str, action: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = action.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(position) => rest = &rest[position + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authorization::roles;

    #[test]
    fn patterns() {
        let table = [
            ("*", "Microsoft.X/y/write", true),
            ("*/read", "Microsoft.X/y/read", true),
            ("*/read", "Microsoft.X/y/write", false),
            ("Microsoft.Authorization/*/Write", "microsoft.authorization/roleAssignments/write", true),
            ("Microsoft.KeyVault/vaults/*/read", "Microsoft.KeyVault/vaults/keys/read", true),
            ("Microsoft.KeyVault/vaults/keys/*", "Microsoft.KeyVault/vaults/keys/wrap/action", true),
            ("Microsoft.KeyVault/vaults/keys/*", "Microsoft.KeyVault/vaults/secrets/read", false),
            ("Microsoft.KeyVault/vaults/keys/read", "Microsoft.KeyVault/vaults/keys/read", true),
            ("Microsoft.KeyVault/vaults/keys/read", "Microsoft.KeyVault/vaults/keys/read/x", false),
            ("a*a", "a", false),
            ("Microsoft.X/y/*/read", "Microsoft.X/y/read", true),
            ("Microsoft.X/y/*/read", "Microsoft.X/yread", false),
            ("Microsoft.X/y/*/assign/action", "Microsoft.X/y/write", false),
        ];
        for (pattern, action, expected) in table {
            assert_eq!(matches(pattern, action), expected, "{pattern} on {action}");
        }
    }

    #[test]
    fn roles_grant_what_azure_says() {
        let table = [
            ("Owner", "Microsoft.Authorization/roleAssignments/write", false, true),
            ("Owner", "Microsoft.KeyVault/vaults/keys/read", true, false),
            ("Contributor", "Microsoft.KeyVault/vaults/write", false, true),
            ("Contributor", "Microsoft.Authorization/roleAssignments/write", false, false),
            ("Contributor", "Microsoft.Authorization/roleAssignments/read", false, true),
            ("Reader", "Microsoft.KeyVault/vaults/write", false, false),
            ("Key Vault Crypto Officer", "Microsoft.KeyVault/vaults/keys/create/action", true, true),
            ("Key Vault Crypto Officer", "Microsoft.KeyVault/vaults/secrets/getSecret/action", true, false),
            ("Key Vault Crypto User", "Microsoft.KeyVault/vaults/keys/release/action", true, false),
            ("Key Vault Crypto User", "Microsoft.KeyVault/vaults/keys/create/action", true, false),
            ("Key Vault Crypto Service Encryption User", "Microsoft.KeyVault/vaults/keys/wrap/action", true, true),
            ("Key Vault Crypto Service Encryption User", "Microsoft.KeyVault/vaults/keys/decrypt/action", true, false),
            ("Key Vault Contributor", "Microsoft.KeyVault/vaults/keys/read", true, false),
            ("Key Vault Contributor", "Microsoft.KeyVault/locations/deletedVaults/purge/action", false, false),
            (
                "Storage Blob Data Contributor",
                "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write",
                true,
                true,
            ),
            (
                "Storage Blob Data Reader",
                "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write",
                true,
                false,
            ),
        ];
        for (name, action, data, expected) in table {
            let role = roles::ROLES.iter().find(|r| r.name == name).unwrap();
            assert_eq!(grants(role, action, data), expected, "{name}: {action}");
        }
    }
}
