"""What the examples of a managed HSM's data need: an active pool, keys in it, its roles."""

from typing import Any

from . import estate
from .world import World

Values = dict[str, Any]

_DEFINITIONS = "Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions"
_CRYPTO_USER = "21dbd100-6940-42c2-9190-5d6cb909625b"
_CRYPTO_AUDITOR = "2c18b078-7c48-4d3a-af88-5a3a1b3f82b3"
_KEYS = "7.5"


def pool(world: World, values: Values) -> None:
    """Names the shared pool; what is made in it has hardware keys alone."""
    values["vaultBaseUrl"] = estate.hsm(world)
    parameters = values.get("parameters", {})
    for holder in (parameters, parameters.get("key", {})):
        if holder.get("kty") in ("RSA", "EC", "oct"):
            holder["kty"] += "-HSM"


def new_key(world: World, values: Values) -> None:
    """Names a key that is not there yet."""
    values["key-name"] = world.name("k")


def key(world: World, values: Values) -> None:
    """Makes a key."""
    bundle = estate.new_hsm_key(world, values["vaultBaseUrl"])
    values["key-name"], values["key-version"] = bundle["key"]["kid"].split("/")[-2:]


def deleted_key(world: World, values: Values) -> None:
    """Makes a key and deletes it."""
    key(world, values)
    world.made("DELETE", f"{values['vaultBaseUrl']}/keys/{values['key-name']}", _KEYS)
    deleted = f"{values['vaultBaseUrl']}/deletedkeys/{values['key-name']}?api-version={_KEYS}"
    world.until(lambda: world.send("GET", deleted))


def ciphertext(world: World, values: Values) -> None:
    """Encrypts something with the key."""
    _cipher(world, values, "encrypt")


def wrapped_key(world: World, values: Values) -> None:
    """Wraps a key with the key."""
    _cipher(world, values, "wrapkey")


def fresh_pool(world: World, values: Values) -> None:
    """Makes a pool that nobody has activated."""
    values["vaultBaseUrl"] = estate.new_hsm(world)["properties"]["hsmUri"].rstrip("/")


def certificates(_world: World, values: Values) -> None:
    """Names certificates of keys that were made now: the example's are shortened."""
    values["CertificateInfoObject"]["certificates"] = estate.holders()


def assignment(world: World, values: Values) -> None:
    """Assigns a role at the example's scope."""
    definition = f"{_DEFINITIONS}/{_CRYPTO_USER}"
    values["roleAssignmentName"] = estate.assign_at(world, values["vaultBaseUrl"], values["scope"], definition)


def unassigned(world: World, values: Values) -> None:
    """Names a role and a principal that exist."""
    values["roleAssignmentName"] = world.uuid()
    properties = values["parameters"]["properties"]
    properties |= {"roleDefinitionId": f"{_DEFINITIONS}/{_CRYPTO_AUDITOR}", "principalId": world.principal}


def built_in(_world: World, values: Values) -> None:
    """Names a built-in role."""
    values["roleDefinitionName"] = _CRYPTO_USER


def new_definition(world: World, values: Values) -> None:
    """Names a custom role that is not there yet; Azure keeps them at the top."""
    values |= {"roleDefinitionName": world.uuid(), "scope": "/"}


def definition(world: World, values: Values) -> None:
    """Makes a custom role."""
    new_definition(world, values)
    url = f"{values['vaultBaseUrl']}/providers/Microsoft.Authorization/roleDefinitions/{values['roleDefinitionName']}"
    actions = ["Microsoft.KeyVault/managedHsm/keys/read/action"]
    properties = {"roleName": world.name("role"), "type": "CustomRole", "permissions": [{"dataActions": actions}]}
    world.made("PUT", url, _KEYS, {"properties": properties})


def _cipher(world: World, values: Values, operation: str) -> None:
    kid = f"{values['vaultBaseUrl']}/keys/{values['key-name']}/{values['key-version']}"
    values["parameters"]["value"] = world.cipher(kid, operation, values["parameters"]["alg"])


TABLE = {
    "CreateKey": (pool, new_key),
    "ImportKey": (pool, new_key),
    **{f"{verb}Key": (pool, key) for verb in ("Backup", "Delete", "Get", "Rotate", "Update")},
    **{name: (pool, key) for name in ("GetKeyVersions", "GetKeyRotationPolicy", "UpdateKeyRotationPolicy")},
    **{name: (pool, key) for name in ("encrypt", "release", "sign", "verify", "wrapKey")},
    **{name: (pool, deleted_key) for name in ("GetDeletedKey", "PurgeDeletedKey", "RecoverDeletedKey")},
    "decrypt": (pool, key, ciphertext),
    "unwrapKey": (pool, key, wrapped_key),
    "RoleAssignments_Create": (pool, unassigned),
    "RoleAssignments_Delete": (pool, assignment),
    "RoleAssignments_Get": (pool, assignment),
    "RoleDefinitions_CreateOrUpdate": (pool, new_definition),
    "RoleDefinitions_Delete": (pool, definition),
    "RoleDefinitions_Get": (pool, built_in),
    "HSMSecurityDomain_Download": (fresh_pool, certificates),
    "HSMSecurityDomain_TransferKey": (fresh_pool,),
    "HSMSecurityDomain_Upload": (fresh_pool,),
    "HSMSecurityDomain_UploadPending": (fresh_pool,),
}
