//! The built-in local roles ("Local RBAC built-in roles for Managed HSM"; what each grants: `roleDefinitions` as real
//! pools answer it).

/// A built-in role.
#[derive(Debug)]
pub(super) struct Role {
    /// GUID.
    pub id: &'static str,
    /// Role name.
    pub name: &'static str,
    /// Data actions, below `Microsoft.KeyVault/managedHsm/`.
    actions: &'static [&'static [&'static str]],
}

/// What every data action begins with.
const PREFIX: &str = "Microsoft.KeyVault/managedHsm/";

/// GUID of Managed HSM Administrator.
pub(super) const ADMINISTRATOR: &str = "a290e904-7015-4bba-90c8-60543313cdb4";

const MANAGE_ROLES: &[&str] = &[
    "roleAssignments/delete/action",
    "roleAssignments/read/action",
    "roleAssignments/write/action",
    "roleDefinitions/read/action",
    "roleDefinitions/write/action",
    "roleDefinitions/delete/action",
];
const READ_ROLES: &[&str] = &["roleDefinitions/read/action", "roleAssignments/read/action"];
const SECURITY_DOMAIN: &[&str] = &[
    "securitydomain/download/action",
    "securitydomain/download/read",
    "securitydomain/upload/action",
    "securitydomain/upload/read",
    "securitydomain/transferkey/read",
];
const FULL_BACKUP: &[&str] = &["backup/start/action", "backup/status/action"];
const FULL_RESTORE: &[&str] = &["restore/start/action", "restore/status/action"];
const DELETED_KEYS: &[&str] = &[
    "keys/deletedKeys/read/action",
    "keys/deletedKeys/delete",
    "keys/deletedKeys/recover/action",
    "keys/export/action",
];
const USE_KEYS: &[&str] = &[
    "keys/read/action",
    "keys/write/action",
    "keys/delete",
    "keys/create",
    "keys/rotate/action",
    "keys/import/action",
    "keys/release/action",
    "keys/backup/action",
    "keys/restore/action",
    "keys/encrypt/action",
    "keys/decrypt/action",
    "keys/wrap/action",
    "keys/unwrap/action",
    "keys/sign/action",
    "keys/verify/action",
    "keys/derive/action",
    "rng/action",
];

/// All of them.
pub(super) static ROLES: &[Role] = &[
    Role {
        id: ADMINISTRATOR,
        name: "Managed HSM Administrator",
        actions: &[MANAGE_ROLES, SECURITY_DOMAIN, FULL_BACKUP, FULL_RESTORE],
    },
    Role {
        id: "515eb02d-2335-4d2d-92f2-b1cbdf9c3778",
        name: "Managed HSM Crypto Officer",
        actions: &[MANAGE_ROLES, DELETED_KEYS],
    },
    Role {
        id: "21dbd100-6940-42c2-9190-5d6cb909625b",
        name: "Managed HSM Crypto User",
        actions: &[READ_ROLES, USE_KEYS],
    },
    Role {
        id: "4bd23610-cdcf-4971-bdee-bdc562cc28e4",
        name: "Managed HSM Policy Administrator",
        actions: &[MANAGE_ROLES],
    },
    Role {
        id: "2c18b078-7c48-4d3a-af88-5a3a1b3f82b3",
        name: "Managed HSM Crypto Auditor",
        actions: &[READ_ROLES, &["keys/read/action", "keys/deletedKeys/read/action"]],
    },
    Role {
        id: "33413926-3206-4cdd-b39a-83574fe37a17",
        name: "Managed HSM Crypto Service Encryption User",
        actions: &[&["keys/read/action", "keys/wrap/action", "keys/unwrap/action"]],
    },
    Role {
        id: "21dbd100-6940-42c2-9190-5d6cb909625c",
        name: "Managed HSM Crypto Service Release User",
        actions: &[&["keys/release/action"]],
    },
    Role {
        id: "7b127d3c-77bd-4e3e-bbe0-dbb8971fa7f8",
        name: "Managed HSM Backup User",
        actions: &[FULL_BACKUP, &["keys/backup/action"]],
    },
    Role {
        id: "6efe6056-5259-49d2-8b3d-d3d73544b20b",
        name: "Managed HSM Restore",
        actions: &[FULL_RESTORE, &["keys/restore/action"]],
    },
];

impl Role {
    /// Its data actions in full.
    pub fn data_actions(&self) -> impl Iterator<Item = String> {
        self.actions.iter().copied().flatten().map(|action| format!("{PREFIX}{action}"))
    }

    /// Whether it grants a data action.
    pub fn grants(&self, action: &str) -> bool {
        self.data_actions().any(|granted| granted.eq_ignore_ascii_case(action))
    }
}

/// Finds a role by its GUID.
pub(super) fn by_id(id: &str) -> Option<&'static Role> {
    ROLES.iter().find(|role| role.id.eq_ignore_ascii_case(id))
}

/// Whether there is a data action of this name.
pub(super) fn is_action(name: &str) -> bool {
    ROLES.iter().any(|role| role.grants(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_grant_what_azure_says() {
        let rows = [
            ("Managed HSM Administrator", "securitydomain/download/action", true),
            ("Managed HSM Administrator", "roleAssignments/write/action", true),
            ("Managed HSM Administrator", "keys/create", false),
            ("Managed HSM Administrator", "keys/read/action", false),
            ("Managed HSM Crypto Officer", "keys/deletedKeys/delete", true),
            ("Managed HSM Crypto Officer", "keys/create", false),
            ("Managed HSM Crypto User", "keys/create", true),
            ("Managed HSM Crypto User", "keys/deletedKeys/delete", false),
            ("Managed HSM Crypto User", "roleAssignments/write/action", false),
            ("Managed HSM Policy Administrator", "keys/read/action", false),
            ("Managed HSM Crypto Auditor", "keys/read/action", true),
            ("Managed HSM Crypto Auditor", "keys/wrap/action", false),
            ("Managed HSM Crypto Service Encryption User", "keys/unwrap/action", true),
            ("Managed HSM Crypto Service Encryption User", "keys/decrypt/action", false),
            ("Managed HSM Crypto Service Release User", "keys/release/action", true),
            ("Managed HSM Crypto Service Release User", "keys/read/action", false),
            ("Managed HSM Restore", "keys/restore/action", true),
        ];
        for (name, action, granted) in rows {
            let role = ROLES.iter().find(|role| role.name == name).unwrap();
            assert_eq!(role.grants(&format!("{PREFIX}{action}")), granted, "{name}: {action}");
        }
        assert!(is_action("Microsoft.KeyVault/managedHsm/rng/action") && !is_action("Microsoft.KeyVault/managedHsm/*"));
    }
}
