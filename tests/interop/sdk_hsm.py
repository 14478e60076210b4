"""Managed HSM: a pool's life, its security domain, its local roles, its keys, and what is refused."""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from azure.core.exceptions import HttpResponseError
from azure.keyvault.administration import (
    KeyVaultAccessControlClient,
    KeyVaultDataAction,
    KeyVaultPermission,
    KeyVaultRoleScope,
)
from azure.keyvault.keys import JsonWebKey, KeyClient, KeyType
from azure.keyvault.keys.crypto import CryptographyClient, EncryptionAlgorithm
from azure.keyvault.securitydomain import SecurityDomainClient
from azure.keyvault.securitydomain.models import CertificateInfo, SecurityDomainJsonWebKey
from azure.mgmt.keyvault.models import (
    CheckMhsmNameAvailabilityParameters,
    ManagedHsm,
    ManagedHsmProperties,
    ManagedHsmSku,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from sdk_cryptography import ask, encoded
from sdk_support import REGION, Lab, check, equal, patient, refused

CRYPTO_USER = "21dbd100-6940-42c2-9190-5d6cb909625b"
DEFINITIONS = "Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions"
DATA = bytes(range(32))


def new_pool(lab: Lab, purpose: str, **properties: object) -> ManagedHsm:
    """Makes a pool whose administrator is whoever is signed in."""
    pool = ManagedHsm(
        location=REGION,
        sku=ManagedHsmSku(family="B", name="Standard_B1"),
        properties=ManagedHsmProperties(
            tenant_id=lab.tenant,
            initial_admin_object_ids=[lab.claims["oid"]],
            soft_delete_retention_in_days=7,
            **properties,
        ),
    )
    return lab.vaults.managed_hsms.begin_create_or_update(lab.group, f"{purpose}-{lab.suffix}", pool).result()


def certificate(name: str) -> SecurityDomainJsonWebKey:
    """Certificate of a new RSA key as a download of a security domain takes it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    der = made.public_bytes(Encoding.DER)
    numbers = key.public_key().public_numbers()
    return SecurityDomainJsonWebKey(
        kid=name,
        kty="RSA",
        key_ops=["verify", "encrypt", "wrapKey"],
        n=encoded(numbers.n.to_bytes(256, "big")),
        e=encoded(numbers.e.to_bytes(3, "big")),
        x5_c=[base64.b64encode(der).decode()],
        x5_t_s256=encoded(hashlib.sha256(der).digest()),
        alg="RSA-OAEP-256",
    )


def security_domain(lab: Lab, pool: ManagedHsm) -> SecurityDomainClient:
    """Client for a pool's security domain."""
    return SecurityDomainClient(pool.properties.hsm_uri, lab.credential, polling_interval=1)


def activate(lab: Lab, pool: ManagedHsm) -> dict:
    """Downloads a pool's security domain and answers it."""
    info = CertificateInfo(certificates=[certificate(f"custodian {i}") for i in range(3)], required=2)
    return json.loads(security_domain(lab, pool).begin_download(info).result().value)


def roles(lab: Lab, pool: ManagedHsm) -> KeyVaultAccessControlClient:
    """Client for a pool's local roles."""
    return KeyVaultAccessControlClient(pool.properties.hsm_uri, lab.credential)


_shared: list[ManagedHsm] = []


def keys(lab: Lab) -> KeyClient:
    """Client for the keys of an active pool in which whoever is signed in is Crypto User."""
    if not _shared:
        pool = new_pool(lab, "keys")
        activate(lab, pool)
        user = f"{DEFINITIONS}/{CRYPTO_USER}"
        roles(lab, pool).create_role_assignment(KeyVaultRoleScope.GLOBAL, user, lab.claims["oid"])
        _shared.append(pool)
    client = KeyClient(_shared[0].properties.hsm_uri, lab.credential)
    patient(lambda: list(client.list_properties_of_keys()))
    return client


@check("hsm: a pool from creation to purge")
def pool_life(lab: Lab) -> None:
    """A pool is made, listed, changed, deleted, recovered, deleted again and purged; its name is taken so long."""
    client = lab.vaults.managed_hsms
    name = f"life-{lab.suffix}"

    def availability() -> tuple[bool | None, str | None]:
        answer = client.check_mhsm_name_availability(CheckMhsmNameAvailabilityParameters(name=name))
        return answer.name_available, answer.reason

    equal(availability(), (True, None))
    pool = new_pool(lab, "life")
    equal(pool.properties.hsm_uri, f"https://{name}.managedhsm.azure.net/")
    equal(pool.properties.provisioning_state, "Succeeded")
    equal(pool.properties.security_domain_properties.activation_status, "NotActivated")
    equal(availability(), (False, "AlreadyExists"))
    assert name in [found.name for found in client.list_by_resource_group(lab.group)]
    assert name in [found.name for found in client.list_by_subscription()]
    equal(client.begin_update(lab.group, name, ManagedHsm(tags={"lab": "yes"})).result().tags, {"lab": "yes"})
    with refused(400):
        client.begin_update(
            lab.group, name, ManagedHsm(properties=ManagedHsmProperties(soft_delete_retention_in_days=8))
        ).result()
    client.begin_delete(lab.group, name).wait()
    assert name in [found.name for found in client.list_deleted()]
    equal(client.get_deleted(name, REGION).properties.mhsm_id, pool.id)
    with refused(409, "ConflictError"):
        new_pool(lab, "life")
    equal(new_pool(lab, "life", create_mode="recover").id, pool.id)
    client.begin_delete(lab.group, name).wait()
    client.begin_purge_deleted(name, REGION).wait()
    equal(availability(), (True, None))


@check("hsm: purge protection forbids a purge")
def pool_protected(lab: Lab) -> None:
    """A pool with purge protection keeps it, and is not purged."""
    client = lab.vaults.managed_hsms
    pool = new_pool(lab, "protected", enable_purge_protection=True)
    off = ManagedHsm(properties=ManagedHsmProperties(enable_purge_protection=False))
    with refused(400):
        client.begin_update(lab.group, pool.name, off).result()
    client.begin_delete(lab.group, pool.name).wait()
    with refused(405, "MethodNotAllowed"):
        client.begin_purge_deleted(pool.name, REGION).wait()


@check("hsm: the download of the security domain activates a pool")
def activation(lab: Lab) -> None:
    """Before, keys are refused; a download needs three certificates; afterwards the pool is active."""
    pool = new_pool(lab, "activate")
    with refused(403):
        list(KeyClient(pool.properties.hsm_uri, lab.credential).list_properties_of_keys())
    few = CertificateInfo(certificates=[certificate("a"), certificate("b")], required=2)
    with refused(400, "BadParameter"):
        security_domain(lab, pool).begin_download(few)
    document = activate(lab, pool)
    equal(document["SharedKeys"]["key_algorithm"], "shamir_share")
    equal((document["SharedKeys"]["required"], len(document["SharedKeys"]["enc_shares"])), (2, 3))
    equal(security_domain(lab, pool).get_download_status().status, "Success")
    active = lab.vaults.managed_hsms.get(lab.group, pool.name)
    equal(active.properties.security_domain_properties.activation_status, "Active")
    with refused(409):
        security_domain(lab, pool).get_transfer_key()


@check("hsm: a transfer key waits for a security domain")
def transfer_key(lab: Lab) -> None:
    """A new pool gives a transfer key with its certificate; what was not made for it is refused."""
    pool = new_pool(lab, "transfer")
    client = security_domain(lab, pool)
    key = client.get_transfer_key()
    jwk = json.loads(key["transfer_key"])
    found = x509.load_der_x509_certificate(base64.b64decode(jwk["x5c"][0]))
    equal(encoded(found.fingerprint(hashes.SHA256())), jwk["x5t#S256"])
    with refused(400, "BadParameter"):
        client.begin_upload({"value": "{}"})


@check("hsm: local roles")
def local_roles(lab: Lab) -> None:
    """Built-in roles are there; a custom role and its assignments are made, found and deleted."""
    keys(lab)
    client = roles(lab, _shared[0])
    named = {role.role_name: role for role in client.list_role_definitions(KeyVaultRoleScope.GLOBAL)}
    equal(named["Managed HSM Crypto User"].name, CRYPTO_USER)
    permission = KeyVaultPermission(data_actions=[KeyVaultDataAction.READ_HSM_KEY])
    role = client.set_role_definition(
        KeyVaultRoleScope.GLOBAL, role_name=f"Reader {lab.suffix}", permissions=[permission]
    )
    equal(client.get_role_definition(KeyVaultRoleScope.GLOBAL, role.name).role_type, "CustomRole")
    principal = str(uuid4())
    for scope in (KeyVaultRoleScope.GLOBAL, KeyVaultRoleScope.KEYS, "/keys/one"):
        made = client.create_role_assignment(scope, role.id, principal)
        equal(client.get_role_assignment(scope, made.name).properties.principal_id, principal)
        assert made.name in [found.name for found in client.list_role_assignments(scope)]
        with refused(409, "RoleAssignmentExists"):
            client.create_role_assignment(scope, role.id, principal)
        client.delete_role_assignment(scope, made.name)
        with refused(404, "RoleAssignmentNotFound"):
            client.get_role_assignment(scope, made.name)
    client.delete_role_definition(KeyVaultRoleScope.GLOBAL, role.name)
    with refused(404, "RoleDefinitionNotFound"):
        client.get_role_definition(KeyVaultRoleScope.GLOBAL, role.name)


@check("hsm: an administrator has no keys by that")
def administrator(lab: Lab) -> None:
    """An administrator activates a pool and manages roles, and may neither make nor read keys."""
    pool = new_pool(lab, "admin")
    activate(lab, pool)
    client = KeyClient(pool.properties.hsm_uri, lab.credential)
    with refused(403, "AccessDenied"):
        client.create_rsa_key("kek", hardware_protected=True)
    with refused(403, "AccessDenied"):
        client.get_key("kek")
    assert list(roles(lab, pool).list_role_assignments(KeyVaultRoleScope.GLOBAL))


@check("hsm: keys of the hardware's types alone")
def types(lab: Lab) -> None:
    """RSA, elliptic-curve and AES keys are made in hardware; software keys are refused."""
    client = keys(lab)
    equal(client.create_rsa_key("rsa", hardware_protected=True, size=3072).key_type, KeyType.rsa_hsm)
    equal(client.create_ec_key("ec", hardware_protected=True).key_type, KeyType.ec_hsm)
    equal(client.create_oct_key("aes", size=256, hardware_protected=True).key_type, KeyType.oct_hsm)
    for wrong in (KeyType.rsa, KeyType.ec, KeyType.oct):
        with refused(400, "BadParameter"):
            client.create_key("soft", wrong)


@check("hsm: wrap and encrypt with AES")
def symmetric(lab: Lab) -> None:
    """An imported key wraps as `cryptography` does; messages come back in every mode, and changed ones do not."""
    client = keys(lab)
    kek = bytes(range(100, 132))
    key = client.import_key("imported", JsonWebKey(kty="oct-HSM", k=kek, key_ops=["wrapKey", "unwrapKey"]))
    # The SDK's own client would wrap with a random key of its own, as it does not know this one.
    wrapped = ask(client, key, "wrapkey", alg="A256KW", value=encoded(DATA))
    equal(wrapped, encoded(keywrap.aes_key_wrap(kek, DATA)))
    equal(ask(client, key, "unwrapkey", alg="A256KW", value=wrapped), encoded(DATA))
    with refused(400, "BadParameter"):
        ask(client, key, "wrapkey", alg="A128KW", value=encoded(DATA))
    made = client.create_oct_key("modes", size=128, hardware_protected=True)
    cipher = CryptographyClient(made, lab.credential)
    sealed = cipher.encrypt(EncryptionAlgorithm.a128_gcm, DATA, additional_authenticated_data=b"context")
    more = {"iv": sealed.iv, "authentication_tag": sealed.tag}
    opened = cipher.decrypt(
        EncryptionAlgorithm.a128_gcm, sealed.ciphertext, additional_authenticated_data=b"context", **more
    )
    equal(opened.plaintext, DATA)
    with refused(400, "BadParameter"):
        cipher.decrypt(EncryptionAlgorithm.a128_gcm, sealed.ciphertext, additional_authenticated_data=b"other", **more)
    chained = cipher.encrypt(EncryptionAlgorithm.a128_cbc, DATA, iv=bytes(16))
    equal(cipher.decrypt(EncryptionAlgorithm.a128_cbc, chained.ciphertext, iv=bytes(16)).plaintext, DATA)


@check("hsm: random bytes")
def random_bytes(lab: Lab) -> None:
    """Random bytes have the length that was asked for, and there is a limit."""
    client = keys(lab)
    one, two = client.get_random_bytes(64), client.get_random_bytes(64)
    equal((len(one), len(two)), (64, 64))
    assert one != two
    with refused(400, "BadParameter"):
        client.get_random_bytes(129)


@check("hsm: a backup is restored within the security domain alone")
def backup(lab: Lab) -> None:
    """A pool does not restore a key whose name is taken; another domain's pool can't read the backup."""
    client = keys(lab)
    client.create_oct_key("saved", size=256, hardware_protected=True)
    saved = client.backup_key("saved")
    with refused(409):
        client.restore_key_backup(saved)
    other = new_pool(lab, "other")
    activate(lab, other)
    user = f"{DEFINITIONS}/{CRYPTO_USER}"
    roles(lab, other).create_role_assignment(KeyVaultRoleScope.KEYS, user, lab.claims["oid"])
    stranger = KeyClient(other.properties.hsm_uri, lab.credential)
    patient(lambda: list(stranger.list_properties_of_keys()))
    try:
        stranger.restore_key_backup(saved)
    except HttpResponseError as error:
        equal(error.status_code, 400)
    else:
        raise AssertionError("another security domain's pool restored the key")
