"""Blobs: leases, signatures that stand for a right, account keys, and the customer's key that can be taken away."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.core.credentials import AzureNamedKeyCredential
from azure.mgmt.storage.models import StorageAccountRegenerateKeyParameters, StorageAccountUpdateParameters
from azure.storage.blob import (
    AccountSasPermissions,
    BlobClient,
    BlobLeaseClient,
    BlobSasPermissions,
    BlobServiceClient,
    ContainerClient,
    ContainerSasPermissions,
    ResourceTypes,
    generate_account_sas,
    generate_blob_sas,
    generate_container_sas,
)

from sdk_blobs import account, container, service
from sdk_management import create_account, under_key
from sdk_support import Lab, check, equal, patient, refused


@check("blobs: a lease keeps others from writing")
def lease(lab: Lab) -> None:
    """While a lease is held, only its holder writes and deletes; everybody reads."""
    blob = container(lab, "lease").get_blob_client("lease")
    blob.upload_blob(b"mine")
    held = blob.acquire_lease(lease_duration=60)
    seen = blob.get_blob_properties().lease
    equal((seen.state, seen.status, seen.duration), ("leased", "locked", "fixed"))
    with refused(412, "LeaseIdMissing"):
        blob.upload_blob(b"theirs", overwrite=True)
    with refused(412, "LeaseIdMissing"):
        blob.set_blob_metadata({"by": "them"})
    with refused(412, "LeaseIdMissing"):
        blob.delete_blob()
    other = "00000000-0000-4000-8000-000000000000"
    with refused(412, "LeaseIdMismatchWithBlobOperation"):
        blob.upload_blob(b"theirs", overwrite=True, lease=other)
    with refused(409, "LeaseAlreadyPresent"):
        blob.acquire_lease(lease_duration=60)
    with refused(409, "LeaseIdMismatchWithLeaseOperation"):
        BlobLeaseClient(blob, other).renew()
    equal(blob.download_blob().readall(), b"mine")
    blob.upload_blob(b"mine again", overwrite=True, lease=held)
    held.renew()
    held.release()
    seen = blob.get_blob_properties().lease
    equal((seen.state, seen.status), ("available", "unlocked"))
    blob.upload_blob(b"theirs", overwrite=True)


@check("blobs: a lease changes hands and is broken")
def broken_lease(lab: Lab) -> None:
    """A lease without end goes over to another id, and whoever may write can break it."""
    blob = container(lab, "broken").get_blob_client("broken")
    blob.upload_blob(b"mine")
    held = blob.acquire_lease()
    equal(blob.get_blob_properties().lease.duration, "infinite")
    proposed = "11111111-1111-4111-8111-111111111111"
    held.change(proposed)
    equal(held.id, proposed)
    equal(BlobLeaseClient(blob).break_lease(), 0)
    equal(blob.get_blob_properties().lease.state, "broken")
    with refused(409, "LeaseIsBrokenAndCannotBeRenewed"):
        held.renew()
    blob.upload_blob(b"theirs", overwrite=True)


@check("blobs: a lease of a container keeps it from deletion")
def container_lease(lab: Lab) -> None:
    """A container under a lease is deleted by the lease's holder only."""
    client = container(lab, "leased")
    held = client.acquire_lease(lease_duration=15)
    with refused(412, "LeaseIdMissing"):
        client.delete_container()
    client.upload_blob("still", b"written")
    client.delete_container(lease=held)


def later(minutes: int) -> datetime:
    """An instant some minutes from now, or before now."""
    return datetime.now(UTC) + timedelta(minutes=minutes)


def compare_rights(blob: BlobClient, sas: Callable[..., str]) -> None:
    """Demands of a signature for reading that it lets read, and nothing else, and not for ever."""

    def as_guest(signature: str) -> BlobClient:
        return BlobClient.from_blob_url(blob.url, credential=signature)

    read = sas(permission=BlobSasPermissions(read=True), expiry=later(10))
    equal(as_guest(read).download_blob().readall(), b"for guests")
    with refused(403, "AuthorizationPermissionMismatch"):
        as_guest(read).upload_blob(b"by guests", overwrite=True)
    with refused(403, "AuthorizationPermissionMismatch"):
        as_guest(read).delete_blob()
    with refused(403, "AuthenticationFailed"):
        expired = sas(permission=BlobSasPermissions(read=True), start=later(-20), expiry=later(-10))
        as_guest(expired).download_blob()
    with refused(403, "AuthenticationFailed"):
        as_guest(read.replace("sp=r", "sp=rw")).upload_blob(b"by guests", overwrite=True)
    write = sas(permission=BlobSasPermissions(create=True, write=True), expiry=later(10))
    as_guest(write).upload_blob(b"by guests", overwrite=True)
    equal(blob.download_blob().readall(), b"by guests")
    with refused(403, "AuthorizationPermissionMismatch"):
        as_guest(write).download_blob()


@check("blobs: user delegation signatures of a blob")
def delegated_blob(lab: Lab) -> None:
    """Whoever may read can sign, without any account key, that somebody else may for a while."""
    blob = container(lab, "delegated").get_blob_client("a/blob")
    blob.upload_blob(b"for guests")
    key = service(lab).get_user_delegation_key(later(-30), later(60))
    equal((key.signed_oid, key.signed_tid), (lab.claims["oid"], lab.tenant))

    def sas(**rights: Any) -> str:
        return generate_blob_sas(
            account(lab).name, blob.container_name, blob.blob_name, user_delegation_key=key, **rights
        )

    compare_rights(blob, sas)


