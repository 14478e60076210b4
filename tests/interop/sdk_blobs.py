"""Blobs: containers, blocks, ranges, metadata, conditions, lists and copies, under the caller's own name."""

import hashlib
import random
from functools import cache

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.mgmt.storage.models import StorageAccount
from azure.storage.blob import BlobBlock, BlobPrefix, BlobServiceClient, ContainerClient, ContentSettings

from sdk_management import create_account
from sdk_support import Lab, check, equal, patient, refused, until

MIB = 1024 * 1024


@cache
def account(lab: Lab) -> StorageAccount:
    """A storage account in whose blobs whoever is signed in may read and write."""
    made = create_account(lab, "blobs")
    lab.grant("Storage Blob Data Contributor", made.id)
    probe = BlobServiceClient(made.primary_endpoints.blob, lab.credential).create_container("probe")
    patient(lambda: list(probe.list_blobs()))
    return made


@cache
def service(lab: Lab) -> BlobServiceClient:
    """Client for that account that uploads in blocks of 4 MiB, which is what SDK users often set."""
    return BlobServiceClient(
        account(lab).primary_endpoints.blob,
        lab.credential,
        max_block_size=4 * MIB,
        max_single_put_size=4 * MIB,
        max_single_get_size=4 * MIB,
        max_chunk_get_size=4 * MIB,
    )


def container(lab: Lab, name: str) -> ContainerClient:
    """Makes a container in that account."""
    return service(lab).create_container(name)


@check("blobs: without a role blobs are shut")
def missing_role(lab: Lab) -> None:
    """Not even the owner of the subscription, who made the account and its container, may read or write blobs."""
    bare = create_account(lab, "bare")
    client = BlobServiceClient(bare.primary_endpoints.blob, lab.credential).create_container("mine")
    with refused(403, "AuthorizationPermissionMismatch"):
        list(client.list_blobs())
    with refused(403, "AuthorizationPermissionMismatch"):
        client.upload_blob("blob", b"x")
    with refused(403, "AuthorizationPermissionMismatch"):
        client.download_blob("blob")


@check("blobs: containers")
def containers(lab: Lab) -> None:
    """A container is made once, listed with its metadata, and deleted."""
    client = service(lab)
    made = client.create_container("containers", metadata={"lab": "interop"})
    with refused(409, "ContainerAlreadyExists"):
        client.create_container("containers")
    equal(made.get_container_properties().metadata, {"lab": "interop"})
    made.set_container_metadata({"lab": "changed"})
    found = list(client.list_containers(name_starts_with="contain", include_metadata=True))
    equal([(entry.name, entry.metadata) for entry in found], [("containers", {"lab": "changed"})])
    assert made.exists()
    made.delete_container()
    assert not made.exists()
    with refused(404, "ContainerNotFound"):
        made.get_container_properties()


@check("blobs: containers in pages")
def containers_in_pages(lab: Lab) -> None:
    """The SDK follows the markers of a list that comes in pages."""
    names = [f"page-{number}" for number in range(5)]
    for name in names:
        container(lab, name)
    pages = service(lab).list_containers(name_starts_with="page-", results_per_page=2).by_page()
    equal([[entry.name for entry in page] for page in pages], [names[:2], names[2:4], names[4:]])


@check("blobs: 100 MB in blocks, four at a time, there and back")
def big_blob(lab: Lab) -> None:
    """A blob that takes 24 blocks comes back the same, in pieces that are fetched four at a time."""
    content = random.Random(1).randbytes(100_000_000)
    blob = container(lab, "big").get_blob_client("big.bin")
    blob.upload_blob(content, max_concurrency=4)
    equal(blob.get_blob_properties().size, len(content))
    equal(len(blob.get_block_list()[0]), 24)
    back = blob.download_blob(max_concurrency=4).readall()
    equal(hashlib.sha256(back).hexdigest(), hashlib.sha256(content).hexdigest())


