"""What an example needs before it can be sent: things that exist, and the names of those things in its parameters."""

import re
import uuid
from collections.abc import Callable
from typing import Any

from .world import LOCATION, READER, World

Values = dict[str, Any]
Prerequisite = Callable[[World, Values], None]

_SUBSCRIPTION = re.compile(r"/subscriptions/[^/]+", re.IGNORECASE)


def localise(world: World, values: Values) -> Values:
    """Puts this subscription, this tenant and a resource group where an example has others."""
    own = _localised(world, values)
    if "subscriptionId" in own:
        own["subscriptionId"] = world.subscription
    if "resourceGroupName" in own:
        own["resourceGroupName"] = world.group
    if "scope" in own:
        own["scope"] = re.sub(r"^(subscriptions/[^/]+|scope)", f"subscriptions/{world.subscription}", own["scope"])
    return own


def _localised(world: World, value: Any) -> Any:
    if isinstance(value, dict):
        return {
            _localised(world, name): world.tenant if name == "tenantId" else _localised(world, each)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [_localised(world, each) for each in value]
    if isinstance(value, str):
        return _SUBSCRIPTION.sub(f"/subscriptions/{world.subscription}", value)
    return value


def new_group(world: World, values: Values) -> None:
    """Names a group that is not there yet."""
    values["resourceGroupName"] = world.name("g")


def own_group(world: World, values: Values) -> None:
    """Makes a group that the example may delete."""
    values["resourceGroupName"] = world.new_group()


def new_vault(world: World, values: Values) -> None:
    """Names a vault that is not there yet."""
    values["vaultName"] = world.name("v")


def vault(world: World, values: Values) -> None:
    """Names the shared vault, for its management and for its data."""
    values["vaultName"] = world.vault
    values["vaultBaseUrl"] = world.vault_url(world.vault)


def own_vault(world: World, values: Values) -> None:
    """Makes a vault that the example may change or delete."""
    values["vaultName"] = world.new_vault()


def deleted_vault(world: World, values: Values) -> None:
    """Makes a vault and deletes it."""
    own_vault(world, values)
    world.delete_vault(values["vaultName"])
    values["location"] = LOCATION


def new_key(world: World, values: Values) -> None:
    """Names a key that is not there yet."""
    vault(world, values)
    values["key-name"] = values["keyName"] = world.name("k")


def key(world: World, values: Values) -> None:
    """Makes a key."""
    _use_key(world, values, world.new_key())


def deleted_key(world: World, values: Values) -> None:
    """Makes a key and deletes it."""
    bundle = world.new_key()
    world.delete_key(bundle)
    _use_key(world, values, bundle)


def purgeable_key(world: World, values: Values) -> None:
    """Makes a key in a vault without purge protection, and deletes it."""
    bundle = world.new_key(world.purging_vault)
    world.delete_key(bundle)
    _use_key(world, values, bundle)
    values["vaultBaseUrl"] = world.vault_url(world.purging_vault)


def ciphertext(world: World, values: Values) -> None:
    """Encrypts something with the key, for the example to decrypt."""
    _cipher(world, values, "encrypt")


def wrapped_key(world: World, values: Values) -> None:
    """Wraps a key with the key, for the example to unwrap."""
    _cipher(world, values, "wrapkey")


def new_account(world: World, values: Values) -> None:
    """Names a storage account that is not there yet."""
    values["accountName"] = world.name("s")


def account(world: World, values: Values) -> None:
    """Names the shared storage account."""
    values["accountName"] = world.account


def own_account(world: World, values: Values) -> None:
    """Makes a storage account that the example may change or delete."""
    values["accountName"] = world.new_account()


def customer_key(world: World, values: Values) -> None:
    """Lets the account's own identity use a key, where the example's encryption names one.

    An example with a user-assigned identity stays as it is: the embedded Azure has no identities to assign.
    """
    encryption = values["parameters"].get("properties", {}).get("encryption", {})
    if "keyvaultproperties" not in encryption or "identity" in encryption:
        return
    bundle = world.new_key()
    named = encryption["keyvaultproperties"]
    named |= {"keyvaulturi": world.vault_url(world.vault), "keyname": _name(bundle)}
    if "keyversion" in named:
        named["keyversion"] = bundle["key"]["kid"].rsplit("/", 1)[1]
    world.let_encrypt(world.identity_of(values["accountName"]))


def assignment(world: World, values: Values) -> None:
    """Assigns a role at a group of its own."""
    scope = f"/subscriptions/{world.subscription}/resourceGroups/{world.new_group()}"
    _name_assignment(values, scope, world.assign(scope, READER))


def new_assignment(world: World, values: Values) -> None:
    """Names a role and a principal that exist, and an assignment that does not, at a scope like the example's."""
    scope = values.get("scope", f"subscriptions/{world.subscription}")
    if "/providers/" in scope:
        scope = world.vault_id(world.new_vault())
    elif "/resourceGroups/" in scope:
        scope = f"/subscriptions/{world.subscription}/resourceGroups/{world.new_group()}"
    else:
        scope = f"/subscriptions/{world.subscription}"
        world.unassign(scope, READER)
    _name_assignment(values, scope, str(uuid.uuid4()))
    properties = values["parameters"]["properties"]
    properties |= {"roleDefinitionId": world.role_id(READER), "principalId": world.principal}
    properties["principalType"] = "ServicePrincipal"


def vault_scope(world: World, values: Values) -> None:
    """Names the shared vault as the resource whose assignments are listed."""
    values |= {"resourceProviderNamespace": "Microsoft.KeyVault", "resourceType": "vaults", "resourceName": world.vault}


def role(world: World, values: Values) -> None:
    """Names a built-in role."""
    values["roleDefinitionId"] = READER


def new_role(world: World, values: Values) -> None:
    """Names a custom role that is not there yet."""
    values["roleDefinitionId"] = str(uuid.uuid4())


# An operation that is not named needs nothing but the group of its parameters.
TABLE: dict[str, tuple[Prerequisite, ...]] = {
    "BackupKey": (key,),
    "BlobContainers_Create": (account,),
    "BlobContainers_Delete": (account,),
    "BlobContainers_Get": (account,),
    "BlobContainers_List": (account,),
    "BlobContainers_Update": (account,),
    "BlobServices_GetServiceProperties": (account,),
    "BlobServices_SetServiceProperties": (account,),
    "CreateKey": (new_key,),
    "DeleteKey": (key,),
    "EncryptionScopes_Get": (account,),
    "EncryptionScopes_List": (account,),
    "EncryptionScopes_Patch": (account,),
    "EncryptionScopes_Put": (account,),
    "GetDeletedKey": (deleted_key,),
    "GetDeletedKeys": (vault,),
    "GetKey": (key,),
    "GetKeyRotationPolicy": (key,),
    "GetKeyVersions": (key,),
    "GetKeys": (vault,),
    "GetRandomBytes": (vault,),
    "ImportKey": (new_key,),
    "Keys_CreateIfNotExist": (new_key,),
    "Keys_Get": (key,),
    "Keys_GetVersion": (key,),
    "Keys_List": (vault,),
    "Keys_ListVersions": (key,),
    "Permissions_ListForResource": (vault_scope,),
    "PurgeDeletedKey": (purgeable_key,),
    "RecoverDeletedKey": (deleted_key,),
    "ResourceGroups_CreateOrUpdate": (new_group,),
    "ResourceGroups_Delete": (own_group,),
    "RestoreKey": (vault,),
    "RoleAssignments_Create": (new_assignment,),
    "RoleAssignments_CreateById": (new_assignment,),
    "RoleAssignments_Delete": (assignment,),
    "RoleAssignments_DeleteById": (assignment,),
    "RoleAssignments_Get": (assignment,),
    "RoleAssignments_GetById": (assignment,),
    "RoleAssignments_ListForResource": (vault_scope,),
    "RoleDefinitions_CreateOrUpdate": (new_role,),
    "RoleDefinitions_Delete": (new_role,),
    "RoleDefinitions_Get": (role,),
    "RotateKey": (key,),
    "StorageAccounts_Create": (new_account, customer_key),
    "StorageAccounts_Delete": (own_account,),
    "StorageAccounts_GetProperties": (account,),
    "StorageAccounts_ListKeys": (account,),
    "StorageAccounts_RegenerateKey": (account,),
    "StorageAccounts_Update": (own_account, customer_key),
    "UpdateKey": (key,),
    "UpdateKeyRotationPolicy": (key,),
    "Vaults_CreateOrUpdate": (new_vault,),
    "Vaults_Delete": (own_vault,),
    "Vaults_Get": (vault,),
    "Vaults_GetDeleted": (deleted_vault,),
    "Vaults_PurgeDeleted": (deleted_vault,),
    "Vaults_Update": (own_vault,),
    "Vaults_UpdateAccessPolicy": (own_vault,),
    "decrypt": (key, ciphertext),
    "encrypt": (key,),
    "release": (key,),
    "sign": (key,),
    "unwrapKey": (key, wrapped_key),
    "verify": (key,),
    "wrapKey": (key,),
}


def _name_assignment(values: Values, scope: str, name: str) -> None:
    values["scope"], values["roleAssignmentName"] = scope.removeprefix("/"), name
    values["roleAssignmentId"] = f"{values['scope']}/providers/Microsoft.Authorization/roleAssignments/{name}"


def _use_key(world: World, values: Values, bundle: dict[str, Any]) -> None:
    vault(world, values)
    values["key-name"], values["key-version"] = bundle["key"]["kid"].split("/")[-2:]
    values["keyName"], values["keyVersion"] = values["key-name"], values["key-version"]


def _cipher(world: World, values: Values, operation: str) -> None:
    kid = f"{values['vaultBaseUrl']}/keys/{values['key-name']}/{values['key-version']}"
    values["parameters"]["value"] = world.cipher(kid, operation, values["parameters"]["alg"])


def _name(bundle: dict[str, Any]) -> str:
    return bundle["key"]["kid"].split("/")[-2]
