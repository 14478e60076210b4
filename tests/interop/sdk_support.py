"""What the checks by the official SDKs have in common: their list, and a lab to work in."""

import base64
import json
import os
import secrets
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar
from uuid import uuid4

from azure.core.exceptions import HttpResponseError
from azure.identity import DefaultAzureCredential
from azure.keyvault.keys import KeyClient
from azure.keyvault.secrets import SecretClient
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.authorization.models import RoleAssignment, RoleAssignmentCreateParameters
from azure.mgmt.keyvault import KeyVaultManagementClient
from azure.mgmt.keyvault.models import Sku, Vault, VaultCreateOrUpdateParameters, VaultProperties
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.resource.resources.models import ResourceGroup
from azure.mgmt.resource.subscriptions import SubscriptionClient
from azure.mgmt.storage import StorageManagementClient

REGION = "italynorth"
ARM = "https://management.azure.com/.default"

#: How long a role that was given may take to have effect, in seconds. The embedded Azure takes about half a second.
PATIENCE = 20.0

#: Seconds between two looks at a long-running operation, or two tries for a role.
PAUSE = 0.25

T = TypeVar("T")


class Lab:
    """The subscription that the environment signs in to, and what checks share in it, made when it is first needed."""

    def __init__(self) -> None:
        self.tenant = os.environ["AZURE_TENANT_ID"]
        self.subscription = os.environ["AZURE_SUBSCRIPTION_ID"]
        self.suffix = secrets.token_hex(4)
        self.credential = DefaultAzureCredential()
        self._groups: list[str] = []

    @cached_property
    def resources(self) -> ResourceManagementClient:
        """Client for groups, providers and resources."""
        return ResourceManagementClient(self.credential, self.subscription, polling_interval=PAUSE)

    @cached_property
    def subscriptions(self) -> SubscriptionClient:
        """Client for tenants, subscriptions and locations."""
        return SubscriptionClient(self.credential)

    @cached_property
    def vaults(self) -> KeyVaultManagementClient:
        """Client for vaults."""
        return KeyVaultManagementClient(self.credential, self.subscription, polling_interval=PAUSE)

    @cached_property
    def accounts(self) -> StorageManagementClient:
        """Client for storage accounts."""
        return StorageManagementClient(self.credential, self.subscription, polling_interval=PAUSE)

    @cached_property
    def authorization(self) -> AuthorizationManagementClient:
        """Client for roles."""
        return AuthorizationManagementClient(self.credential, self.subscription)

    @cached_property
    def claims(self) -> dict[str, Any]:
        """Claims of the token that the credential gets for Azure Resource Manager."""
        return claims(self.credential.get_token(ARM).token)

    @cached_property
    def group(self) -> str:
        """Name of a resource group for whatever a check makes."""
        self.register("Microsoft.KeyVault", "Microsoft.Storage")
        return self.new_group("shared")

    def register(self, *namespaces: str) -> None:
        """Registers resource providers, and waits until they are."""
        for namespace in namespaces:
            self.resources.providers.register(namespace)
        for namespace in namespaces:
            until(
                lambda namespace=namespace: self.resources.providers.get(namespace),
                lambda provider: provider.registration_state == "Registered",
            )

    @property
    def group_scope(self) -> str:
        """Id of that group, as a scope of roles."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"

    def new_group(self, purpose: str) -> str:
        """Makes a resource group, which `close` deletes, and answers its name."""
        name = f"sdk-{purpose}-{self.suffix}"
        self._groups.append(name)
        self.resources.resource_groups.create_or_update(name, ResourceGroup(location=REGION))
        return name

    def new_vault(self, purpose: str, sku: str = "premium", **properties: Any) -> Vault:
        """Makes a vault with Azure RBAC and without purge protection, unless `properties` say otherwise."""
        parameters = VaultCreateOrUpdateParameters(
            location=REGION,
            properties=VaultProperties(
                tenant_id=self.tenant,
                sku=Sku(family="A", name=sku),
                enable_rbac_authorization=True,
                soft_delete_retention_in_days=7,
                **properties,
            ),
        )
        name = f"{purpose}-{self.suffix}"
        return self.vaults.vaults.begin_create_or_update(self.group, name, parameters).result()

    def keys(self, vault: Vault) -> KeyClient:
        """Client for a vault's keys."""
        return KeyClient(vault.properties.vault_uri, self.credential)

    @cached_property
    def keys_of_officer(self) -> KeyClient:
        """Client for the keys of a premium vault, with the role of a crypto officer that has taken effect."""
        vault = self.new_vault("officer")
        self.grant("Key Vault Crypto Officer", vault.id)
        client = self.keys(vault)
        patient(lambda: list(client.list_properties_of_keys()))
        return client

    def secrets(self, vault: Vault) -> SecretClient:
        """Client for a vault's secrets."""
        return SecretClient(vault.properties.vault_uri, self.credential)

    @cached_property
    def secrets_of_officer(self) -> SecretClient:
        """Client for the secrets of a vault, with the role of a secrets officer that has taken effect."""
        vault = self.new_vault("secrets", sku="standard")
        self.grant("Key Vault Secrets Officer", vault.id)
        client = self.secrets(vault)
        patient(lambda: list(client.list_properties_of_secrets()))
        return client

    def role(self, name: str, scope: str) -> str:
        """Id of the role definition with this name."""
        found = list(self.authorization.role_definitions.list(scope, filter=f"roleName eq '{name}'"))
        assert len(found) == 1, f"{len(found)} roles have the name {name}"
        return found[0].id

    def grant(self, role: str, scope: str, principal: str | None = None) -> RoleAssignment:
        """Gives a role at a scope to a service principal, or to whoever is signed in when none is given."""
        kind = "User" if principal is None and self.claims["idtyp"] == "user" else "ServicePrincipal"
        parameters = RoleAssignmentCreateParameters(
            role_definition_id=self.role(role, scope),
            principal_id=principal or self.claims["oid"],
            principal_type=kind,
        )
        return self.authorization.role_assignments.create(scope, str(uuid4()), parameters)

    def close(self) -> None:
        """Deletes what was made."""
        for group in self._groups:
            if self.resources.resource_groups.check_existence(group):
                self.resources.resource_groups.begin_delete(group).wait()


