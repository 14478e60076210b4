"""Key Vault: secrets, their versions, deletion, backup, and what is refused."""

from datetime import UTC, datetime

from azure.core.exceptions import ResourceNotFoundError
from azure.keyvault.secrets import SecretClient

from sdk_support import Lab, check, equal, refused, until


def delete_for_good(client: SecretClient, name: str) -> None:
    """Deletes and purges a secret, and waits until it is gone."""
    client.begin_delete_secret(name).wait()
    client.purge_deleted_secret(name)

    def gone() -> bool:
        try:
            client.get_deleted_secret(name)
        except ResourceNotFoundError:
            return True
        return False

    until(gone, bool)


@check("secrets: a role for keys opens no secret")
def missing_role(lab: Lab) -> None:
    """A crypto officer may neither read nor list nor set secrets."""
    vault = lab.new_vault("no-secrets")
    lab.grant("Key Vault Crypto Officer", vault.id)
    client = lab.secrets(vault)
    with refused(403, "Forbidden", "ForbiddenByRbac"):
        client.set_secret("mine", "value")
    with refused(403, "Forbidden", "ForbiddenByRbac"):
        client.get_secret("mine")
    with refused(403, "Forbidden", "ForbiddenByRbac"):
        list(client.list_properties_of_secrets())


@check("secrets: set, get, versions and attributes")
def life(lab: Lab) -> None:
    """A secret has versions, the newest of which is the one without a name; attributes change, values do not."""
    client = lab.secrets_of_officer
    until_when = datetime(2100, 1, 1, tzinfo=UTC)
    first = client.set_secret(
        "life", "größer als ß", content_type="text/plain", tags={"lab": "interop"}, expires_on=until_when
    )
    equal((first.value, first.properties.content_type), ("größer als ß", "text/plain"))
    equal((first.properties.expires_on, first.properties.tags), (until_when, {"lab": "interop"}))
    equal(first.properties.recoverable_days, 7)
    second = client.set_secret("life", "")
    equal(client.get_secret("life").id, second.id)
    equal(client.get_secret("life", first.properties.version).value, first.value)
    found = {item.version for item in client.list_properties_of_secret_versions("life")}
    equal(found, {first.properties.version, second.properties.version})
    changed = client.update_secret_properties("life", first.properties.version, content_type="other", tags={})
    equal((changed.content_type, changed.tags, changed.expires_on), ("other", {}, until_when))
    equal(client.get_secret("life", first.properties.version).value, first.value)


@check("secrets: a disabled one can't be read")
def disabled(lab: Lab) -> None:
    """It is listed, and can be enabled again."""
    client = lab.secrets_of_officer
    client.set_secret("disabled", "value", enabled=False)
    with refused(403, "Forbidden", "SecretDisabled"):
        client.get_secret("disabled")
    assert "disabled" in {item.name for item in client.list_properties_of_secrets()}
    client.update_secret_properties("disabled", enabled=True)
    equal(client.get_secret("disabled").value, "value")


@check("secrets: pages of a long list")
def pages(lab: Lab) -> None:
    """A list longer than a page comes whole, each entry once."""
    client = lab.secrets_of_officer
    names = {f"page-{number:02}" for number in range(27)}
    for name in names:
        client.set_secret(name, name)
    listed = [item.name for item in client.list_properties_of_secrets()]
    equal(len(listed), len(set(listed)))
    assert names <= set(listed), names - set(listed)
    first = list(next(iter(client.list_properties_of_secrets(max_page_size=5).by_page())))
    equal([item.name for item in first], listed[:5])


@check("secrets: deleted ones are recovered or purged")
def deletion(lab: Lab) -> None:
    """A deleted secret keeps its name until it is purged, and says when that will be."""
    client = lab.secrets_of_officer
    made = client.set_secret("gone", "value")
    deletion_under_way = client.begin_delete_secret("gone")
    deleted = deletion_under_way.result()
    equal((deleted.scheduled_purge_date - deleted.deleted_date).days, 7)
    deletion_under_way.wait()
    assert "gone" in {item.name for item in client.list_deleted_secrets()}
    with refused(409, "Conflict", "ObjectIsDeletedButRecoverable"):
        client.set_secret("gone", "other")
    with refused(404, "SecretNotFound"):
        client.get_secret("gone")
    client.begin_recover_deleted_secret("gone").wait()
    equal((client.get_secret("gone").id, client.get_secret("gone").value), (made.id, "value"))
    delete_for_good(client, "gone")
    equal(client.set_secret("gone", "anew").value, "anew")


@check("secrets: backup and restore")
def backup(lab: Lab) -> None:
    """A backup brings back every version; a tampered one is refused."""
    client = lab.secrets_of_officer
    older, newer = (client.set_secret("backup", value) for value in ("one", "two"))
    blob = client.backup_secret("backup")
    with refused(409, "Conflict"):
        client.restore_secret_backup(blob)
    delete_for_good(client, "backup")
    with refused(400, "BadParameter"):
        client.restore_secret_backup(blob[:-1])
    equal(client.restore_secret_backup(blob).id, newer.id)
    equal(client.get_secret("backup").value, "two")
    equal(client.get_secret("backup", older.properties.version).value, "one")


@check("secrets: more than 25 KB is refused")
def too_long(lab: Lab) -> None:
    """25 KB fit."""
    client = lab.secrets_of_officer
    longest = "x" * 25 * 1024
    equal(client.set_secret("long", longest).value, longest)
    with refused(400, "BadParameter"):
        client.set_secret("long", longest + "x")
