"""What the examples of Compute, clusters, AI accounts, identities, attestation, pools of HSMs and secrets need."""

from typing import Any

from . import estate
from .references import resolve
from .world import LOCATION, World

Values = dict[str, Any]


class Fresh:
    """Gives a parameter a name that was never used."""

    def __init__(self, parameter: str, prefix: str = "n") -> None:
        self._parameter, self._prefix = parameter, prefix

    def __call__(self, world: World, values: Values) -> None:
        """Puts the name where the example has another one."""
        values[self._parameter] = world.name(self._prefix)


class Named:
    """Gives a parameter the name of something that `make` makes or has."""

    def __init__(self, parameter: str, make: Any) -> None:
        self._parameter, self._make = parameter, make

    def __call__(self, world: World, values: Values) -> None:
        """Puts the name where the example has another one."""
        made = self._make(world)
        values[self._parameter] = made if isinstance(made, str) else made["name"]
        values |= {"location": LOCATION} if "location" in values else {}


def here(world: World, values: Values) -> None:
    """Puts what exists here where the example names things of its own."""
    for name, value in values.items():
        if isinstance(value, dict):
            values[name] = resolve(world, value)
    if "location" in values:
        values["location"] = LOCATION


def machine(world: World, values: Values) -> None:
    """Does as `here`; an image of the platform comes without the plan of the market's image that it stands for."""
    here(world, values)
    values["parameters"].pop("plan", None)


def image(_world: World, values: Values) -> None:
    """Names an image that the region offers."""
    offered = estate.IMAGES["Linux"]
    names = {"publisherName": "publisher", "offer": "offer", "skus": "sku"}
    values |= {name: offered[part] for name, part in names.items() if name in values}
    if "version" in values:
        values["version"] = estate.VERSION
    for option in ("$expand", "$orderby"):
        values.pop(option, None)
    values["location"] = LOCATION


def opened_disk(world: World, values: Values) -> None:
    """Makes a disk that is open for reading."""
    values["diskName"] = estate.opened(world, estate.new_disk(world))["name"]


def opened_snapshot(world: World, values: Values) -> None:
    """Makes a snapshot that is open for reading."""
    values["snapshotName"] = estate.opened(world, estate.new_snapshot(world))["name"]


def nodes(world: World, values: Values) -> None:
    """Makes a pool of nodes that the example may read or delete."""
    values["agentPoolName"] = estate.new_pool_of_nodes(world)["name"]


def pool_of_nodes(world: World, values: Values) -> None:
    """Names a pool that is not there yet, or one that is there where the example changes nothing but its power."""
    if set(values["parameters"]["properties"]) == {"powerState"}:
        nodes(world, values)
    else:
        values["agentPoolName"] = world.name("p")


def scope(world: World, values: Values) -> None:
    """Names a resource that has an identity of its own."""
    values["scope"] = world.account_id(world.account).removeprefix("/")


def administrator(world: World, values: Values) -> None:
    """Names a principal that exists as the pool's first administrator."""
    properties = values["parameters"]["properties"]
    properties |= {"initialAdminObjectIds": [world.principal], "tenantId": world.tenant}


def secret(world: World, values: Values) -> None:
    """Makes a secret."""
    values["secret-name"], values["secret-version"] = estate.new_secret(world)


def secrets(world: World, values: Values) -> None:
    """Names the shared vault, for its secrets."""
    values["vaultBaseUrl"] = estate.secrets(world)


def _named(parameter: str, make: Any, *operations: str) -> dict[str, tuple[Any, ...]]:
    return {operation: (here, Named(parameter, make)) for operation in operations}


