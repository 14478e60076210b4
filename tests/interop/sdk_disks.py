"""Disks under a customer's key: encryption sets, disks, snapshots, and the bytes behind them."""

from azure.mgmt.compute.models import (
    CreationData,
    Disk,
    DiskEncryptionSetUpdate,
    DiskSku,
    DiskUpdate,
    Encryption,
    EncryptionSetIdentity,
    GrantAccessData,
    KeyForDiskEncryptionSet,
    Snapshot,
    SnapshotSku,
    SnapshotUpdate,
    SourceVault,
)
from azure.storage.blob import BlobClient

from sdk_customer_key import CUSTOMER, compute, customer_key, encryption_set, encryption_set_of
from sdk_support import REGION, Lab, check, equal, patient, refused

GIGABYTE = 1024**3


def new_disk(lab: Lab, name: str, under: str | None, size: int = 4) -> Disk:
    """Makes an empty disk, under an encryption set if one is named."""
    body = Disk(
        location=REGION,
        sku=DiskSku(name="Standard_LRS"),
        creation_data=CreationData(create_option="Empty"),
        disk_size_gb=size,
        encryption=Encryption(disk_encryption_set_id=under, type=CUSTOMER) if under else None,
    )
    return compute(lab).disks.begin_create_or_update(lab.group, name, body).result()


@check("compute: an encryption set from creation to deletion")
def set_life(lab: Lab) -> None:
    """A set is made with a user-assigned identity, found, listed, turned to a new version of its key, and deleted."""
    client, customer = compute(lab).disk_encryption_sets, customer_key(lab)
    body = encryption_set_of(lab, customer.key.id)
    made = patient(lambda: client.begin_create_or_update(lab.group, "life-set", body).result(), status=403)
    equal((made.provisioning_state, made.encryption_type), ("Succeeded", CUSTOMER))
    equal(made.active_key.key_url, customer.key.id)
    users = {name.lower(): user for name, user in made.identity.user_assigned_identities.items()}
    equal(users[customer.identity.id.lower()].principal_id, customer.identity.principal_id)
    equal(client.get(lab.group, "life-set").id, made.id)
    assert made.id in [found.id for found in client.list_by_resource_group(lab.group)]
    assert made.id in [found.id for found in client.list()]

    newer = lab.keys(customer.vault).rotate_key("customer")
    key = KeyForDiskEncryptionSet(key_url=newer.id, source_vault=SourceVault(id=customer.vault.id))
    change = DiskEncryptionSetUpdate(active_key=key, tags={"lab": "yes"})
    changed = client.begin_update(lab.group, "life-set", change).result()
    equal((changed.active_key.key_url, changed.tags), (newer.id, {"lab": "yes"}))
    assert changed.last_key_rotation_timestamp >= made.last_key_rotation_timestamp
    client.begin_delete(lab.group, "life-set").wait()
    with refused(404, "ResourceNotFound"):
        client.get(lab.group, "life-set")


@check("compute: what an encryption set must have")
def set_refused(lab: Lab) -> None:
    """A key without a version, a key of nobody's vault, and a set without an identity are refused."""
    client, customer = compute(lab).disk_encryption_sets, customer_key(lab)
    versionless = customer.key.id.rsplit("/", 1)[0]
    nobody = customer.key.id.replace(customer.vault.name, f"nobody-{lab.suffix}")
    for url, code in ((versionless, "InvalidParameter"), (nobody, "KeyVaultNotFound")):
        with refused(400, code):
            client.begin_create_or_update(lab.group, "bad-set", encryption_set_of(lab, url)).result()
    body = encryption_set_of(lab, customer.key.id)
    body.identity = None
    with refused(400, "InvalidParameter"):
        client.begin_create_or_update(lab.group, "bad-set", body).result()
    with refused(404, "ResourceNotFound"):
        client.get(lab.group, "bad-set")


@check("compute: a disk under a customer's key")
def disk_life(lab: Lab) -> None:
    """A disk is made under a set, which lists and outlives it; it grows and does not shrink."""
    client, under = compute(lab).disks, encryption_set(lab)
    disk = new_disk(lab, "life-disk", under.id)
    equal((disk.provisioning_state, disk.disk_state, disk.disk_size_gb), ("Succeeded", "Unattached", 4))
    equal((disk.encryption.type, disk.encryption.disk_encryption_set_id.lower()), (CUSTOMER, under.id.lower()))
    equal(disk.disk_size_bytes, 4 * GIGABYTE)
    assert disk.id in [found.id for found in client.list_by_resource_group(lab.group)]
    assert disk.id in [found.id for found in client.list()]
    using = list(compute(lab).disk_encryption_sets.list_associated_resources(lab.group, under.name))
    assert disk.id.lower() in [found.lower() for found in using], using
    with refused(409):
        compute(lab).disk_encryption_sets.begin_delete(lab.group, under.name).wait()

    equal(client.begin_update(lab.group, "life-disk", DiskUpdate(disk_size_gb=8)).result().disk_size_gb, 8)
    with refused(409, "OperationNotAllowed"):
        client.begin_update(lab.group, "life-disk", DiskUpdate(disk_size_gb=4)).result()
    client.begin_delete(lab.group, "life-disk").wait()
    with refused(404, "ResourceNotFound"):
        client.get(lab.group, "life-disk")


