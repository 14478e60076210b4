"""What the checks of several providers share: a customer's key, and an identity that may use it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from azure.keyvault.keys import KeyVaultKey
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.compute.models import (
    DiskEncryptionSet,
    EncryptionSetIdentity,
    KeyForDiskEncryptionSet,
    SourceVault,
    UserAssignedIdentitiesValue,
)
from azure.mgmt.keyvault.models import Vault
from azure.mgmt.msi import ManagedServiceIdentityClient
from azure.mgmt.msi.models import Identity

from sdk_support import PAUSE, REGION, Lab, patient

CUSTOMER = "EncryptionAtRestWithCustomerKey"
ENCRYPTION_USER = "Key Vault Crypto Service Encryption User"


@dataclass(frozen=True)
class CustomerKey:
    """A key in a premium vault with purge protection, and a user-assigned identity that may wrap with it."""

    vault: Vault
    key: KeyVaultKey
    identity: Identity

    def assigned(self) -> Mapping[str, UserAssignedIdentitiesValue]:
        """The identity, as a resource of Microsoft.Compute is given it."""
        return {self.identity.id: UserAssignedIdentitiesValue()}


@cache
def compute(lab: Lab) -> ComputeManagementClient:
    """Client for disks, their encryption sets and machines."""
    lab.register("Microsoft.Compute")
    return ComputeManagementClient(lab.credential, lab.subscription, polling_interval=PAUSE)


@cache
def identities(lab: Lab) -> ManagedServiceIdentityClient:
    """Client for user-assigned identities."""
    lab.register("Microsoft.ManagedIdentity")
    return ManagedServiceIdentityClient(lab.credential, lab.subscription)


@cache
def customer_key(lab: Lab) -> CustomerKey:
    """The key and the identity that checks share; the role is given, though it may not have taken effect yet."""
    vault = lab.new_vault("customer", enable_purge_protection=True)
    lab.grant("Key Vault Crypto Officer", vault.id)
    keys = lab.keys(vault)
    key = patient(lambda: keys.create_rsa_key("customer", size=2048, hardware_protected=True))
    client = identities(lab).user_assigned_identities
    identity = client.create_or_update(lab.group, f"customer-{lab.suffix}", Identity(location=REGION))
    lab.grant(ENCRYPTION_USER, vault.id, identity.principal_id)
    return CustomerKey(vault, key, identity)


def encryption_set_of(lab: Lab, key_url: str, encryption_type: str = CUSTOMER) -> DiskEncryptionSet:
    """The body of an encryption set with the shared identity."""
    customer = customer_key(lab)
    return DiskEncryptionSet(
        location=REGION,
        identity=EncryptionSetIdentity(type="UserAssigned", user_assigned_identities=customer.assigned()),
        encryption_type=encryption_type,
        active_key=KeyForDiskEncryptionSet(key_url=key_url, source_vault=SourceVault(id=customer.vault.id)),
    )


@cache
def encryption_set(lab: Lab) -> DiskEncryptionSet:
    """The encryption set that checks share."""
    body = encryption_set_of(lab, customer_key(lab).key.id)
    sets = compute(lab).disk_encryption_sets
    return patient(lambda: sets.begin_create_or_update(lab.group, "shared-set", body).result(), status=403)
