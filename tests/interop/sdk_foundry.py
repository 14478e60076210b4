"""AI accounts under a customer's key, and their projects."""

from functools import cache

from azure.mgmt.cognitiveservices import CognitiveServicesManagementClient
from azure.mgmt.cognitiveservices.models import (
    Account,
    AccountProperties,
    Encryption,
    Identity,
    KeyVaultProperties,
    Project,
    ProjectProperties,
    Sku,
    UserAssignedIdentity,
)

from sdk_customer_key import ENCRYPTION_USER, CustomerKey, customer_key
from sdk_support import PAUSE, REGION, Lab, check, equal, patient, refused

KIND = "AIServices"


@cache
def foundry(lab: Lab) -> CognitiveServicesManagementClient:
    """Client for AI accounts and projects."""
    lab.register("Microsoft.CognitiveServices")
    return CognitiveServicesManagementClient(lab.credential, lab.subscription, polling_interval=PAUSE)


def account_of(lab: Lab, name: str) -> Account:
    """The body of an account that may have projects."""
    return Account(
        location=REGION,
        kind=KIND,
        sku=Sku(name="S0"),
        identity=Identity(type="SystemAssigned"),
        properties=AccountProperties(custom_sub_domain_name=f"{name}-{lab.suffix}", allow_project_management=True),
    )


def new_account(lab: Lab, name: str) -> Account:
    """Makes an account."""
    return foundry(lab).accounts.begin_create(lab.group, f"{name}-{lab.suffix}", account_of(lab, name)).result()


def remove(lab: Lab, name: str) -> None:
    """Deletes an account for good."""
    foundry(lab).accounts.begin_delete(lab.group, name).wait()
    foundry(lab).deleted_accounts.begin_purge(REGION, lab.group, name).wait()


def under(customer: CustomerKey, client_id: str | None = None) -> Encryption:
    """Encryption by a version of the customer's key."""
    key = customer.key.properties
    return Encryption(
        key_source="Microsoft.KeyVault",
        key_vault_properties=KeyVaultProperties(
            key_vault_uri=customer.vault.properties.vault_uri,
            key_name=key.name,
            key_version=key.version,
            identity_client_id=client_id,
        ),
    )


@check("foundry: an account from creation to purge")
def account_life(lab: Lab) -> None:
    """An account is made, listed, changed, deleted, listed among the deleted, and purged; its name is taken so long."""
    client, deleted = foundry(lab).accounts, foundry(lab).deleted_accounts

    def free() -> bool:
        kind = "Microsoft.CognitiveServices/accounts"
        return foundry(lab).check_domain_availability(f"life-{lab.suffix}", kind, KIND).is_subdomain_available

    assert free()
    made = new_account(lab, "life")
    equal((made.properties.provisioning_state, made.kind, made.sku.name), ("Succeeded", KIND, "S0"))
    assert made.properties.endpoint.startswith(f"https://life-{lab.suffix}."), made.properties.endpoint
    assert made.identity.principal_id
    assert not free()
    assert made.id in [found.id for found in client.list_by_resource_group(lab.group)]
    assert made.id in [found.id for found in client.list()]
    changed = client.begin_update(lab.group, made.name, Account(tags={"lab": "yes"})).result()
    equal(changed.tags, {"lab": "yes"})
    keys = client.list_keys(lab.group, made.name)
    anew = client.regenerate_key(lab.group, made.name, "Key2")
    equal(anew.key1, keys.key1)
    assert anew.key2 != keys.key2

    client.begin_delete(lab.group, made.name).wait()
    with refused(404, "ResourceNotFound"):
        client.get(lab.group, made.name)
    assert made.name in [found.name for found in deleted.list()]
    equal(deleted.get(REGION, lab.group, made.name).location, REGION)
    with refused(409):
        new_account(lab, "life")
    deleted.begin_purge(REGION, lab.group, made.name).wait()
    with refused(404):
        deleted.get(REGION, lab.group, made.name)