@check("blobs: blocks that are staged one by one")
def staged_blocks(lab: Lab) -> None:
    """Blocks are a blob in the order of the list that commits them, and none before."""
    blob = container(lab, "blocks").get_blob_client("staged")
    for name, content in (("one", b"1" * 10), ("two", b"2" * 20), ("out", b"?")):
        blob.stage_block(name, content)
    equal(sorted(block.id for block in blob.get_block_list("uncommitted")[1]), ["one", "out", "two"])
    with refused(404, "BlobNotFound"):
        blob.download_blob()
    blob.commit_block_list([BlobBlock("two"), BlobBlock("one")])
    equal(blob.download_blob().readall(), b"2" * 20 + b"1" * 10)
    committed, uncommitted = blob.get_block_list("all")
    equal([(block.id, block.size) for block in committed], [("two", 20), ("one", 10)])
    equal(uncommitted, [])
    with refused(400, "InvalidBlockList"):
        blob.commit_block_list([BlobBlock("new")])


@check("blobs: ranges")
def ranges(lab: Lab) -> None:
    """A part of a blob is read from where it is asked, and nothing beyond its end."""
    content = bytes(range(256)) * 40
    blob = container(lab, "ranges").get_blob_client("ranges")
    blob.upload_blob(content)
    equal(blob.download_blob(offset=100, length=50).readall(), content[100:150])
    equal(blob.download_blob(offset=10_000).readall(), content[10_000:])
    equal(blob.download_blob(offset=10_200, length=1000).readall(), content[10_200:])
    with refused(416, "InvalidRange"):
        blob.download_blob(offset=len(content) + 1, length=1)
    empty = container(lab, "empty").get_blob_client("empty")
    empty.upload_blob(b"")
    equal(empty.download_blob().readall(), b"")


@check("blobs: properties and metadata")
def properties(lab: Lab) -> None:
    """What is said of a blob is what is read of it; metadata and headers change apart from the content."""
    content = b"a note"
    blob = container(lab, "properties").get_blob_client("folder/a note, with ünicode & signs.txt")
    settings = ContentSettings(
        content_type="text/plain; charset=utf-8", content_language="de", cache_control="no-store"
    )
    made = blob.upload_blob(content, content_settings=settings, metadata={"lab": "interop"})
    seen = blob.get_blob_properties()
    equal((seen.name, seen.size, seen.blob_type), ("folder/a note, with ünicode & signs.txt", 6, "BlockBlob"))
    equal((seen.etag, seen.last_modified), (made["etag"], made["last_modified"]))
    equal(seen.content_settings.content_type, "text/plain; charset=utf-8")
    equal((seen.content_settings.content_language, seen.content_settings.cache_control), ("de", "no-store"))
    equal(bytes(seen.content_settings.content_md5), hashlib.md5(content).digest())
    equal(seen.metadata, {"lab": "interop"})
    assert seen.server_encrypted
    blob.set_blob_metadata({"lab": "changed", "more": "yes"})
    blob.set_http_headers(ContentSettings(content_type="application/json"))
    changed = blob.get_blob_properties()
    equal(changed.metadata, {"lab": "changed", "more": "yes"})
    equal(changed.content_settings.content_type, "application/json")
    assert changed.etag != seen.etag
    equal(blob.download_blob().readall(), content)


@check("blobs: content that does not have its checksum is refused")
def checksums(lab: Lab) -> None:
    """Checksums that the SDK sends and checks are right; one that belongs to something else is refused."""
    blob = container(lab, "checksums").get_blob_client("checked")
    blob.upload_blob(b"checked", validate_content=True)
    equal(blob.download_blob(validate_content=True).readall(), b"checked")
    with refused(400, "Md5Mismatch"):
        blob.upload_blob(b"checked", overwrite=True, headers={"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="})