@dataclass(frozen=True)
class Check:
    """A named check."""

    name: str
    run: Callable[[Lab], None]

    @property
    def area(self) -> str:
        """What it checks: the word before the colon of its name."""
        return self.name.partition(":")[0]


_checks: list[Check] = []


def check(name: str) -> Callable[[Callable[[Lab], None]], Callable[[Lab], None]]:
    """Adds a function to the checks under a name that says its area first: `keys: wrap and unwrap`."""

    def add(function: Callable[[Lab], None]) -> Callable[[Lab], None]:
        _checks.append(Check(name, function))
        return function

    return add


def run(areas: list[str]) -> int:
    """Runs the checks of these areas in order; 1 if any failed."""
    chosen = [check for area in areas for check in _checks if check.area == area]
    lab = Lab()
    failed = 0
    for chosen_check in [*chosen, Check("lab: clean up", lambda lab: lab.close())]:
        try:
            chosen_check.run(lab)
            print(f"ok {chosen_check.name}", flush=True)
        except Exception as why:
            failed += 1
            print(f"FAILED {chosen_check.name}: {type(why).__name__}: {why}", flush=True)
            traceback.print_exc()
    print(f"{len(chosen) + 1} checks, {failed} failed")
    return 1 if failed else 0


def claims(token: str) -> dict[str, Any]:
    """Claims of a JSON web token, unverified."""
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def base64url(octets: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def until(look: Callable[[], T], done: Callable[[T], bool]) -> T:
    """Looks until what is seen is done, for at most `PATIENCE` seconds."""
    deadline = time.monotonic() + PATIENCE
    while not done(seen := look()):
        assert time.monotonic() < deadline, f"after {PATIENCE} s it is still {seen}"
        time.sleep(PAUSE)
    return seen


def patient(call: Callable[[], T], status: int = 403) -> T:
    """Calls until a role that was just given has effect: the refusal is met again, for at most `PATIENCE` seconds."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return call()
        except HttpResponseError as error:
            if error.status_code != status or time.monotonic() > deadline:
                raise
        time.sleep(PAUSE)


def codes(error: HttpResponseError) -> list[str]:
    """Error codes of a refusal, outer code first, whichever service refused."""
    # Blob Storage's SDK names its code so, and as an enumeration where it knows it.
    found = [getattr(code, "value", code) for code in [getattr(error, "error_code", None)] if code]
    if error.error is not None:
        found.append(error.error.code)
        inner: Any = error.error.innererror
        while inner:
            found.append(inner.get("code"))
            inner = inner.get("innererror")
    return found


@contextmanager
def refused(status: int, *expected: str) -> Iterator[None]:
    """Demands that what is done inside is refused with this status and all of these codes."""
    try:
        yield
    except HttpResponseError as error:
        found = codes(error)
        told = f"refused with {error.status_code} {found}: {error.message}"
        assert error.status_code == status, f"{told}; expected {status} {list(expected)}"
        assert set(expected) <= set(found), f"{told}; expected {status} {list(expected)}"
    else:
        raise AssertionError(f"not refused; expected {status} {list(expected)}")


def equal(found: object, expected: object) -> None:
    """Demands that two values are equal, and shows both if they are not."""
    assert found == expected, f"{found!r} is not {expected!r}"
