//! Built-in role definitions, with Azure's own ids and permissions ("Azure built-in roles" in the Azure documentation).

use serde_json::{Value, json};

/// A built-in role definition.
#[derive(Debug)]
pub(crate) struct Role {
    /// GUID.
    pub id: &'static str,
    /// Role name.
    pub name: &'static str,
    /// Description.
    pub description: &'static str,
    /// Control-plane actions.
    pub actions: &'static [&'static str],
    /// Control-plane actions taken out again.
    pub not_actions: &'static [&'static str],
    /// Data actions.
    pub data_actions: &'static [&'static str],
    /// Data actions taken out again.
    pub not_data_actions: &'static [&'static str],
}

impl Role {
    const fn control(
        id: &'static str,
        name: &'static str,
        description: &'static str,
        actions: &'static [&'static str],
    ) -> Self {
        Self { id, name, description, actions, not_actions: &[], data_actions: &[], not_data_actions: &[] }
    }

    const fn but_not(mut self, not_actions: &'static [&'static str]) -> Self {
        self.not_actions = not_actions;
        self
    }

    const fn data(mut self, data_actions: &'static [&'static str]) -> Self {
        self.data_actions = data_actions;
        self
    }

    /// The document that ARM answers for this role at a subscription.
    pub fn document(&self, subscription: &str) -> Value {
        let root = "/providers/Microsoft.Authorization/roleDefinitions";
        let prefix = if subscription.is_empty() { String::new() } else { format!("/subscriptions/{subscription}") };
        json!({
            "id": format!("{prefix}{root}/{}", self.id),
            "type": "Microsoft.Authorization/roleDefinitions",
            "name": self.id,
            "properties": {
                "roleName": self.name,
                "type": "BuiltInRole",
                "description": self.description,
                "assignableScopes": ["/"],
                "permissions": [{
                    "actions": self.actions,
                    "notActions": self.not_actions,
                    "dataActions": self.data_actions,
                    "notDataActions": self.not_data_actions,
                }],
                "createdOn": "2015-02-02T21:55:09.8806423Z",
                "updatedOn": "2024-01-01T00:00:00.0000000Z",
                "createdBy": null,
                "updatedBy": null,
            },
        })
    }
}

/// Finds a role by its GUID, without case.
pub(crate) fn by_id(id: &str) -> Option<&'static Role> {
    ROLES.iter().find(|r| r.id.eq_ignore_ascii_case(id))
}

const READ_ROLES: &str = "Microsoft.Authorization/*/read";
const DEPLOYMENTS: &str = "Microsoft.Resources/deployments/*";
const GROUPS_READ: &str = "Microsoft.Resources/subscriptions/resourceGroups/read";
const ALERTS: &str = "Microsoft.Insights/alertRules/*";
const SUPPORT: &str = "Microsoft.Support/*";
const VAULT_READ: &[&str] = &[
    READ_ROLES,
    ALERTS,
    DEPLOYMENTS,
    GROUPS_READ,
    SUPPORT,
    "Microsoft.KeyVault/checkNameAvailability/read",
    "Microsoft.KeyVault/deletedVaults/read",
    "Microsoft.KeyVault/locations/*/read",
    "Microsoft.KeyVault/vaults/*/read",
    "Microsoft.KeyVault/operations/read",
];