@check("blobs: conditions")
def conditions(lab: Lab) -> None:
    """What a request says of the blob that it expects is checked, for reading and for writing."""
    blob = container(lab, "conditions").get_blob_client("conditions")
    first = blob.upload_blob(b"first")["etag"]
    try:
        blob.upload_blob(b"again", overwrite=False)
    except ResourceExistsError as error:
        equal(error.error_code, "BlobAlreadyExists")
    else:
        raise AssertionError("the blob was overwritten")
    second = blob.upload_blob(b"second", etag=first, match_condition=MatchConditions.IfNotModified)["etag"]
    assert first != second
    try:
        blob.upload_blob(b"third", overwrite=True, etag=first, match_condition=MatchConditions.IfNotModified)
    except ResourceModifiedError as error:
        equal((error.status_code, error.error_code), (412, "ConditionNotMet"))
    else:
        raise AssertionError("a blob that had changed was overwritten")
    with refused(304):
        blob.download_blob(etag=second, match_condition=MatchConditions.IfModified)
    equal(blob.download_blob(etag=first, match_condition=MatchConditions.IfModified).readall(), b"second")
    modified = blob.get_blob_properties().last_modified
    with refused(304):
        blob.get_blob_properties(if_modified_since=modified)
    equal(blob.get_blob_properties(if_unmodified_since=modified).etag, second)
    with refused(412, "ConditionNotMet"):
        blob.delete_blob(etag=first, match_condition=MatchConditions.IfNotModified)
    blob.delete_blob(etag=second, match_condition=MatchConditions.IfNotModified)
    assert not blob.exists()


@check("blobs: delete")
def delete(lab: Lab) -> None:
    """A deleted blob is gone, and what is not there can't be deleted."""
    blob = container(lab, "delete").get_blob_client("delete")
    blob.upload_blob(b"x")
    blob.delete_blob()
    for call in (blob.download_blob, blob.get_blob_properties, blob.delete_blob):
        try:
            call()
        except ResourceNotFoundError as error:
            equal(error.error_code, "BlobNotFound")
        else:
            raise AssertionError("a deleted blob is there")


@check("blobs: lists with prefix and delimiter, in pages")
def lists(lab: Lab) -> None:
    """Blobs are listed in order, by prefix, as folders, in pages, and with their metadata."""
    client = container(lab, "lists")
    names = sorted(["a/1", "a/2", "a/b/3", "b/4", "c", "ü & <d>"])
    for name in names:
        client.upload_blob(name, name.encode(), metadata={"name": "of-blob"})
    equal([found.name for found in client.list_blobs()], names)
    equal(list(client.list_blob_names(name_starts_with="a/")), ["a/1", "a/2", "a/b/3"])
    pages = client.list_blobs(results_per_page=4).by_page()
    equal([[found.name for found in page] for page in pages], [names[:4], names[4:]])
    pages = client.list_blobs(results_per_page=4).by_page()
    next(pages)
    rest = client.list_blobs(results_per_page=4).by_page(continuation_token=pages.continuation_token)
    equal([found.name for page in rest for found in page], names[4:])

    # Of each page the SDK gives the prefixes first.
    top = list(client.walk_blobs(delimiter="/"))
    equal([found.name for found in top], ["a/", "b/", "c", "ü & <d>"])
    equal([isinstance(found, BlobPrefix) for found in top], [True, True, False, False])
    equal([found.name for found in client.walk_blobs("a/", delimiter="/")], ["a/b/", "a/1", "a/2"])
    one = next(iter(client.list_blobs(name_starts_with="a/1", include=["metadata"])))
    equal((one.size, one.metadata), (3, {"name": "of-blob"}))
    seen = client.get_blob_client("a/1").get_blob_properties()
    equal((one.etag, one.last_modified), (seen.etag.strip('"'), seen.last_modified))


@check("blobs: copy within the account")
def copy(lab: Lab) -> None:
    """A copy has the content and the metadata of its source, and is a blob of its own."""
    client = container(lab, "copies")
    source, target = client.get_blob_client("source"), client.get_blob_client("target")
    source.upload_blob(b"to be copied", metadata={"lab": "interop"})
    started = target.start_copy_from_url(source.url)
    assert started["copy_id"]
    seen = until(target.get_blob_properties, lambda seen: seen.copy.status != "pending")
    equal((seen.copy.status, seen.copy.id, seen.copy.source), ("success", started["copy_id"], source.url))
    equal(seen.metadata, {"lab": "interop"})
    source.delete_blob()
    equal(target.download_blob().readall(), b"to be copied")
    with refused(404):
        client.get_blob_client("another").start_copy_from_url(source.url)
