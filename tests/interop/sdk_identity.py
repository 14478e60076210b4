"""Sign-in: the credentials of azure-identity, with what the environment has."""

import os
from datetime import datetime

import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import (
    ClientSecretCredential,
    CredentialUnavailableError,
    DefaultAzureCredential,
    DeviceCodeCredential,
    EnvironmentCredential,
    ManagedIdentityCredential,
)

from sdk_support import ARM, Lab, check, claims, equal

VAULT = "https://vault.azure.net/.default"
STORAGE = "https://storage.azure.com/.default"


@check("identity: default credential, from nothing but the environment")
def default_credential(lab: Lab) -> None:
    """The token is for Azure Resource Manager, of the tenant, and of whom `--as` names."""
    got = claims(DefaultAzureCredential().get_token(ARM).token)
    equal(got["tid"], lab.tenant)
    assert got["aud"].rstrip("/") in ("https://management.azure.com", "https://management.core.windows.net"), got["aud"]
    if "AZURE_CLIENT_SECRET" in os.environ:
        equal(got["idtyp"], "app")
        equal(got["appid"], os.environ["AZURE_CLIENT_ID"])
    else:
        equal(got["idtyp"], "user")
        equal(got["upn"], os.environ["AZURE_USERNAME"])


@check("identity: environment credential, for every audience")
def every_audience(lab: Lab) -> None:
    """One sign-in gets tokens for each of the services, and each says for which."""
    credential = EnvironmentCredential()
    for scope, audience in ((ARM, "https://management."), (VAULT, "https://vault."), (STORAGE, "https://storage.")):
        got = claims(credential.get_token(scope).token)
        assert got["aud"].startswith(audience), f"{scope}: the audience is {got['aud']}"
        equal(got["oid"], lab.claims["oid"])


@check("identity: a token is asked for once, and then remembered")
def remembered(_: Lab) -> None:
    """The second token comes from the SDK's cache."""
    credential = EnvironmentCredential()
    assert credential.get_token(ARM).token == credential.get_token(ARM).token, "a second token was given out"


@check("identity: a resource that nobody has registered is refused")
def unknown_audience(_: Lab) -> None:
    """Entra's own code for an unknown resource comes through."""
    try:
        EnvironmentCredential().get_token("https://nobody.example/.default")
    except ClientAuthenticationError as error:
        assert "AADSTS500011" in str(error), error
    else:
        raise AssertionError("a token was given out")


@check("identity: a wrong secret is refused")
def wrong_secret(lab: Lab) -> None:
    """Entra's own code for an unknown application, or a wrong secret, comes through."""
    client = os.environ["AZURE_CLIENT_ID"]
    known = "AZURE_CLIENT_SECRET" in os.environ
    try:
        ClientSecretCredential(lab.tenant, client, "not-the-secret").get_token(ARM)
    except ClientAuthenticationError as error:
        assert "AADSTS7000215" in str(error) if known else "AADSTS" in str(error), error
    else:
        raise AssertionError("a token was given out")


@check("identity: a tenant that does not exist is refused")
def wrong_tenant(_: Lab) -> None:
    """Discovery of the authority fails, which MSAL puts into words of its own."""
    nobody = "00000000-0000-4000-8000-000000000000"
    try:
        ClientSecretCredential(nobody, os.environ["AZURE_CLIENT_ID"], "x").get_token(ARM)
    except ClientAuthenticationError as error:
        assert "Unable to get authority configuration" in str(error), error
    else:
        raise AssertionError("a token was given out")


@check("identity: a desk has no managed identity")
def managed_identity(_: Lab) -> None:
    """The metadata service answers, and knows of no identity: the SDK says that none is assigned."""
    try:
        ManagedIdentityCredential().get_token(ARM)
    except CredentialUnavailableError as error:
        assert "No identity has been assigned" in str(error) or "Identity not found" in str(error), error
    else:
        raise AssertionError("a token was given out")


@check("identity: device code")
def device_code(lab: Lab) -> None:
    """The learner enters the code and his password on the page that the SDK names, and the SDK gets his token."""

    def approve(page: str, code: str, _: datetime) -> None:
        user, password = os.environ["SEALBOOK_USER"], os.environ["SEALBOOK_PASSWORD"]
        form = {"user_code": code, "username": user, "password": password, "action": "approve"}
        requests.post(page, data=form, timeout=10).raise_for_status()

    credential = DeviceCodeCredential(tenant_id=lab.tenant, prompt_callback=approve, timeout=20)
    got = claims(credential.get_token(ARM).token)
    equal(got["upn"], os.environ["SEALBOOK_USER"])