@check("blobs: user delegation signatures of a container")
def delegated_container(lab: Lab) -> None:
    """A signature for listing a container lists it, and opens neither its blobs nor another container."""
    for name in ("shared", "not-shared"):
        container(lab, name).upload_blob("blob", b"x")
    key = service(lab).get_user_delegation_key(later(-30), later(60))
    rights = ContainerSasPermissions(list=True)
    name = account(lab).name
    sas = generate_container_sas(name, "shared", user_delegation_key=key, permission=rights, expiry=later(10))
    url = account(lab).primary_endpoints.blob
    guest = ContainerClient(url, "shared", credential=sas)
    equal(list(guest.list_blob_names()), ["blob"])
    with refused(403, "AuthorizationPermissionMismatch"):
        guest.download_blob("blob")
    with refused(403, "AuthenticationFailed"):
        list(ContainerClient(url, "not-shared", credential=sas).list_blob_names())


@check("blobs: account keys")
def account_key(lab: Lab) -> None:
    """An account key does everything, until it is made anew or the account does not allow keys any more."""
    client = lab.accounts.storage_accounts
    made = create_account(lab, "sharedkey")
    keys = {key.key_name: key.value for key in client.list_keys(lab.group, made.name).keys_property}
    url = made.primary_endpoints.blob
    by_key = BlobServiceClient(url, AzureNamedKeyCredential(made.name, keys["key1"]))
    blob = by_key.create_container("by-key").get_blob_client("folder/by key & more.txt")
    blob.upload_blob(b"by key", metadata={"lab": "interop"})
    equal(blob.download_blob(offset=3, length=3).readall(), b"key")
    listed = by_key.get_container_client("by-key").list_blobs(name_starts_with="folder/", include=["metadata"])
    equal([(found.name, found.metadata) for found in listed], [(blob.blob_name, {"lab": "interop"})])
    wrong = AzureNamedKeyCredential(made.name, base64.b64encode(bytes(64)).decode())
    with refused(403, "AuthenticationFailed"):
        list(BlobServiceClient(url, wrong).list_containers())
    client.regenerate_key(lab.group, made.name, StorageAccountRegenerateKeyParameters(key_name="key1"))
    with refused(403, "AuthenticationFailed"):
        list(by_key.list_containers())
    by_key = BlobServiceClient(url, AzureNamedKeyCredential(made.name, keys["key2"]))
    equal([found.name for found in by_key.list_containers()], ["by-key"])
    client.update(lab.group, made.name, StorageAccountUpdateParameters(allow_shared_key_access=False))
    with refused(403, "KeyBasedAuthenticationNotPermitted"):
        list(by_key.list_containers())


@check("blobs: signatures by an account key")
def signed_by_account_key(lab: Lab) -> None:
    """A blob's and an account's signature open what they say, and nothing else."""
    made = create_account(lab, "signed")
    key = lab.accounts.storage_accounts.list_keys(lab.group, made.name).keys_property[0].value
    url = made.primary_endpoints.blob
    by_key = BlobServiceClient(url, AzureNamedKeyCredential(made.name, key))
    blob = by_key.create_container("signed").get_blob_client("blob")
    blob.upload_blob(b"for guests")

    def sas(**rights: Any) -> str:
        return generate_blob_sas(made.name, blob.container_name, blob.blob_name, account_key=key, **rights)

    compare_rights(blob, sas)
    of_account = generate_account_sas(
        made.name, key, ResourceTypes(service=True), AccountSasPermissions(list=True), later(10)
    )
    guest = BlobServiceClient(url, of_account)
    equal([found.name for found in guest.list_containers()], ["signed"])
    with refused(403, "AuthorizationResourceTypeMismatch"):
        guest.get_blob_client("signed", "blob").download_blob()


@check("blobs: nobody reads without the customer's key")
def customer_key(lab: Lab) -> None:
    """A disabled key shuts the blobs for everybody, and an enabled one opens them, with nothing else changed."""
    vault = lab.new_vault("data", enable_purge_protection=True)
    keys = lab.keys(vault)
    lab.grant("Key Vault Crypto Officer", vault.id)
    patient(lambda: keys.create_rsa_key("cmk", size=2048))
    made = create_account(lab, "sealed")
    lab.grant("Key Vault Crypto Service Encryption User", f"{vault.id}/keys/cmk", made.identity.principal_id)
    lab.grant("Storage Blob Data Contributor", made.id)
    patient(lambda: lab.accounts.storage_accounts.update(lab.group, made.name, under_key(vault, "cmk")), status=400)
    client = BlobServiceClient(made.primary_endpoints.blob, lab.credential, retry_total=0)
    blob = client.create_container("sealed").get_blob_client("note")
    patient(lambda: blob.upload_blob(b"a note"))

    keys.update_key_properties("cmk", enabled=False)
    with refused(403, "KeyVaultEncryptionKeyNotFound"):
        blob.download_blob()
    with refused(403, "KeyVaultEncryptionKeyNotFound"):
        blob.upload_blob(b"another note", overwrite=True)
    equal([found.name for found in client.list_containers()], ["sealed"])
    keys.update_key_properties("cmk", enabled=True)
    equal(patient(blob.download_blob).readall(), b"a note")