/// The built-in roles that the labs and their clients meet.
pub(crate) static ROLES: &[Role] = &[
    Role::control(
        OWNER,
        "Owner",
        "Grants full access to manage all resources, including the ability to assign roles in Azure RBAC.",
        &["*"],
    ),
    Role::control(
        "b24988ac-6180-42a0-ab88-20f7382dd24c",
        "Contributor",
        "Grants full access to manage all resources, but does not allow you to assign roles in Azure RBAC, manage \
         assignments in Azure Blueprints, or share image galleries.",
        &["*"],
    )
    .but_not(&[
        "Microsoft.Authorization/*/Delete",
        "Microsoft.Authorization/*/Write",
        "Microsoft.Authorization/elevateAccess/Action",
        "Microsoft.Blueprint/blueprintAssignments/write",
        "Microsoft.Blueprint/blueprintAssignments/delete",
        "Microsoft.Compute/galleries/share/action",
        "Microsoft.Purview/consents/write",
        "Microsoft.Purview/consents/delete",
        "Microsoft.Resources/deploymentStacks/manageDenySetting/action",
    ]),
    Role::control(
        "acdd72a7-3385-48ef-bd42-f606fba81ae7",
        "Reader",
        "View all resources, but does not allow you to make any changes.",
        &["*/read"],
    ),
    Role::control(
        "f58310d9-a9f6-439a-9e8d-f62e7b41a168",
        "Role Based Access Control Administrator",
        "Manage access to Azure resources by assigning roles using Azure RBAC.",
        &[
            "Microsoft.Authorization/roleAssignments/write",
            "Microsoft.Authorization/roleAssignments/delete",
            "*/read",
            SUPPORT,
        ],
    ),
    Role::control(
        "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
        "User Access Administrator",
        "Lets you manage user access to Azure resources.",
        &["*/read", "Microsoft.Authorization/*", SUPPORT],
    ),
    Role::control(
        "4d97b98b-1d4f-4787-a291-c67834d212e7",
        "Network Contributor",
        "Lets you manage networks, but not access to them.",
        &[
            READ_ROLES,
            ALERTS,
            "Microsoft.Network/*",
            "Microsoft.ResourceHealth/availabilityStatuses/read",
            DEPLOYMENTS,
            GROUPS_READ,
            SUPPORT,
        ],
    ),
    Role::control(
        "9980e02c-c2be-4d73-94e8-173b1dc7cf3c",
        "Virtual Machine Contributor",
        "Lets you manage virtual machines, but not access to them, and not the virtual network or storage account they're \
         connected to.",
        &[
            READ_ROLES,
            "Microsoft.Compute/availabilitySets/*",
            "Microsoft.Compute/locations/*",
            "Microsoft.Compute/virtualMachines/*",
            "Microsoft.Compute/virtualMachineScaleSets/*",
            "Microsoft.Compute/cloudServices/*",
            "Microsoft.Compute/disks/write",
            "Microsoft.Compute/disks/read",
            "Microsoft.Compute/disks/delete",
            "Microsoft.DevTestLab/schedules/*",
            ALERTS,
            "Microsoft.Network/applicationGateways/backendAddressPools/join/action",
            "Microsoft.Network/loadBalancers/backendAddressPools/join/action",
            "Microsoft.Network/loadBalancers/inboundNatPools/join/action",
            "Microsoft.Network/loadBalancers/inboundNatRules/join/action",
            "Microsoft.Network/loadBalancers/probes/join/action",
            "Microsoft.Network/loadBalancers/read",
            "Microsoft.Network/locations/*",
            "Microsoft.Network/networkInterfaces/*",
            "Microsoft.Network/networkSecurityGroups/join/action",
            "Microsoft.Network/networkSecurityGroups/read",
            "Microsoft.Network/publicIPAddresses/join/action",
            "Microsoft.Network/publicIPAddresses/read",
            "Microsoft.Network/virtualNetworks/read",
            "Microsoft.Network/virtualNetworks/subnets/join/action",
            "Microsoft.ResourceHealth/availabilityStatuses/read",
            DEPLOYMENTS,
            GROUPS_READ,
            "Microsoft.SerialConsole/serialPorts/connect/action",
            "Microsoft.SqlVirtualMachine/*",
            "Microsoft.Storage/storageAccounts/listKeys/action",
            "Microsoft.Storage/storageAccounts/read",
            SUPPORT,
        ],
    ),
    Role::control(
        "00482a5a-887f-4fb3-b363-3b7fe8e74483",
        "Key Vault Administrator",
        "Perform all data plane operations on a key vault and all objects in it, including certificates, keys, and \
         secrets.",
        VAULT_READ,
    )
    .data(&["Microsoft.KeyVault/vaults/*"]),
    Role::control(
        "14b46e9e-c2b7-41b4-b07b-48a6ebf60603",
        "Key Vault Crypto Officer",
        "Perform any action on the keys of a key vault, except manage permissions.",
        VAULT_READ,
    )
    .data(&["Microsoft.KeyVault/vaults/keys/*", "Microsoft.KeyVault/vaults/keyrotationpolicies/*"]),
    Role::control(
        "12338af0-0e69-4776-bea7-57ae8d297424",
        "Key Vault Crypto User",
        "Perform cryptographic operations using keys.",
        &[],
    )
    .data(&[
        "Microsoft.KeyVault/vaults/keys/read",
        "Microsoft.KeyVault/vaults/keys/update/action",
        "Microsoft.KeyVault/vaults/keys/backup/action",
        "Microsoft.KeyVault/vaults/keys/encrypt/action",
        "Microsoft.KeyVault/vaults/keys/decrypt/action",
        "Microsoft.KeyVault/vaults/keys/wrap/action",
        "Microsoft.KeyVault/vaults/keys/unwrap/action",
        "Microsoft.KeyVault/vaults/keys/sign/action",
        "Microsoft.KeyVault/vaults/keys/verify/action",
    ]),
    Role::control(
        "e147488a-f6f5-4113-8e2d-b22465e65bf6",
        "Key Vault Crypto Service Encryption User",
        "Read metadata of keys and perform wrap/unwrap operations.",
        &[
            "Microsoft.EventGrid/eventSubscriptions/write",
            "Microsoft.EventGrid/eventSubscriptions/read",
            "Microsoft.EventGrid/eventSubscriptions/delete",
        ],
    )
    .data(&[
        "Microsoft.KeyVault/vaults/keys/read",
        "Microsoft.KeyVault/vaults/keys/wrap/action",
        "Microsoft.KeyVault/vaults/keys/unwrap/action",
    ]),
    Role::control(
        "08bbd89e-9f13-488c-ac41-acfcb10c90ab",
        "Key Vault Crypto Service Release User",
        "Release keys.",
        &[],
    )
    .data(&["Microsoft.KeyVault/vaults/keys/release/action"]),
    Role::control(
        "21090545-7ca7-4776-b22c-e363652d74d2",
        "Key Vault Reader",
        "Read metadata of key vaults and its certificates, keys, and secrets.",
        VAULT_READ,
    )
    .data(&["Microsoft.KeyVault/vaults/*/read", "Microsoft.KeyVault/vaults/secrets/readMetadata/action"]),
    Role::control(
        "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
        "Key Vault Secrets Officer",
        "Perform any action on the secrets of a key vault, except manage permissions.",
        VAULT_READ,
    )
    .data(&["Microsoft.KeyVault/vaults/secrets/*"]),
    Role::control("4633458b-17de-408a-b874-0445c86b69e6", "Key Vault Secrets User", "Read secret contents.", &[]).data(
        &[
            "Microsoft.KeyVault/vaults/secrets/getSecret/action",
            "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
        ],
    ),
    Role::control(
        "f25e0fa2-a7c8-4377-a976-54943a77a395",
        "Key Vault Contributor",
        "Manage key vaults, but does not allow you to assign roles in Azure RBAC, and does not allow you to access \
         secrets, keys, or certificates.",
        &[READ_ROLES, ALERTS, "Microsoft.KeyVault/*", DEPLOYMENTS, GROUPS_READ, SUPPORT],
    )
    .but_not(&[
        "Microsoft.KeyVault/locations/deletedVaults/purge/action",
        "Microsoft.KeyVault/hsmPools/*",
        "Microsoft.KeyVault/managedHsms/*",
    ]),
    Role::control(
        "8b54135c-b56d-4d72-a534-26097cfdc8d8",
        "Key Vault Data Access Administrator",
        "Manage access to Azure Key Vault by adding or removing role assignments for the Key Vault data roles.",
        &[
            "Microsoft.Authorization/roleAssignments/write",
            "Microsoft.Authorization/roleAssignments/delete",
            READ_ROLES,
            DEPLOYMENTS,
            GROUPS_READ,
            "Microsoft.Resources/subscriptions/read",
            "Microsoft.Management/managementGroups/read",
            "Microsoft.KeyVault/vaults/*/read",
            SUPPORT,
        ],
    ),
    Role::control(
        "17d1049b-9a84-46fb-8f53-869881c3d3ab",
        "Storage Account Contributor",
        "Permits management of storage accounts. Provides access to the account key, which can be used to access \
         data via Shared Key authorization.",
        &[
            READ_ROLES,
            ALERTS,
            "Microsoft.Insights/diagnosticSettings/*",
            "Microsoft.Network/virtualNetworks/subnets/joinViaServiceEndpoint/action",
            "Microsoft.ResourceHealth/availabilityStatuses/read",
            DEPLOYMENTS,
            GROUPS_READ,
            "Microsoft.Storage/storageAccounts/*",
            SUPPORT,
        ],
    ),
    Role::control(
        "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
        "Storage Blob Data Owner",
        "Provides full access to Azure Storage blob containers and data, including assigning POSIX access control.",
        &[
            "Microsoft.Storage/storageAccounts/blobServices/containers/*",
            "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action",
        ],
    )
    .data(&["Microsoft.Storage/storageAccounts/blobServices/containers/blobs/*"]),
    Role::control(
        "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
        "Storage Blob Data Contributor",
        "Read, write, and delete Azure Storage containers and blobs.",
        &[
            "Microsoft.Storage/storageAccounts/blobServices/containers/delete",
            "Microsoft.Storage/storageAccounts/blobServices/containers/read",
            "Microsoft.Storage/storageAccounts/blobServices/containers/write",
            "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action",
        ],
    )
    .data(&[
        "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete",
        "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read",
        "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write",
        "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/move/action",
        "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action",
    ]),
    Role::control(
        "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
        "Storage Blob Data Reader",
        "Read and list Azure Storage containers and blobs.",
        &[
            "Microsoft.Storage/storageAccounts/blobServices/containers/read",
            "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action",
        ],
    )
    .data(&["Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"]),
    Role::control(
        "e40ec5ca-96e0-45a2-b4ff-59039f2c2b59",
        "Managed Identity Contributor",
        "Create, Read, Update, and Delete User Assigned Identity.",
        &[
            "Microsoft.ManagedIdentity/userAssignedIdentities/read",
            "Microsoft.ManagedIdentity/userAssignedIdentities/write",
            "Microsoft.ManagedIdentity/userAssignedIdentities/delete",
            "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/read",
            "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write",
            "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/delete",
            "Microsoft.ManagedIdentity/userAssignedIdentities/revokeTokens/action",
            READ_ROLES,
            ALERTS,
            DEPLOYMENTS,
            GROUPS_READ,
            SUPPORT,
        ],
    ),
    Role::control(
        "f1a07417-d97a-45cb-824c-7a7467783830",
        "Managed Identity Operator",
        "Read and Assign User Assigned Identity.",
        &[
            "Microsoft.ManagedIdentity/userAssignedIdentities/*/read",
            "Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action",
            READ_ROLES,
            ALERTS,
            DEPLOYMENTS,
            GROUPS_READ,
            SUPPORT,
        ],
    ),
    Role::control(
        "0ab0b1a8-8aac-4efd-b8c2-3ee1fb270be8",
        "Azure Kubernetes Service Cluster Admin Role",
        "List cluster admin credential action.",
        &[
            "Microsoft.ContainerService/managedClusters/listClusterAdminCredential/action",
            "Microsoft.ContainerService/managedClusters/accessProfiles/listCredential/action",
            "Microsoft.ContainerService/managedClusters/read",
            "Microsoft.ContainerService/managedClusters/runcommand/action",
        ],
    ),
    Role::control(
        "4abbcc35-e782-43d8-92c5-2d3f1bd2253f",
        "Azure Kubernetes Service Cluster User Role",
        "List cluster user credential action.",
        &[
            "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action",
            "Microsoft.ContainerService/managedClusters/read",
        ],
    ),
    Role::control(
        "25fbc0a9-bd7c-42a3-aa1a-3b75d497ee68",
        "Cognitive Services Contributor",
        "Lets you create, read, update, delete and manage keys of Cognitive Services.",
        &[
            READ_ROLES,
            "Microsoft.CognitiveServices/*",
            "Microsoft.Features/features/read",
            "Microsoft.Features/providers/features/read",
            "Microsoft.Features/providers/features/register/action",
            ALERTS,
            "Microsoft.Insights/diagnosticSettings/*",
            "Microsoft.Insights/logDefinitions/read",
            "Microsoft.Insights/metricdefinitions/read",
            "Microsoft.Insights/metrics/read",
            "Microsoft.ResourceHealth/availabilityStatuses/read",
            DEPLOYMENTS,
            "Microsoft.Resources/deployments/operations/read",
            "Microsoft.Resources/subscriptions/operationresults/read",
            "Microsoft.Resources/subscriptions/read",
            "Microsoft.Resources/subscriptions/resourcegroups/deployments/*",
            GROUPS_READ,
            SUPPORT,
        ],
    ),
    Role::control(
        "bbf86eb8-f7b4-4cce-96e4-18cddf81d86e",
        "Attestation Contributor",
        "Can read, write, or delete the attestation provider instance.",
        &[
            "Microsoft.Attestation/attestationProviders/attestation/read",
            "Microsoft.Attestation/attestationProviders/attestation/write",
            "Microsoft.Attestation/attestationProviders/attestation/delete",
        ],
    ),
    Role::control(
        "fd1bd22b-8476-40bc-a0bc-69b95687b9f3",
        "Attestation Reader",
        "Can read the attestation provider properties.",
        &[
            "Microsoft.Attestation/attestationProviders/attestation/read",
            "Microsoft.Attestation/attestationProviders/read",
        ],
    ),
    Role::control(
        "73c42c96-874c-492b-b04d-ab87d138a893",
        "Log Analytics Reader",
        "Log Analytics Reader can view and search all monitoring data as well as and view monitoring settings, including \
         viewing the configuration of Azure diagnostics on all Azure resources.",
        &[
            "*/read",
            "Microsoft.OperationalInsights/workspaces/analytics/query/action",
            "Microsoft.OperationalInsights/workspaces/search/action",
            SUPPORT,
        ],
    )
    .but_not(&["Microsoft.OperationalInsights/workspaces/sharedKeys/read"]),
    Role::control(
        "92aaf0da-9dab-42b6-94a3-d43ce8d16293",
        "Log Analytics Contributor",
        "Log Analytics Contributor can read all monitoring data and edit monitoring settings.",
        &[
            "*/read",
            "Microsoft.ClassicCompute/virtualMachines/extensions/*",
            "Microsoft.ClassicStorage/storageAccounts/listKeys/action",
            "Microsoft.Compute/virtualMachines/extensions/*",
            "Microsoft.HybridCompute/machines/extensions/write",
            ALERTS,
            "Microsoft.Insights/diagnosticSettings/*",
            "Microsoft.OperationalInsights/*",
            "Microsoft.OperationsManagement/*",
            DEPLOYMENTS,
            "Microsoft.Storage/storageAccounts/listKeys/action",
            SUPPORT,
        ],
    ),
];

/// GUID of Owner.
pub(crate) const OWNER: &str = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635";
