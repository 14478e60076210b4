"""User-assigned identities, and the system-assigned ones as the same SDK reads them."""

from azure.mgmt.msi.models import FederatedIdentityCredential, Identity, IdentityUpdate
from azure.mgmt.storage.models import Identity as AccountIdentity
from azure.mgmt.storage.models import StorageAccountUpdateParameters, UserAssignedIdentity

from sdk_customer_key import identities
from sdk_management import READER, create_account
from sdk_support import REGION, Lab, check, equal, refused

GUID = 36


@check("identities: an identity from creation to deletion")
def identity_life(lab: Lab) -> None:
    """An identity is made with a principal, kept, changed, listed, and deleted with its principal."""
    client = identities(lab).user_assigned_identities
    made = client.create_or_update(lab.group, "life-identity", Identity(location=REGION))
    equal((len(made.principal_id), len(made.client_id), made.tenant_id), (GUID, GUID, lab.tenant))
    assert made.principal_id != made.client_id
    again = client.create_or_update(lab.group, "life-identity", Identity(location=REGION, tags={"a": "b"}))
    equal((again.id, again.principal_id, again.tags), (made.id, made.principal_id, {"a": "b"}))
    equal(client.update(lab.group, "life-identity", IdentityUpdate(tags={"c": "d"})).tags, {"c": "d"})
    equal(client.get(lab.group, "life-identity").client_id, made.client_id)
    assert made.id in [found.id for found in client.list_by_resource_group(lab.group)]
    assert made.id in [found.id for found in client.list_by_subscription()]
    with refused(409, "InvalidResourceLocation"):
        client.create_or_update(lab.group, "life-identity", Identity(location="westeurope"))

    lab.grant(READER, lab.group_scope, made.principal_id)
    client.delete(lab.group, "life-identity")
    with refused(404, "ResourceNotFound"):
        client.get(lab.group, "life-identity")
    anew = client.create_or_update(lab.group, "life-identity", Identity(location=REGION))
    assert anew.principal_id != made.principal_id, "a principal does not come back"
    client.delete(lab.group, "life-identity")


@check("identities: a resource is given an identity")
def identity_given(lab: Lab) -> None:
    """A storage account shows the principal of the identity that it is given; one that is not there is refused."""
    identity = identities(lab).user_assigned_identities.create_or_update(
        lab.group, "given-identity", Identity(location=REGION)
    )
    account = create_account(lab, "given")

    def give(name: str) -> AccountIdentity:
        users = {name: UserAssignedIdentity()}
        change = StorageAccountUpdateParameters(
            identity=AccountIdentity(type="SystemAssigned,UserAssigned", user_assigned_identities=users)
        )
        return lab.accounts.storage_accounts.update(lab.group, account.name, change).identity

    given = give(identity.id)
    users = {name.lower(): user for name, user in given.user_assigned_identities.items()}
    equal(users[identity.id.lower()].principal_id, identity.principal_id)
    equal(users[identity.id.lower()].client_id, identity.client_id)
    equal(given.principal_id, account.identity.principal_id)
    with refused(400, "FailedIdentityOperation"):
        give(identity.id.replace("given-identity", "no-identity"))


@check("identities: the identity of a resource is read at the resource")
def system_assigned(lab: Lab) -> None:
    """The system-assigned identity of an account is the principal that the account shows."""
    client = identities(lab).system_assigned_identities
    account = create_account(lab, "scope")
    found = client.get_by_scope(account.id.removeprefix("/"))
    equal((found.principal_id, found.tenant_id), (account.identity.principal_id, lab.tenant))
    vault = lab.new_vault("scope", sku="standard")
    with refused(404):
        client.get_by_scope(vault.id.removeprefix("/"))


@check("identities: trust in other issuers is not emulated")
def federated(lab: Lab) -> None:
    """Federated credentials are refused by name, never made up."""
    identities(lab).user_assigned_identities.create_or_update(lab.group, "federated", Identity(location=REGION))
    client = identities(lab).federated_identity_credentials
    body = FederatedIdentityCredential(
        issuer="https://issuer.example", subject="lab", audiences=["api://AzureADTokenExchange"]
    )
    with refused(404, "InvalidResourceType"):
        client.create_or_update(lab.group, "federated", "lab", body)
    with refused(404, "InvalidResourceType"):
        list(client.list(lab.group, "federated"))
