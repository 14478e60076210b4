"""Key Vault: keys, their versions, deletion, import, rotation policy, backup, and what is refused."""

from datetime import UTC, datetime, timedelta

from azure.core.exceptions import ResourceNotFoundError
from azure.keyvault.keys import (
    JsonWebKey,
    KeyClient,
    KeyCurveName,
    KeyOperation,
    KeyRotationLifetimeAction,
    KeyRotationPolicy,
    KeyRotationPolicyAction,
    KeyType,
    KeyVaultKey,
)
from azure.keyvault.keys.crypto import CryptographyClient, KeyWrapAlgorithm, SignatureAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from sdk_support import Lab, check, equal, patient, refused, until

SECRET = bytes(range(32))
OAEP_256 = KeyWrapAlgorithm.rsa_oaep_256

CURVES: dict[KeyCurveName, type[ec.EllipticCurve]] = {
    KeyCurveName.p_256: ec.SECP256R1,
    KeyCurveName.p_384: ec.SECP384R1,
    KeyCurveName.p_521: ec.SECP521R1,
    KeyCurveName.p_256_k: ec.SECP256K1,
}


def place(hsm: bool) -> str:
    """Where a key lives, as a part of its name."""
    return "hsm" if hsm else "soft"


def number(octets: bytes) -> int:
    """Number that big-endian octets stand for."""
    return int.from_bytes(octets, "big")