COMPUTE = {
    **_named("diskName", estate.new_disk, "Disks_Get", "Disks_Update", "Disks_Delete", "Disks_GrantAccess"),
    "Disks_CreateOrUpdate": (here, Fresh("diskName")),
    "Disks_RevokeAccess": (opened_disk,),
    **_named(
        "snapshotName",
        estate.new_snapshot,
        *("Snapshots_Get", "Snapshots_Update", "Snapshots_Delete", "Snapshots_GrantAccess"),
    ),
    "Snapshots_CreateOrUpdate": (here, Fresh("snapshotName")),
    "Snapshots_RevokeAccess": (opened_snapshot,),
    **_named(
        "diskEncryptionSetName",
        estate.new_encryption_set,
        *("DiskEncryptionSets_Get", "DiskEncryptionSets_Update", "DiskEncryptionSets_Delete"),
    ),
    **_named("diskEncryptionSetName", estate.encryption_set, "DiskEncryptionSets_ListAssociatedResources"),
    "DiskEncryptionSets_CreateOrUpdate": (here, Fresh("diskEncryptionSetName")),
    "VirtualMachines_CreateOrUpdate": (machine, Fresh("vmName")),
    **_named("vmName", estate.new_machine, *(f"VirtualMachines_{verb}" for verb in ("Delete", "Restart", "Update"))),
    **_named(
        "vmName",
        estate.machine,
        *(f"VirtualMachines_{verb}" for verb in ("Get", "InstanceView", "ListAvailableSizes", "RunCommand")),
        *(f"VirtualMachines_{verb}" for verb in ("PowerOff", "Start", "Deallocate", "Redeploy", "Reimage")),
        *(f"VirtualMachineRunCommands_{verb}" for verb in ("CreateOrUpdate", "Update", "Delete")),
        *(f"VirtualMachineRunCommands_{verb}" for verb in ("GetByVirtualMachine", "ListByVirtualMachine")),
    ),
    **{
        f"VirtualMachineImages_{verb}": (image,) for verb in ("Get", "List", "ListOffers", "ListPublishers", "ListSkus")
    },
}

CLUSTERS = {
    "ManagedClusters_CreateOrUpdate": (here, Fresh("resourceName")),
    **_named("resourceName", estate.new_cluster, "ManagedClusters_Delete"),
    **_named(
        "resourceName",
        estate.cluster,
        *(f"ManagedClusters_{verb}" for verb in ("Get", "Start", "Stop", "UpdateTags")),
        *(f"ManagedClusters_ListCluster{who}Credentials" for who in ("Admin", "User", "MonitoringUser")),
        "AgentPools_List",
    ),
    "AgentPools_CreateOrUpdate": (here, Named("resourceName", estate.cluster), pool_of_nodes),
    "AgentPools_Get": (Named("resourceName", estate.cluster), nodes),
    "AgentPools_Delete": (Named("resourceName", estate.cluster), nodes),
}

AI = {
    "Accounts_Create": (here, Fresh("accountName")),
    **_named("accountName", estate.new_ai_account, "Accounts_Update", "Accounts_Delete"),
    **_named(
        "accountName",
        estate.ai_account,
        *("Accounts_Get", "Accounts_ListKeys", "Accounts_ListSkus", "Accounts_ListModels"),
        *(f"Deployments_{verb}" for verb in ("CreateOrUpdate", "Delete", "Get", "List")),
    ),
    **_named("accountName", estate.deleted_ai_account, "DeletedAccounts_Get", "DeletedAccounts_Purge"),
}

IDENTITIES = {
    "UserAssignedIdentities_CreateOrUpdate": (here, Fresh("resourceName")),
    **_named(
        "resourceName",
        estate.new_identity,
        *(f"UserAssignedIdentities_{verb}" for verb in ("Delete", "Get", "Update")),
        *(f"FederatedIdentityCredentials_{verb}" for verb in ("CreateOrUpdate", "Delete", "Get", "List")),
    ),
    "SystemAssignedIdentities_GetByScope": (scope,),
}

ATTESTATION = {
    "AttestationProviders_Create": (here, Fresh("providerName")),
    **_named(
        "providerName",
        estate.new_attestation_provider,
        *(f"AttestationProviders_{verb}" for verb in ("Delete", "Get", "Update")),
        "PrivateLinkResources_ListByProvider",
    ),
}

POOLS = {
    "ManagedHsms_CreateOrUpdate": (administrator, Fresh("name", "h")),
    **_named("name", estate.new_hsm, "ManagedHsms_Delete"),
    **_named("name", estate.new_hsm_shared, "ManagedHsms_Get", "ManagedHsms_Update", "MHSMRegions_ListByResource"),
    **_named("name", estate.deleted_hsm, "ManagedHsms_GetDeleted", "ManagedHsms_PurgeDeleted"),
}

SECRETS = {
    "SetSecret": (secrets, Fresh("secret-name", "t")),
    "GetSecrets": (secrets,),
    **{operation: (secrets, secret) for operation in ("GetSecret", "UpdateSecret", "DeleteSecret")},
}
