"""Azure Resource Manager: groups, vaults, storage accounts, roles, providers, locations."""

from azure.core.exceptions import ResourceNotFoundError
from azure.mgmt.authorization.models import RoleAssignmentCreateParameters
from azure.mgmt.keyvault.models import (
    Sku,
    Vault,
    VaultCheckNameAvailabilityParameters,
    VaultCreateOrUpdateParameters,
    VaultPatchParameters,
    VaultPatchProperties,
    VaultProperties,
)
from azure.mgmt.resource.resources.models import ResourceGroup, ResourceGroupPatchable
from azure.mgmt.storage.models import (
    Encryption,
    EncryptionService,
    EncryptionServices,
    Identity,
    KeyVaultProperties,
    StorageAccount,
    StorageAccountCheckNameAvailabilityParameters,
    StorageAccountCreateParameters,
    StorageAccountRegenerateKeyParameters,
    StorageAccountUpdateParameters,
)
from azure.mgmt.storage.models import Sku as StorageSku

from sdk_support import REGION, Lab, check, equal, patient, refused, until

READER = "Key Vault Reader"


@check("management: tenants, subscriptions and locations")
def subscriptions(lab: Lab) -> None:
    """The subscription of the environment is there, enabled, in its tenant, with the region of the labs."""
    client = lab.subscriptions
    assert lab.tenant in [tenant.tenant_id for tenant in client.tenants.list()]
    assert lab.subscription in [found.subscription_id for found in client.subscriptions.list()]
    subscription = client.subscriptions.get(lab.subscription)
    equal(subscription.state, "Enabled")
    locations = {location.name: location for location in client.subscriptions.list_locations(lab.subscription)}
    equal(locations[REGION].display_name, "Italy North")


@check("management: providers")
def providers(lab: Lab) -> None:
    """A provider is registered, listed and described with its types and their versions."""
    client = lab.resources.providers
    client.register("Microsoft.KeyVault")
    provider = until(lambda: client.get("Microsoft.KeyVault"), lambda seen: seen.registration_state == "Registered")
    vaults = next(kind for kind in provider.resource_types if kind.resource_type == "vaults")
    assert "2023-07-01" in vaults.api_versions, vaults.api_versions
    assert "Italy North" in vaults.locations, vaults.locations
    assert {"Microsoft.KeyVault", "Microsoft.Storage"} <= {found.namespace for found in client.list()}
    with refused(404, "InvalidResourceNamespace"):
        client.get("Microsoft.Nowhere")


@check("management: resource groups")
def resource_groups(lab: Lab) -> None:
    """A group is made, found, changed, listed by tag and deleted."""
    client = lab.resources.resource_groups
    name = lab.new_group("groups")
    group = client.create_or_update(name, ResourceGroup(location=REGION, tags={"lab": name}))
    equal(group.properties.provisioning_state, "Succeeded")
    equal(client.get(name).id, f"/subscriptions/{lab.subscription}/resourceGroups/{name}")
    equal(client.update(name, ResourceGroupPatchable(tags={"lab": name, "more": "yes"})).tags["more"], "yes")
    equal([found.name for found in client.list(filter=f"tagName eq 'lab' and tagValue eq '{name}'")], [name])
    assert name in [found.name for found in client.list()]
    assert client.check_existence(name)
    with refused(409, "InvalidResourceGroupLocation"):
        client.create_or_update(name, ResourceGroup(location="westeurope"))
    client.begin_delete(name).wait()
    assert not client.check_existence(name)
    with refused(404, "ResourceGroupNotFound"):
        client.get(name)


@check("management: a vault from creation to recovery")
def vault_life(lab: Lab) -> None:
    """A premium vault with Azure RBAC and purge protection is made, listed, changed, deleted, and recovered."""
    client = lab.vaults.vaults
    vault = lab.new_vault("life", enable_purge_protection=True)
    equal(vault.properties.vault_uri, f"https://{vault.name}.vault.azure.net/")
    equal(vault.properties.sku.name, "premium")
    equal(vault.properties.provisioning_state, "Succeeded")
    got = client.get(lab.group, vault.name)
    assert got.properties.enable_rbac_authorization and got.properties.enable_purge_protection
    equal(got.properties.soft_delete_retention_in_days, 7)
    assert vault.name in [found.name for found in client.list_by_resource_group(lab.group)]
    assert vault.name in [found.name for found in client.list_by_subscription()]
    assert vault.name in [found.name for found in client.list()]

    change = VaultPatchParameters(tags={"lab": "yes"}, properties=VaultPatchProperties(enabled_for_deployment=True))
    changed = client.update(lab.group, vault.name, change)
    equal(changed.tags, {"lab": "yes"})
    assert changed.properties.enabled_for_deployment
    off = VaultPatchParameters(properties=VaultPatchProperties(enable_purge_protection=False))
    with refused(400):
        client.update(lab.group, vault.name, off)

    client.delete(lab.group, vault.name)
    with refused(404, "ResourceNotFound"):
        client.get(lab.group, vault.name)
    assert vault.name in [found.name for found in client.list_deleted()]
    deleted = client.get_deleted(vault.name, REGION)
    equal(deleted.properties.vault_id, vault.id)
    assert deleted.properties.scheduled_purge_date > deleted.properties.deletion_date
    with refused(405, "MethodNotAllowed"):
        client.begin_purge_deleted(vault.name, REGION).wait()

    properties = VaultProperties(tenant_id=lab.tenant, sku=Sku(family="A", name="premium"), create_mode="recover")
    again = VaultCreateOrUpdateParameters(location=REGION, properties=properties)
    recovered = client.begin_create_or_update(lab.group, vault.name, again).result()
    equal(recovered.id, vault.id)
    assert recovered.properties.enable_purge_protection
    assert vault.name not in [found.name for found in client.list_deleted()]


