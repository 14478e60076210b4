"""What the examples of disks, machines, clusters, AI accounts and pools refer to: made once, or anew if used up."""

from functools import cache
from typing import Any

from sdk_hsm import certificate

from .world import LOCATION, MANAGEMENT, World

CUSTOMER = "EncryptionAtRestWithCustomerKey"
SIZE = "Standard_DS1_v2"
VERSION = "24.04.202601070"
PASSWORD = "Example-9876-password"
IMAGES = {
    "Windows": {
        "publisher": "MicrosoftWindowsServer",
        "offer": "WindowsServer",
        "sku": "2022-datacenter-g2",
        "version": "latest",
    },
    "Linux": {"publisher": "Canonical", "offer": "ubuntu-24_04-lts", "sku": "server", "version": "latest"},
    "Confidential": {"publisher": "Canonical", "offer": "ubuntu-24_04-lts", "sku": "cvm", "version": "latest"},
}

_DISKS, _MACHINES, _NETWORKS = "2023-10-02", "2024-03-01", "2023-11-01"
_CLUSTERS, _AI, _IDENTITIES, _PROVIDERS, _POOLS, _DATA = (
    "2024-02-01",
    "2023-05-01",
    "2023-01-31",
    "2021-06-01",
    "2023-07-01",
    "7.5",
)
_ENCRYPTION_USER = "e147488a-f6f5-4113-8e2d-b22465e65bf6"
_SECRETS_OFFICER = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7"
_HSM_ROLES = ("21dbd100-6940-42c2-9190-5d6cb909625b", "515eb02d-2335-4d2d-92f2-b1cbdf9c3778")

Body = dict[str, Any]


def put(world: World, kind: str, version: str, body: Body, name: str | None = None) -> Body:
    """Makes a resource in the shared group, waits for it, and gives it."""
    url = f"{MANAGEMENT}{world.group_id}/providers/{kind}/{name or world.name('r')}"
    return world.make(url, version, {"location": LOCATION, **body})


@cache
def register(world: World, namespace: str) -> None:
    """Registers a resource provider."""
    world.register(namespace)


@cache
def key(world: World) -> Body:
    """A key of the shared vault: the bundle."""
    return world.new_key()


@cache
def identity(world: World) -> Body:
    """A user-assigned identity that may wrap with the shared vault's keys."""
    register(world, "Microsoft.ManagedIdentity")
    made = new_identity(world)
    world.let_encrypt(made["properties"]["principalId"])
    return made


def new_identity(world: World) -> Body:
    """A user-assigned identity."""
    return put(world, "Microsoft.ManagedIdentity/userAssignedIdentities", _IDENTITIES, {})


def new_encryption_set(world: World) -> Body:
    """A disk encryption set with the shared identity and key."""
    body = {
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {identity(world)["id"]: {}}},
        "properties": {
            "encryptionType": CUSTOMER,
            "activeKey": {"keyUrl": key(world)["key"]["kid"], "sourceVault": {"id": world.vault_id(world.vault)}},
        },
    }
    kind, name = "Microsoft.Compute/diskEncryptionSets", world.name("r")
    url = f"{MANAGEMENT}{world.group_id}/providers/{kind}/{name}?api-version={_DISKS}"
    # The identity's role comes into force late.
    world.until(lambda: world.send("PUT", url, {"location": LOCATION, **body}), frozenset({"KeyVaultAccessForbidden"}))
    return put(world, kind, _DISKS, body, name)


@cache
def encryption_set(world: World) -> Body:
    """The encryption set that examples share."""
    return new_encryption_set(world)


def new_disk(world: World, size: int = 10) -> Body:
    """An empty disk."""
    body = {"properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": size}}
    return put(world, "Microsoft.Compute/disks", _DISKS, body)


def new_snapshot(world: World) -> Body:
    """A snapshot of an empty disk, of the size that the examples name again."""
    source = {"createOption": "Copy", "sourceResourceId": new_disk(world, 20)["id"]}
    return put(world, "Microsoft.Compute/snapshots", _DISKS, {"properties": {"creationData": source}})


def opened(world: World, resource: Body) -> Body:
    """Opens a disk or a snapshot for reading, and gives it."""
    body = {"access": "Read", "durationInSeconds": 300}
    world.made("POST", f"{MANAGEMENT}{resource['id']}/beginGetAccess", _DISKS, body)
    return resource