@check("compute: disks that are refused")
def disk_refused(lab: Lab) -> None:
    """A disk without a size, under a set that is not there, or of a size that no disk has, is refused."""
    client = compute(lab).disks
    with refused(400):
        client.begin_create_or_update(
            lab.group, "bad-disk", Disk(location=REGION, creation_data=CreationData(create_option="Empty"))
        ).result()
    with refused(400, "InvalidResourceReference"):
        new_disk(lab, "bad-disk", encryption_set(lab).id.replace("shared-set", "no-set"))
    with refused(400):
        new_disk(lab, "bad-disk", None, size=1_000_000)
    assert "bad-disk" not in [found.name for found in client.list_by_resource_group(lab.group)]


@check("compute: the bytes of a disk")
def disk_bytes(lab: Lab) -> None:
    """Granted access reads the disk as a virtual hard disk through the blob SDK, until it is revoked."""
    client = compute(lab).disks
    new_disk(lab, "read-disk", encryption_set(lab).id)
    grant = GrantAccessData(access="Read", duration_in_seconds=600)
    url = client.begin_grant_access(lab.group, "read-disk", grant).result().access_sas
    blob = BlobClient.from_blob_url(url)
    properties = blob.get_blob_properties()
    equal((properties.blob_type.value, properties.size), ("PageBlob", 4 * GIGABYTE + 512))
    # A fixed virtual hard disk ends with a footer that begins with this cookie.
    equal(blob.download_blob(offset=4 * GIGABYTE, length=512).readall()[:8], b"conectix")
    equal(blob.download_blob(offset=0, length=4096).readall(), bytes(4096))
    assert all(page.start >= 0 for page in blob.list_page_ranges())
    with refused(409):
        client.begin_delete(lab.group, "read-disk").wait()
    client.begin_revoke_access(lab.group, "read-disk").wait()
    for ask in (
        blob.get_blob_properties,
        lambda: blob.download_blob(offset=0, length=512),
        lambda: list(blob.list_page_ranges()),
    ):
        with refused(403):
            ask()
    client.begin_delete(lab.group, "read-disk").wait()


@check("compute: a snapshot from creation to deletion")
def snapshot_life(lab: Lab) -> None:
    """A snapshot keeps its disk's encryption, outlives the disk, is read, changed, listed and deleted."""
    client, under = compute(lab).snapshots, encryption_set(lab)
    disk = new_disk(lab, "snap-disk", under.id)
    body = Snapshot(
        location=REGION,
        sku=SnapshotSku(name="Standard_LRS"),
        creation_data=CreationData(create_option="Copy", source_resource_id=disk.id),
    )
    made = client.begin_create_or_update(lab.group, "life-snap", body).result()
    equal((made.provisioning_state, made.disk_size_gb, made.incremental), ("Succeeded", 4, False))
    equal(made.encryption.disk_encryption_set_id.lower(), under.id.lower())
    compute(lab).disks.begin_delete(lab.group, "snap-disk").wait()
    grant = GrantAccessData(access="Read", duration_in_seconds=600)
    url = client.begin_grant_access(lab.group, "life-snap", grant).result().access_sas
    equal(BlobClient.from_blob_url(url).download_blob(offset=0, length=512).readall(), bytes(512))
    client.begin_revoke_access(lab.group, "life-snap").wait()
    changed = client.begin_update(lab.group, "life-snap", SnapshotUpdate(tags={"lab": "yes"})).result()
    equal(changed.tags, {"lab": "yes"})
    assert made.id in [found.id for found in client.list_by_resource_group(lab.group)]
    assert made.id in [found.id for found in client.list()]
    client.begin_delete(lab.group, "life-snap").wait()
    with refused(404, "ResourceNotFound"):
        client.get(lab.group, "life-snap")
    with refused(400, "InvalidResourceReference"):
        client.begin_create_or_update(lab.group, "late-snap", body).result()


@check("compute: a set whose identity may not use the key")
def set_without_role(lab: Lab) -> None:
    """A set with an identity of its own is made before the role; its disks are refused until the role has effect."""
    client, customer = compute(lab).disk_encryption_sets, customer_key(lab)
    body = encryption_set_of(lab, customer.key.id)
    body.identity = EncryptionSetIdentity(type="SystemAssigned")
    made = client.begin_create_or_update(lab.group, "own-set", body).result()
    assert made.identity.principal_id
    with refused(403, "KeyVaultAccessForbidden"):
        new_disk(lab, "own-disk", made.id)
    lab.grant("Key Vault Crypto Service Encryption User", customer.vault.id, made.identity.principal_id)
    equal(patient(lambda: new_disk(lab, "own-disk", made.id), status=403).provisioning_state, "Succeeded")