@check("management: a vault is purged, and its name is free again")
def vault_purge(lab: Lab) -> None:
    """A vault without purge protection leaves for good, and its name is taken exactly as long as it is there."""
    client = lab.vaults.vaults
    name = f"purge-{lab.suffix}"

    def availability() -> tuple[bool | None, str | None]:
        answer = client.check_name_availability(VaultCheckNameAvailabilityParameters(name=name))
        return answer.name_available, answer.reason

    equal(availability(), (True, None))
    vault = lab.new_vault("purge", sku="standard")
    equal(vault.name, name)
    equal(availability(), (False, "AlreadyExists"))
    client.delete(lab.group, name)
    equal(availability(), (False, "AlreadyExists"))
    client.begin_purge_deleted(name, REGION).wait()
    with refused(404, "DeletedVaultNotFound"):
        client.get_deleted(name, REGION)
    equal(availability(), (True, None))


@check("management: role definitions by name")
def role_definitions(lab: Lab) -> None:
    """A built-in role is found by its name, with Azure's own id and permissions."""
    role = lab.authorization.role_definitions.get_by_id(lab.role("Key Vault Crypto User", lab.group_scope))
    equal(role.name, "12338af0-0e69-4776-bea7-57ae8d297424")
    equal(role.role_type, "BuiltInRole")
    assert "Microsoft.KeyVault/vaults/keys/wrap/action" in role.permissions[0].data_actions, role.permissions[0]
    equal(list(lab.authorization.role_definitions.list(lab.group_scope, filter="roleName eq 'No such role'")), [])


@check("management: role assignments at a vault and at a key")
def role_assignments(lab: Lab) -> None:
    """A role is given, listed where it holds and by whom it is held, not given twice, and taken back."""
    client = lab.authorization.role_assignments
    vault = lab.new_vault("roles")
    for scope in (vault.id, f"{vault.id}/keys/some-key"):
        assignment = lab.grant(READER, scope)
        equal(assignment.scope, scope)
        equal(assignment.principal_id, lab.claims["oid"])
        equal(client.get_by_id(assignment.id).name, assignment.name)
        assert assignment.id in [found.id for found in client.list_for_scope(scope, filter="atScope()")]
        mine = f"principalId eq '{lab.claims['oid']}'"
        assert assignment.id in [found.id for found in client.list_for_scope(scope, filter=mine)]
        with refused(409, "RoleAssignmentExists"):
            lab.grant(READER, scope)
        client.delete(scope, assignment.name)
        assert assignment.id not in [found.id for found in client.list_for_scope(scope, filter="atScope()")]
    with refused(404, "RoleAssignmentNotFound"):
        client.get(vault.id, assignment.name)


@check("management: a role for nobody is refused")
def role_for_nobody(lab: Lab) -> None:
    """A principal that does not exist is refused: without a type to take on trust, Azure looks it up."""
    with refused(400, "PrincipalNotFound"):
        lab.authorization.role_assignments.create(
            lab.group_scope,
            "6f5f0a1c-7d0b-4f0e-9a55-0c8d6a1b2c3d",
            RoleAssignmentCreateParameters(
                role_definition_id=lab.role(READER, lab.group_scope),
                principal_id="11111111-2222-4333-8444-555555555555",
                principal_type=None,
            ),
        )


def create_account(lab: Lab, purpose: str) -> StorageAccount:
    """Makes a storage account with an identity of its own."""
    parameters = StorageAccountCreateParameters(
        location=REGION,
        sku=StorageSku(name="Standard_LRS"),
        kind="StorageV2",
        identity=Identity(type="SystemAssigned"),
        allow_blob_public_access=False,
        minimum_tls_version="TLS1_2",
    )
    return lab.accounts.storage_accounts.begin_create(lab.group, f"{purpose}{lab.suffix}", parameters).result()


