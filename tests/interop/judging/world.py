"""The embedded Azure as an application sees it: over HTTPS, with tokens, and with what examples need made first."""

import base64
import json
import os
import secrets
import time
import uuid
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import requests
from azure.identity import EnvironmentCredential

from contract.exchange import Exchange

MANAGEMENT = "https://management.azure.com"
LOCATION = "westus"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"

_VAULTS = "2023-07-01"
_ACCOUNTS = "2023-05-01"
_ROLES = "2022-04-01"
_GROUPS = "2024-03-01"
_KEYS = "7.5"
_CRYPTO_OFFICER = "14b46e9e-c2b7-41b4-b07b-48a6ebf60603"
_ENCRYPTION_USER = "e147488a-f6f5-4113-8e2d-b22465e65bf6"
_AUDIENCES = {
    ".vault.azure.net": "https://vault.azure.net",
    ".managedhsm.azure.net": "https://managedhsm.azure.net",
    ".blob.core.windows.net": "https://storage.azure.com",
}
_NAMESPACES = (
    *("Microsoft.Attestation", "Microsoft.CognitiveServices", "Microsoft.Compute", "Microsoft.ContainerService"),
    *("Microsoft.KeyVault", "Microsoft.ManagedIdentity", "Microsoft.Network", "Microsoft.Storage"),
)
_PATIENCE = 120
_ACCEPTED = 202
# A security domain succeeds in a word of its own.
_OVER = frozenset({"Canceled", "Failed", "Succeeded", "Success"})


class Unmet(Exception):
    """Something that an example needs could not be made."""


def state_of(exchange: Exchange) -> str:
    """The state that a poll of a long-running operation tells; of anything else, that it is over."""
    try:
        body = json.loads(exchange.answer_body)
    except ValueError:
        return "Succeeded"
    return body.get("status", "Succeeded") if isinstance(body, dict) and "properties" not in body else "Succeeded"