def octets(value: int, length: int | None = None) -> bytes:
    """Big-endian octets of a number, as few as possible unless a length is given."""
    return value.to_bytes(length or (value.bit_length() + 7) // 8, "big")


def public_rsa(jwk: JsonWebKey) -> rsa.RSAPublicKey:
    """Public key that a JSON web key describes."""
    return rsa.RSAPublicNumbers(number(jwk.e), number(jwk.n)).public_key()


def public_ec(jwk: JsonWebKey) -> ec.EllipticCurvePublicKey:
    """Public key that a JSON web key describes."""
    return ec.EllipticCurvePublicNumbers(number(jwk.x), number(jwk.y), CURVES[jwk.crv]()).public_key()


def private_rsa_jwk(private: rsa.RSAPrivateKey, kty: KeyType) -> JsonWebKey:
    """JSON web key of a private key, for import."""
    numbers = private.private_numbers()
    return JsonWebKey(
        kty=kty,
        key_ops=["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"],
        n=octets(numbers.public_numbers.n),
        e=octets(numbers.public_numbers.e),
        d=octets(numbers.d),
        p=octets(numbers.p),
        q=octets(numbers.q),
        dp=octets(numbers.dmp1),
        dq=octets(numbers.dmq1),
        qi=octets(numbers.iqmp),
    )


def private_ec_jwk(private: ec.EllipticCurvePrivateKey, curve: KeyCurveName, kty: KeyType) -> JsonWebKey:
    """JSON web key of a private key, for import."""
    numbers = private.private_numbers()
    length = (private.key_size + 7) // 8
    return JsonWebKey(
        kty=kty,
        crv=curve,
        key_ops=["sign", "verify"],
        x=octets(numbers.public_numbers.x, length),
        y=octets(numbers.public_numbers.y, length),
        d=octets(numbers.private_value, length),
    )


def wrapped(lab: Lab, key: KeyVaultKey) -> bytes:
    """A secret wrapped under a key's public half."""
    return CryptographyClient(key, lab.credential).wrap_key(OAEP_256, SECRET).encrypted_key


def delete_for_good(client: KeyClient, name: str) -> None:
    """Deletes and purges a key, and waits until it is gone."""
    client.begin_delete_key(name).wait()
    client.purge_deleted_key(name)

    def gone() -> bool:
        try:
            client.get_deleted_key(name)
        except ResourceNotFoundError:
            return True
        return False

    until(gone, bool)


def recover_key(client: KeyClient, key: KeyVaultKey) -> None:
    """Recovers a deleted key, waits until it is back, and demands that it is the same."""
    client.begin_recover_deleted_key(key.name).wait()
    equal(client.get_key(key.name).id, key.id)


@check("keys: without a role everything is refused")
def missing_role(lab: Lab) -> None:
    """Not even the owner of the subscription, who made the vault, may use its keys."""
    client = lab.keys(lab.new_vault("bare", sku="standard"))
    with refused(403, "Forbidden", "ForbiddenByRbac"):
        list(client.list_properties_of_keys())
    with refused(403, "Forbidden", "ForbiddenByRbac"):
        client.create_rsa_key("mine")
    with refused(403, "Forbidden", "ForbiddenByRbac"):
        client.get_key("mine")


@check("keys: a role at one key is for that key")
def role_at_a_key(lab: Lab) -> None:
    """A role given at the scope of a key opens this key and none beside it."""
    vault = lab.new_vault("scoped", sku="standard")
    client = lab.keys(vault)
    lab.grant("Key Vault Crypto Officer", f"{vault.id}/keys/mine")
    key = patient(lambda: client.create_rsa_key("mine", size=2048))
    equal(client.get_key("mine").id, key.id)
    with refused(403, "ForbiddenByRbac"):
        client.create_rsa_key("other")
    with refused(403, "ForbiddenByRbac"):
        list(client.list_properties_of_keys())


@check("keys: create RSA and RSA-HSM of every size")
def create_rsa(lab: Lab) -> None:
    """The key is of the type and size asked for, enabled, and allowed everything that such a key can do."""
    client = lab.keys_of_officer
    for size in (2048, 3072, 4096):
        for hsm in (False, True):
            key = client.create_rsa_key(f"rsa-{size}-{place(hsm)}", size=size, hardware_protected=hsm)
            equal(key.key_type, KeyType.rsa_hsm if hsm else KeyType.rsa)
            equal(public_rsa(key.key).key_size, size)
            equal(number(key.key.e), 65537)
            assert key.properties.enabled
            assert {"wrapKey", "unwrapKey", "sign", "decrypt"} <= set(key.key_operations), key.key_operations
    with refused(400, "BadParameter"):
        client.create_rsa_key("rsa-1024", size=1024)


def create_ec(lab: Lab, curve: KeyCurveName, hsm: bool) -> None:
    """The key is on the curve asked for, a point of it indeed, and allowed to sign and verify."""
    name = f"ec-{curve.value}-{place(hsm)}".lower()
    key = lab.keys_of_officer.create_ec_key(name, curve=curve, hardware_protected=hsm)
    equal(key.key_type, KeyType.ec_hsm if hsm else KeyType.ec)
    equal(key.key.crv, curve)
    equal(public_ec(key.key).key_size, CURVES[curve].key_size)
    equal(sorted(key.key_operations), ["sign", "verify"])


for curve in KeyCurveName:
    for hsm in (False, True):
        create = check(f"keys: create {'EC-HSM' if hsm else 'EC'} on {curve.value}")
        create(lambda lab, curve=curve, hsm=hsm: create_ec(lab, curve, hsm))


@check("keys: attributes and tags at creation")
def attributes(lab: Lab) -> None:
    """What is said at creation is what is read, dates to the second."""
    start = datetime(2025, 1, 1, tzinfo=UTC)
    end = datetime(2099, 1, 1, tzinfo=UTC)
    made = lab.keys_of_officer.create_rsa_key(
        "attributes",
        size=2048,
        key_operations=[KeyOperation.wrap_key, KeyOperation.unwrap_key],
        enabled=True,
        not_before=start,
        expires_on=end,
        tags={"lab": "interop"},
    )
    key = lab.keys_of_officer.get_key("attributes", made.properties.version)
    equal(sorted(key.key_operations), ["unwrapKey", "wrapKey"])
    equal((key.properties.not_before, key.properties.expires_on), (start, end))
    equal(key.properties.tags, {"lab": "interop"})
    equal(key.properties.recovery_level, "CustomizedRecoverable+Purgeable")
    equal(key.properties.recoverable_days, 7)
    assert abs(key.properties.created_on - made.properties.updated_on) < timedelta(seconds=5)


@check("keys: versions, rotation and listing")
def versions(lab: Lab) -> None:
    """A new version comes from creating again and from rotating; each version stays to be had; pages are followed."""
    client = lab.keys_of_officer
    made = [client.create_rsa_key("versions", size=2048), client.create_rsa_key("versions", size=2048)]
    rotated = client.rotate_key("versions")
    ids = {key.id for key in (*made, rotated)}
    equal(len(ids), 3)
    equal({found.id for found in client.list_properties_of_key_versions("versions", max_page_size=2)}, ids)
    equal(client.get_key("versions").id, rotated.id)
    first = client.get_key("versions", made[0].properties.version)
    equal((first.id, first.key.n), (made[0].id, made[0].key.n))
    assert rotated.key.n != made[1].key.n
    names = [found.name for found in client.list_properties_of_keys(max_page_size=1)]
    equal(names.count("versions"), 1)
    with refused(404, "KeyNotFound"):
        client.get_key("versions", "0" * 32)


@check("keys: update")
def update(lab: Lab) -> None:
    """Attributes, operations and tags change; what is not mentioned stays."""
    client = lab.keys_of_officer
    key = client.create_rsa_key("update", size=2048, tags={"lab": "interop"})
    changed = client.update_key_properties("update", key_operations=["sign", "verify"], enabled=False)
    equal((changed.id, sorted(changed.key_operations)), (key.id, ["sign", "verify"]))
    equal((changed.properties.enabled, changed.properties.tags), (False, {"lab": "interop"}))
    version = key.properties.version
    changed = client.update_key_properties("update", version, enabled=True, tags={"lab": "changed"})
    equal((changed.properties.enabled, changed.properties.tags), (True, {"lab": "changed"}))


@check("keys: delete, list, recover")
def recover(lab: Lab) -> None:
    """A deleted key is listed as deleted, blocks its name, and comes back the same."""
    client = lab.keys_of_officer
    key = client.create_rsa_key("recover", size=2048)
    secret = wrapped(lab, key)
    deletion = client.begin_delete_key("recover")
    deletion.wait()
    deleted = deletion.result()
    equal(deleted.name, "recover")
    assert deleted.scheduled_purge_date > deleted.deleted_date
    assert deleted.recovery_id.endswith("/deletedkeys/recover"), deleted.recovery_id
    equal(client.get_deleted_key("recover").id, key.id)
    assert "recover" in [found.name for found in client.list_deleted_keys()]
    assert "recover" not in [found.name for found in client.list_properties_of_keys()]
    with refused(404, "KeyNotFound"):
        client.get_key("recover")
    with refused(409, "Conflict", "ObjectIsDeletedButRecoverable"):
        client.create_rsa_key("recover", size=2048)
    recover_key(client, key)
    equal(CryptographyClient(key, lab.credential).unwrap_key(OAEP_256, secret).key, SECRET)


@check("keys: delete, purge")
def purge(lab: Lab) -> None:
    """A purged key is gone for good, and its name is free for another."""
    client = lab.keys_of_officer
    key = client.create_rsa_key("purge", size=2048)
    delete_for_good(client, "purge")
    with refused(404, "KeyNotFound"):
        client.get_deleted_key("purge")
    assert client.create_rsa_key("purge", size=2048).key.n != key.key.n


@check("keys: a vault with purge protection does not purge keys")
def purge_protection(lab: Lab) -> None:
    """The key stays to be recovered."""
    vault = lab.new_vault("protect", sku="standard", enable_purge_protection=True)
    client = lab.keys(vault)
    lab.grant("Key Vault Crypto Officer", vault.id)
    key = patient(lambda: client.create_rsa_key("stays", size=2048))
    equal(key.properties.recovery_level, "CustomizedRecoverable")
    client.begin_delete_key("stays").wait()
    with refused(403, "Forbidden"):
        client.purge_deleted_key("stays")
    recover_key(client, key)


def import_rsa(lab: Lab, hsm: bool) -> None:
    """A key that was generated here decrypts there what was encrypted here."""
    private = rsa.generate_private_key(65537, 2048)
    jwk = private_rsa_jwk(private, KeyType.rsa_hsm if hsm else KeyType.rsa)
    key = lab.keys_of_officer.import_key(f"import-rsa-{place(hsm)}", jwk, hardware_protected=hsm)
    equal(key.key_type, KeyType.rsa_hsm if hsm else KeyType.rsa)
    equal(public_rsa(key.key).public_numbers(), private.public_key().public_numbers())
    equal(key.key.d, None)
    equal(CryptographyClient(key, lab.credential).unwrap_key(OAEP_256, wrapped(lab, key)).key, SECRET)


def import_ec(lab: Lab, curve: KeyCurveName, hsm: bool) -> None:
    """A key that was generated here signs there what verifies here."""
    private = ec.generate_private_key(CURVES[curve]())
    jwk = private_ec_jwk(private, curve, KeyType.ec_hsm if hsm else KeyType.ec)
    name = f"import-ec-{curve.value}-{place(hsm)}".lower()
    key = lab.keys_of_officer.import_key(name, jwk, hardware_protected=hsm)
    equal((key.key_type, key.key.crv), (KeyType.ec_hsm if hsm else KeyType.ec, curve))
    equal(public_ec(key.key).public_numbers(), private.public_key().public_numbers())
    equal(key.key.d, None)


for hsm in (False, True):
    word = "-HSM" if hsm else ""
    check(f"keys: import RSA{word}")(lambda lab, hsm=hsm: import_rsa(lab, hsm))
    for curve in KeyCurveName:
        importing = check(f"keys: import EC{word} on {curve.value}")
        importing(lambda lab, curve=curve, hsm=hsm: import_ec(lab, curve, hsm))


@check("keys: import of numbers that are no key is refused")
def import_nonsense(lab: Lab) -> None:
    """A private exponent that does not belong to the modulus is refused."""
    jwk = private_rsa_jwk(rsa.generate_private_key(65537, 2048), KeyType.rsa)
    jwk.n = octets(number(jwk.n) + 2)
    with refused(400, "BadParameter"):
        lab.keys_of_officer.import_key("nonsense", jwk)


@check("keys: rotation policy")
def rotation_policy(lab: Lab) -> None:
    """A key has a policy from the start, and the one it is given is the one that is read."""
    client = lab.keys_of_officer
    client.create_rsa_key("policy", size=2048)
    equal(client.get_key_rotation_policy("policy").expires_in, None)
    rotate = KeyRotationLifetimeAction(KeyRotationPolicyAction.rotate, time_after_create="P60D")
    notify = KeyRotationLifetimeAction(KeyRotationPolicyAction.notify, time_before_expiry="P30D")
    wanted = KeyRotationPolicy(lifetime_actions=[rotate, notify], expires_in="P90D")
    updated = client.update_key_rotation_policy("policy", wanted)
    for policy in (updated, client.get_key_rotation_policy("policy")):
        equal(policy.expires_in, "P90D")
        assert policy.id.endswith("/keys/policy/rotationpolicy"), policy.id
        assert policy.created_on and policy.updated_on
        actions = {do.action: (do.time_after_create, do.time_before_expiry) for do in policy.lifetime_actions}
        equal(actions, {KeyRotationPolicyAction.rotate: ("P60D", None), KeyRotationPolicyAction.notify: (None, "P30D")})
    changed = client.update_key_rotation_policy("policy", updated, expires_in="P120D")
    equal(changed.expires_in, "P120D")
    rotated = client.rotate_key("policy")
    lifetime = rotated.properties.expires_on - rotated.properties.created_on
    assert abs(lifetime - timedelta(days=120)) < timedelta(seconds=5), lifetime


@check("keys: a rotation policy against the rules is refused")
def bad_rotation_policy(lab: Lab) -> None:
    """Keys live for at least 28 days, and rotate at least seven days before they expire."""
    client = lab.keys_of_officer
    client.create_rsa_key("bad-policy", size=2048)
    with refused(400, "BadParameter"):
        client.update_key_rotation_policy("bad-policy", KeyRotationPolicy(), expires_in="P5D")
    late = KeyRotationLifetimeAction(KeyRotationPolicyAction.rotate, time_before_expiry="P1D")
    with refused(400, "BadParameter"):
        client.update_key_rotation_policy("bad-policy", KeyRotationPolicy(), expires_in="P90D", lifetime_actions=[late])


@check("keys: backup and restore")
def backup(lab: Lab) -> None:
    """A backup brings back every version with the same ids, and is of no use while the key is there."""
    client = lab.keys_of_officer
    older = client.create_rsa_key("backup", size=2048, tags={"lab": "interop"})
    newer = client.create_rsa_key("backup", size=2048, tags={"lab": "interop"})
    secret = wrapped(lab, older)
    blob = client.backup_key("backup")
    assert blob
    with refused(409, "Conflict"):
        client.restore_key_backup(blob)
    delete_for_good(client, "backup")
    restored = client.restore_key_backup(blob)
    equal((restored.id, restored.key.n), (newer.id, newer.key.n))
    equal(restored.properties.tags, {"lab": "interop"})
    equal({found.id for found in client.list_properties_of_key_versions("backup")}, {older.id, newer.id})
    equal(CryptographyClient(older, lab.credential).unwrap_key(OAEP_256, secret).key, SECRET)


@check("keys: a tampered backup is refused")
def tampered_backup(lab: Lab) -> None:
    """One octet more or less, or another, and it is no backup."""
    client = lab.keys_of_officer
    client.create_rsa_key("tampered", size=2048)
    blob = client.backup_key("tampered")
    delete_for_good(client, "tampered")
    middle = len(blob) // 2
    flipped = blob[:middle] + bytes([blob[middle] ^ 1]) + blob[middle + 1 :]
    for bad in (flipped, blob[:-1], b"no backup at all"):
        with refused(400, "BadParameter"):
            client.restore_key_backup(bad)
    equal(client.restore_key_backup(blob).name, "tampered")


@check("keys: a disabled key is of no use")
def disabled(lab: Lab) -> None:
    """Nothing is unwrapped or signed with it, until it is enabled again."""
    client = lab.keys_of_officer
    key = client.create_rsa_key("disabled", size=2048)
    cipher = CryptographyClient(key, lab.credential)
    secret = wrapped(lab, key)
    client.update_key_properties("disabled", enabled=False)
    with refused(403, "Forbidden", "KeyDisabled"):
        cipher.unwrap_key(OAEP_256, secret)
    with refused(403, "Forbidden", "KeyDisabled"):
        cipher.sign(SignatureAlgorithm.rs256, SECRET)
    client.update_key_properties("disabled", enabled=True)
    equal(cipher.unwrap_key(OAEP_256, secret).key, SECRET)


@check("keys: an operation that a key is not for is refused")
def wrong_operation(lab: Lab) -> None:
    """A key that may wrap may not sign, although it could."""
    key = lab.keys_of_officer.create_rsa_key("wrap-only", size=2048, key_operations=["wrapKey", "unwrapKey"])
    cipher = CryptographyClient(key, lab.credential)
    equal(cipher.unwrap_key(OAEP_256, wrapped(lab, key)).key, SECRET)
    with refused(403, "Forbidden"):
        cipher.sign(SignatureAlgorithm.rs256, SECRET)


@check("keys: a standard vault has no HSM")
def standard_vault(lab: Lab) -> None:
    """Keys in hardware are refused by a standard vault; keys in software are not."""
    vault = lab.new_vault("standard", sku="standard")
    client = lab.keys(vault)
    lab.grant("Key Vault Crypto Officer", vault.id)
    patient(lambda: client.create_rsa_key("soft", size=2048))
    with refused(400, "BadParameter"):
        client.create_rsa_key("hard", size=2048, hardware_protected=True)
    with refused(400, "BadParameter"):
        client.create_ec_key("hard", curve=KeyCurveName.p_256, hardware_protected=True)


@check("keys: names and types that do not exist are refused")
def bad_requests(lab: Lab) -> None:
    """A vault has no symmetric keys, and a key's name is made of letters, digits and dashes."""
    with refused(400, "BadParameter"):
        lab.keys_of_officer.create_key("symmetric", "oct")
    with refused(400, "BadParameter"):
        lab.keys_of_officer.create_rsa_key("no_such_name", size=2048)