@check("foundry: projects of an account")
def projects(lab: Lab) -> None:
    """Projects are made with identities of their own, listed, changed and deleted; an account with projects stays."""
    client, account = foundry(lab).projects, new_account(lab, "projects")

    def project(name: str) -> Project:
        body = Project(location=REGION, identity=Identity(type="SystemAssigned"), properties=ProjectProperties())
        return client.begin_create(lab.group, account.name, name, body).result()

    first, second = project("first"), project("second")
    equal([made.properties.is_default for made in (first, second)], [True, False])
    assert first.identity.principal_id not in (None, second.identity.principal_id, account.identity.principal_id)
    equal(len(list(client.list(lab.group, account.name))), 2)
    described = Project(properties=ProjectProperties(description="a lab"))
    changed = client.begin_update(lab.group, account.name, "first", described).result()
    equal(changed.properties.description, "a lab")
    with refused(409):
        foundry(lab).accounts.begin_delete(lab.group, account.name).wait()
    for name in ("second", "first"):
        client.begin_delete(lab.group, account.name, name).wait()
    with refused(404, "ResourceNotFound"):
        client.get(lab.group, account.name, "first")
    remove(lab, account.name)


@check("foundry: an account under a customer's key")
def account_customer_key(lab: Lab) -> None:
    """An account is refused a key that its identity may not use, takes it with the role, and has no way back."""
    client, customer = foundry(lab).accounts, customer_key(lab)
    account = new_account(lab, "cmk")

    def use(encryption: Encryption) -> Account:
        change = Account(sku=account.sku, properties=AccountProperties(encryption=encryption))
        return client.begin_update(lab.group, account.name, change).result()

    with refused(400, "KeyVaultAuthenticationFailure"):
        use(under(customer))
    lab.grant(ENCRYPTION_USER, customer.vault.id, account.identity.principal_id)
    encryption = patient(lambda: use(under(customer)), status=400).properties.encryption
    equal((encryption.key_source, encryption.key_vault_properties.key_name), ("Microsoft.KeyVault", "customer"))
    with refused(400):
        use(Encryption(key_source="Microsoft.CognitiveServices"))
    got = client.get(lab.group, account.name).properties.encryption
    equal(got.key_vault_properties.key_version, customer.key.properties.version)
    remove(lab, account.name)


@check("foundry: an account is made under a customer's key")
def account_made_under_key(lab: Lab) -> None:
    """A user-assigned identity that has the role lets the account be made under the key at once."""
    customer = customer_key(lab)
    body = account_of(lab, "born")
    body.identity = Identity(
        type="SystemAssigned, UserAssigned", user_assigned_identities={customer.identity.id: UserAssignedIdentity()}
    )
    body.properties.encryption = under(customer, customer.identity.client_id)
    name = f"born-{lab.suffix}"
    made = patient(lambda: foundry(lab).accounts.begin_create(lab.group, name, body).result(), status=400)
    key = made.properties.encryption.key_vault_properties
    equal((key.identity_client_id, key.key_name), (customer.identity.client_id, "customer"))
    remove(lab, name)


@check("foundry: keys and bodies that are refused")
def refused_bodies(lab: Lab) -> None:
    """A key of 3072 bits, a key that is not there, a tier and a kind that do not exist are refused."""
    client, customer = foundry(lab).accounts, customer_key(lab)
    keys = lab.keys(customer.vault)
    large = keys.create_rsa_key("large", size=3072, hardware_protected=True)
    account = new_account(lab, "bad")
    lab.grant(ENCRYPTION_USER, customer.vault.id, account.identity.principal_id)
    good = under(customer)
    for name, version in (("large", large.properties.version), ("nobody", "0" * 32)):
        good.key_vault_properties.key_name, good.key_vault_properties.key_version = name, version
        change = Account(sku=account.sku, properties=AccountProperties(encryption=good))
        with refused(400):
            client.begin_update(lab.group, account.name, change).result()
    for part, value, code in (("sku", Sku(name="S99"), "InvalidSkuId"), ("kind", "Nothing", "InvalidApiSetId")):
        body = account_of(lab, "worse")
        setattr(body, part, value)
        with refused(400, code):
            client.begin_create(lab.group, f"worse-{lab.suffix}", body).result()
    remove(lab, account.name)