class World:
    """One application's session. Names are new in every session, because deleted vaults keep theirs."""

    def __init__(self) -> None:
        """Signs in with what the environment gives."""
        self.subscription = os.environ["AZURE_SUBSCRIPTION_ID"]
        self.tenant = os.environ["AZURE_TENANT_ID"]
        self._credential = EnvironmentCredential()
        self._session = requests.Session()
        self._tag = secrets.token_hex(3)
        self._named = 0
        for namespace in _NAMESPACES:
            self.register(namespace)

    def name(self, prefix: str) -> str:
        """Makes a name that was never used, fit for an account too: letters and digits in lower case."""
        self._named += 1
        return f"{prefix}{self._tag}{self._named}"

    def send(self, method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Exchange:
        """Sends one request, with a token for its host."""
        text = "" if body is None else json.dumps(body)
        sent = {"authorization": f"Bearer {self._token(url)}", **(headers or {})}
        if text:
            sent["content-type"] = "application/json"
        answer = self._session.request(method, url, data=text or None, headers=sent, allow_redirects=False)
        return Exchange(
            method=method,
            url=url,
            request_headers={name.lower(): value for name, value in answer.request.headers.items()},
            request_body=text,
            status=answer.status_code,
            answer_headers={name.lower(): value for name, value in answer.headers.items()},
            answer_body=answer.text,
        )

    def settle(self, exchange: Exchange) -> Exchange:
        """Polls until an accepted operation has ended; gives the last exchange."""
        deadline = time.monotonic() + _PATIENCE
        where = None
        while self._pending(exchange, where) and time.monotonic() < deadline:
            time.sleep(int(exchange.answer_headers.get("retry-after", "1")))
            headers = exchange.answer_headers
            where = headers.get("azure-asyncoperation") or headers.get("location") or where or exchange.url
            exchange = self.send("GET", where)
        return exchange

    @staticmethod
    def _pending(exchange: Exchange, where: str | None) -> bool:
        if exchange.status == _ACCEPTED:
            return True
        if where is None:
            return exchange.method != "GET" and "azure-asyncoperation" in exchange.answer_headers
        return state_of(exchange) not in _OVER

    def until(self, ask: Callable[[], Exchange], refusals: frozenset[str] | None = None) -> Exchange:
        """Asks until there is no refusal, or none with one of the codes `refusals`; gives the last exchange."""
        deadline = time.monotonic() + _PATIENCE
        while (exchange := ask()).status >= 400 and (refusals is None or exchange.error_code() in refusals):
            if time.monotonic() > deadline:
                raise Unmet(f"Waited in vain: {exchange.method} {exchange.url}: {exchange.answer_body}")
            time.sleep(0.5)
        return exchange

    @cached_property
    def principal(self) -> str:
        """The object id of the application."""
        payload = self._token(MANAGEMENT).split(".")[1]
        return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["oid"]

    @cached_property
    def group(self) -> str:
        """A resource group, which most examples share: it has no state of its own."""
        return self.new_group()

    @cached_property
    def vault(self) -> str:
        """A vault with purge protection, on whose keys the application may do everything as soon as this returns."""
        return self._open_vault(enablePurgeProtection=True)

    @cached_property
    def purging_vault(self) -> str:
        """A vault like the shared one, but without purge protection."""
        return self._open_vault()

    @cached_property
    def account(self) -> str:
        """A storage account that examples share as long as they leave it in place."""
        return self.new_account()

    def new_group(self) -> str:
        """Makes a resource group."""
        name = self.name("g")
        self.made("PUT", f"{self.subscription_url}/resourcegroups/{name}", _GROUPS, {"location": LOCATION})
        return name

    def new_vault(self, **protection: bool) -> str:
        """Makes a vault whose keys are guarded by roles; it can be purged unless `protection` says otherwise."""
        name = self.name("v")
        sku = {"family": "A", "name": "premium"}
        properties = {"tenantId": self.tenant, "sku": sku, "enableRbacAuthorization": True, **protection}
        self.made("PUT", MANAGEMENT + self.vault_id(name), _VAULTS, {"location": LOCATION, "properties": properties})
        return name

    def new_account(self) -> str:
        """Makes a storage account with an identity of its own."""
        name = self.name("s")
        body = {
            "location": LOCATION,
            "kind": "StorageV2",
            "sku": {"name": "Standard_LRS"},
            "identity": {"type": "SystemAssigned"},
            "properties": {},
        }
        self.made("PUT", f"{MANAGEMENT}{self.account_id(name)}", _ACCOUNTS, body)
        return name

    def new_key(self, vault: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Makes a key, in the shared vault and RSA unless told otherwise; gives its bundle."""
        url = f"{self.vault_url(vault or self.vault)}/keys/{self.name('k')}/create"
        return self.made("POST", url, _KEYS, {"kty": "RSA", **parameters})

    def delete_key(self, bundle: Mapping[str, Any]) -> None:
        """Deletes a key, and waits until it is among the deleted ones."""
        vault, _, name = bundle["key"]["kid"].rsplit("/", 1)[0].rpartition("/keys/")
        self.made("DELETE", f"{vault}/keys/{name}", _KEYS)
        self.until(lambda: self.send("GET", f"{vault}/deletedkeys/{name}?api-version={_KEYS}"))

    def cipher(self, kid: str, operation: str, algorithm: str) -> str:
        """Encrypts or wraps a few bytes with a key."""
        body = {"alg": algorithm, "value": "5ka5IVsnGrzufA"}
        return self.made("POST", f"{kid}/{operation}", _KEYS, body)["value"]

    def delete_vault(self, name: str) -> None:
        """Deletes a vault, which can be recovered."""
        self.made("DELETE", MANAGEMENT + self.vault_id(name), _VAULTS)

    def make(self, url: str, version: str, body: Any) -> dict[str, Any]:
        """Makes a resource, waits until it is there, and gives it."""
        self.made("PUT", url, version, body)
        made = self.until(lambda: self.send("GET", f"{url}?api-version={version}"))
        return json.loads(made.answer_body)

    @staticmethod
    def uuid() -> str:
        """Makes a name of the kind that role assignments have."""
        return str(uuid.uuid4())

    def let_encrypt(self, principal: str) -> None:
        """Lets an identity use the shared vault's keys to encrypt a resource."""
        self.assign(self.vault_id(self.vault), _ENCRYPTION_USER, principal)

    def assign(self, scope: str, role: str, principal: str | None = None) -> str:
        """Assigns a role at a scope, to the application unless told otherwise; gives the assignment's name."""
        name = str(uuid.uuid4())
        properties = {
            "roleDefinitionId": self.role_id(role),
            "principalId": principal or self.principal,
            "principalType": "ServicePrincipal",
        }
        url = f"{MANAGEMENT}{scope}/providers/Microsoft.Authorization/roleAssignments/{name}"
        self.made("PUT", url, _ROLES, {"properties": properties})
        return name

    def unassign(self, scope: str, role: str) -> None:
        """Takes a role at a scope from the application, if it has it: there can be no second assignment like it."""
        url = f"{MANAGEMENT}{scope}/providers/Microsoft.Authorization/roleAssignments"
        found = self.made("GET", url, _ROLES)["value"]
        for properties, name in ((each["properties"], each["name"]) for each in found):
            same = properties["scope"] == scope and properties["principalId"] == self.principal
            if same and properties["roleDefinitionId"].endswith(role):
                self.made("DELETE", f"{url}/{name}", _ROLES)

    def identity_of(self, account: str) -> str:
        """Gives the principal of a storage account's own identity."""
        return self.made("GET", MANAGEMENT + self.account_id(account), _ACCOUNTS)["identity"]["principalId"]

    @property
    def subscription_url(self) -> str:
        """The URL of the subscription."""
        return f"{MANAGEMENT}/subscriptions/{self.subscription}"

    @property
    def group_id(self) -> str:
        """The id of the shared group."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"

    def vault_id(self, name: str) -> str:
        """Gives the id of a vault in the shared group."""
        return f"{self.group_id}/providers/Microsoft.KeyVault/vaults/{name}"

    def account_id(self, name: str) -> str:
        """Gives the id of a storage account in the shared group."""
        return f"{self.group_id}/providers/Microsoft.Storage/storageAccounts/{name}"

    def role_id(self, role: str) -> str:
        """Gives the id of a built-in role."""
        return f"/subscriptions/{self.subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}"

    @staticmethod
    def vault_url(name: str) -> str:
        """Gives the URL of a vault's data."""
        return f"https://{name}.vault.azure.net"

    def register(self, namespace: str) -> None:
        """Registers a resource provider, and waits until it is."""
        url = f"{self.subscription_url}/providers/{namespace}"
        self.made("POST", f"{url}/register", _GROUPS)
        deadline = time.monotonic() + _PATIENCE
        while self.made("GET", url, _GROUPS)["registrationState"] != "Registered":
            if time.monotonic() > deadline:
                raise Unmet(f"{namespace} was never registered.")
            time.sleep(0.5)

    def _open_vault(self, **protection: bool) -> str:
        name = self.new_vault(**protection)
        self.assign(self.vault_id(name), _CRYPTO_OFFICER)
        self.until(lambda: self.send("GET", f"{self.vault_url(name)}/keys?api-version={_KEYS}"))
        return name

    def made(self, method: str, url: str, version: str, body: Any = None) -> dict[str, Any]:
        """Does something that has to succeed; gives the answer's body."""
        first = self.send(method, f"{url}?api-version={version}", body)
        last = self.settle(first)
        if last.status >= 400 or state_of(last) == "Failed":
            raise Unmet(f"A prerequisite failed: {method} {url}: {last.status} {last.answer_body}")
        return json.loads(last.answer_body) if last.answer_body else {}

    def _token(self, url: str) -> str:
        host = urlsplit(url).hostname or ""
        audience = next((each for suffix, each in _AUDIENCES.items() if host.endswith(suffix)), MANAGEMENT)
        return self._credential.get_token(f"{audience}/.default").token