def under_key(vault: Vault, key: str) -> StorageAccountUpdateParameters:
    """What makes a storage account use the newest version of a key in a vault."""
    return StorageAccountUpdateParameters(
        encryption=Encryption(
            key_source="Microsoft.Keyvault",
            services=EncryptionServices(blob=EncryptionService(enabled=True, key_type="Account")),
            key_vault_properties=KeyVaultProperties(key_vault_uri=vault.properties.vault_uri, key_name=key),
        )
    )


@check("management: a storage account from creation to deletion")
def account_life(lab: Lab) -> None:
    """An account is made, found, listed, changed and deleted; its name is taken exactly as long as it is there."""
    client = lab.accounts.storage_accounts
    name = StorageAccountCheckNameAvailabilityParameters(name=f"life{lab.suffix}")
    assert client.check_name_availability(name).name_available
    account = create_account(lab, "life")
    equal(account.provisioning_state, "Succeeded")
    equal(account.primary_endpoints.blob, f"https://{account.name}.blob.core.windows.net/")
    assert account.identity.principal_id
    taken = client.check_name_availability(name)
    equal((taken.name_available, taken.reason), (False, "AlreadyExists"))
    invalid = client.check_name_availability(StorageAccountCheckNameAvailabilityParameters(name="Not-A-Name"))
    equal((invalid.name_available, invalid.reason), (False, "AccountNameInvalid"))

    got = client.get_properties(lab.group, account.name)
    equal((got.id, got.kind, got.sku.name), (account.id, "StorageV2", "Standard_LRS"))
    assert account.name in [found.name for found in client.list()]
    assert account.name in [found.name for found in client.list_by_resource_group(lab.group)]
    changed = client.update(lab.group, account.name, StorageAccountUpdateParameters(tags={"lab": "yes"}))
    equal(changed.tags, {"lab": "yes"})
    client.delete(lab.group, account.name)
    with refused(404, "ResourceNotFound"):
        client.get_properties(lab.group, account.name)
    assert client.check_name_availability(name).name_available


@check("management: the keys of a storage account")
def account_keys(lab: Lab) -> None:
    """Two keys are listed, and one of them is made anew without touching the other."""
    client = lab.accounts.storage_accounts
    account = create_account(lab, "keys")
    before = {key.key_name: key.value for key in client.list_keys(lab.group, account.name).keys_property}
    equal(sorted(before), ["key1", "key2"])
    anew = StorageAccountRegenerateKeyParameters(key_name="key2")
    after = {key.key_name: key.value for key in client.regenerate_key(lab.group, account.name, anew).keys_property}
    equal(after["key1"], before["key1"])
    assert after["key2"] != before["key2"]


@check("management: a storage account under a customer's key")
def account_customer_key(lab: Lab) -> None:
    """An account is refused a key that its identity may not use, and takes it once the identity has the role."""
    vault = lab.new_vault("cmk", enable_purge_protection=True)
    lab.grant("Key Vault Crypto Officer", vault.id)
    keys = lab.keys(vault)
    key = patient(lambda: keys.create_rsa_key("cmk", size=2048, hardware_protected=True))
    account = create_account(lab, "cmk")

    def use_the_key() -> StorageAccount:
        return lab.accounts.storage_accounts.update(lab.group, account.name, under_key(vault, "cmk"))

    with refused(400, "KeyVaultAuthenticationFailure"):
        use_the_key()
    lab.grant("Key Vault Crypto Service Encryption User", f"{vault.id}/keys/cmk", account.identity.principal_id)
    encryption = patient(use_the_key, status=400).encryption
    equal(encryption.key_source, "Microsoft.Keyvault")
    equal(encryption.key_vault_properties.current_versioned_key_identifier, key.id)
    got = lab.accounts.storage_accounts.get_properties(lab.group, account.name).encryption
    equal(got.key_vault_properties.key_name, "cmk")


@check("management: resources of a group and of the subscription")
def resources(lab: Lab) -> None:
    """A vault is among the resources of its group and, by a filter, of its subscription."""
    vault = lab.new_vault("listed", sku="standard")
    assert vault.id in [found.id for found in lab.resources.resources.list_by_resource_group(lab.group)]
    named = f"resourceType eq 'Microsoft.KeyVault/vaults' and name eq '{vault.name}'"
    equal([found.id for found in lab.resources.resources.list(filter=named)], [vault.id])


@check("management: what does not exist is not found")
def not_found(lab: Lab) -> None:
    """The SDK turns Azure's refusal into its own error for what is not there."""
    try:
        lab.vaults.vaults.get(lab.group, "nobody-has-this-name")
    except ResourceNotFoundError as error:
        equal(error.error.code, "ResourceNotFound")
    else:
        raise AssertionError("a vault that nobody made was found")