@cache
def subnet(world: World) -> str:
    """The id of a subnet."""
    register(world, "Microsoft.Network")
    subnets = [{"name": "default", "properties": {"addressPrefix": "10.0.0.0/16"}}]
    body = {"properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "subnets": subnets}}
    made = put(world, "Microsoft.Network/virtualNetworks", _NETWORKS, body)
    return made["properties"]["subnets"][0]["id"]


def new_interface(world: World) -> Body:
    """A network interface."""
    address = {"name": "ipconfig1", "properties": {"subnet": {"id": subnet(world)}}}
    body = {"properties": {"ipConfigurations": [address]}}
    return put(world, "Microsoft.Network/networkInterfaces", _NETWORKS, body)


def new_machine(world: World) -> Body:
    """A small machine."""
    body = {
        "properties": {
            "hardwareProfile": {"vmSize": SIZE},
            "storageProfile": {"imageReference": IMAGES["Linux"], "osDisk": {"createOption": "FromImage"}},
            "osProfile": {"computerName": "lab", "adminUsername": "learner", "adminPassword": PASSWORD},
            "networkProfile": {"networkInterfaces": [{"id": new_interface(world)["id"]}]},
        }
    }
    return put(world, "Microsoft.Compute/virtualMachines", _MACHINES, body)


@cache
def machine(world: World) -> Body:
    """The machine that examples share."""
    return new_machine(world)


@cache
def sizes(world: World) -> frozenset[str]:
    """Names of the sizes that the region offers."""
    url = f"{world.subscription_url}/providers/Microsoft.Compute/locations/{LOCATION}/vmSizes"
    return frozenset(each["name"] for each in world.made("GET", url, _MACHINES)["value"])


def image_id(world: World) -> str:
    """The id of a version of an image of the platform."""
    image = IMAGES["Linux"]
    place = f"/subscriptions/{world.subscription}/providers/Microsoft.Compute/locations/{LOCATION}"
    names = f"publishers/{image['publisher']}/artifactTypes/vmImage/offers/{image['offer']}/skus/{image['sku']}"
    return f"{place}/{names}/versions/{VERSION}"


def new_cluster(world: World) -> Body:
    """A cluster with one node."""
    register(world, "Microsoft.ContainerService")
    pool = {"name": "system", "count": 1, "vmSize": "Standard_D2s_v5", "mode": "System", "osType": "Linux"}
    body = {
        "identity": {"type": "SystemAssigned"},
        "properties": {"dnsPrefix": "lab", "agentPoolProfiles": [pool]},
    }
    return put(world, "Microsoft.ContainerService/managedClusters", _CLUSTERS, body)


@cache
def cluster(world: World) -> Body:
    """The cluster that examples share."""
    return new_cluster(world)


def new_pool_of_nodes(world: World) -> Body:
    """A second pool of the shared cluster."""
    url = f"{MANAGEMENT}{cluster(world)['id']}/agentPools/{world.name('p')}"
    body = {"properties": {"count": 1, "vmSize": "Standard_D2s_v5", "mode": "User", "osType": "Linux"}}
    return world.make(url, _CLUSTERS, body)


def new_ai_account(world: World) -> Body:
    """An AI account with an identity of its own."""
    name = world.name("ai")
    body = {
        "kind": "AIServices",
        "sku": {"name": "S0"},
        "identity": {"type": "SystemAssigned"},
        "properties": {"customSubDomainName": name},
    }
    return put(world, "Microsoft.CognitiveServices/accounts", _AI, body, name)


@cache
def ai_account(world: World) -> Body:
    """The AI account that examples share."""
    return new_ai_account(world)


def deleted_ai_account(world: World) -> str:
    """The name of an AI account that can be recovered or purged."""
    made = new_ai_account(world)
    world.made("DELETE", MANAGEMENT + made["id"], _AI)
    return made["name"]


def new_attestation_provider(world: World) -> Body:
    """An attestation provider."""
    return put(world, "Microsoft.Attestation/attestationProviders", _PROVIDERS, {"properties": {}})


def new_hsm(world: World) -> Body:
    """A pool of HSMs that the application administers; not activated."""
    body = {
        "sku": {"family": "B", "name": "Standard_B1"},
        "properties": {
            "tenantId": world.tenant,
            "initialAdminObjectIds": [world.principal],
            "softDeleteRetentionInDays": 7,
        },
    }
    return put(world, "Microsoft.KeyVault/managedHSMs", _POOLS, body, world.name("h"))


@cache
def new_hsm_shared(world: World) -> Body:
    """The pool whose management examples share."""
    return new_hsm(world)


def deleted_hsm(world: World) -> str:
    """The name of a pool that can be recovered or purged."""
    made = new_hsm(world)
    world.made("DELETE", MANAGEMENT + made["id"], _POOLS)
    return made["name"]


def holders() -> list[Body]:
    """Three certificates, as a download of a security domain takes them."""
    return [certificate(f"holder {number}").as_dict() for number in range(3)]


@cache
def hsm(world: World) -> str:
    """The address of an active pool in which the application may do everything with keys."""
    url = new_hsm(world)["properties"]["hsmUri"].rstrip("/")
    world.made("POST", f"{url}/securitydomain/download", _DATA, {"certificates": holders(), "required": 2})
    for role in _HSM_ROLES:
        definition = f"Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/{role}"
        assign_at(world, url, "/", definition)
    world.until(lambda: world.send("GET", f"{url}/keys?api-version={_DATA}"))
    return url


def assign_at(world: World, url: str, scope: str, definition: str) -> str:
    """Assigns one of a pool's own roles to the application; gives the assignment's name."""
    name = world.uuid()
    at = f"{url}/{scope.strip('/')}".rstrip("/")
    body = {"properties": {"roleDefinitionId": definition, "principalId": world.principal}}
    world.made("PUT", f"{at}/providers/Microsoft.Authorization/roleAssignments/{name}", _DATA, body)
    return name


def new_hsm_key(world: World, url: str) -> Body:
    """An RSA key of a pool: the bundle."""
    return world.made("POST", f"{url}/keys/{world.name('k')}/create", _DATA, {"kty": "RSA-HSM"})


@cache
def secrets(world: World) -> str:
    """The shared vault's address, with the right to manage its secrets."""
    world.assign(world.vault_id(world.vault), _SECRETS_OFFICER)
    url = world.vault_url(world.vault)
    world.until(lambda: world.send("GET", f"{url}/secrets?api-version={_DATA}"))
    return url


def new_secret(world: World) -> list[str]:
    """A secret: its name and its version."""
    url = f"{secrets(world)}/secrets/{world.name('t')}"
    return world.made("PUT", url, _DATA, {"value": "text"})["id"].split("/")[-2:]
