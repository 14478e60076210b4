"""Key Vault: keys that are brought along wrapped (BYOK), and the vault's firewall."""

import json
import os

from azure.core.exceptions import HttpResponseError
from azure.keyvault.keys import JsonWebKey, KeyClient, KeyCurveName, KeyType, KeyVaultKey
from azure.keyvault.keys.crypto import CryptographyClient, KeyWrapAlgorithm, SignatureAlgorithm
from azure.mgmt.keyvault.models import IPRule, NetworkRuleSet, VaultPatchParameters, VaultPatchProperties
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sdk_keys import octets, public_ec, public_rsa
from sdk_support import Lab, base64url, check, codes, equal, patient, refused


def pkcs8(private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS#8 document of a private key."""
    return private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def blob(kek: KeyVaultKey, target: bytes, oaep: hashes.HashAlgorithm | None = None, **changes: object) -> bytes:
    """Key transfer blob, as an HSM vendor's tool writes it."""
    ephemeral = os.urandom(32)
    algorithm = oaep or hashes.SHA1()  # noqa: S303 (what the specification says)
    way = padding.OAEP(padding.MGF1(algorithm), algorithm, None)
    ciphertext = public_rsa(kek.key).encrypt(ephemeral, way) + keywrap.aes_key_wrap_with_padding(ephemeral, target)
    document = {
        "schema_version": "1.0.0",
        "header": {"kid": kek.id, "alg": "dir", "enc": "CKM_RSA_AES_KEY_WRAP"},
        "ciphertext": base64url(ciphertext),
        "generator": "checks by the official SDKs",
    }
    return json.dumps(document | changes).encode()


def exchange_key(client: KeyClient, name: str) -> KeyVaultKey:
    """Makes a key exchange key."""
    return client.create_rsa_key(name, size=2048, hardware_protected=True, key_operations=["import"])


def bring(client: KeyClient, name: str, kty: KeyType, transfer: bytes, **parameters: object) -> KeyVaultKey:
    """Imports a key transfer blob the way the Azure CLI does."""
    return client.import_key(name, JsonWebKey(kty=kty, t=transfer, **parameters), hardware_protected=False)


@check("keys: bring your own, RSA and EC")
def bring_your_own(lab: Lab) -> None:
    """The key that comes in is the one that was wrapped, in hardware, and not exportable."""
    client = lab.keys_of_officer
    kek = exchange_key(client, "kek")
    original = rsa.generate_private_key(65537, 3072)
    key = bring(client, "brought-rsa", KeyType.rsa_hsm, blob(kek, pkcs8(original)), key_ops=["wrapKey", "unwrapKey"])
    equal((key.key_type, key.properties.exportable), (KeyType.rsa_hsm, False))
    equal(key.key.n, octets(original.public_key().public_numbers().n))
    way = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    wrapped = original.public_key().encrypt(b"a data key", way)
    equal(CryptographyClient(key, lab.credential).unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, wrapped).key, b"a data key")
    curve = ec.generate_private_key(ec.SECP384R1())
    key = bring(client, "brought-ec", KeyType.ec_hsm, blob(kek, pkcs8(curve)), crv=KeyCurveName.p_384)
    equal(public_ec(key.key).public_numbers(), curve.public_key().public_numbers())


@check("keys: bring your own, what is refused")
def bring_your_own_refused(lab: Lab) -> None:
    """A blob under another hash, for another kind of key or for another key exchange key does not come in."""
    client = lab.keys_of_officer
    kek = exchange_key(client, "kek-strict")
    target = pkcs8(rsa.generate_private_key(65537, 2048))
    bad = [
        blob(kek, target, hashes.SHA256()),
        blob(kek, b"no key at all"),
        blob(kek, pkcs8(ec.generate_private_key(ec.SECP256R1()))),
        blob(kek, target, schema_version="2.0"),
        b"no blob at all",
    ]
    for transfer in bad:
        with refused(400, "BadParameter"):
            bring(client, "refused", KeyType.rsa_hsm, transfer)
    plain = client.create_rsa_key("no-kek", size=2048, hardware_protected=True)
    with refused(403, "Forbidden", "KeyOperationForbidden"):
        bring(client, "refused", KeyType.rsa_hsm, blob(plain, target))
    with refused(403, "Forbidden"):
        CryptographyClient(kek.id, lab.credential).sign(SignatureAlgorithm.rs256, bytes(32))
    with refused(400, "BadParameter"):
        client.create_rsa_key("both", size=2048, hardware_protected=True, key_operations=["import", "sign"])


@check("keys: the vault's firewall")
def firewall(lab: Lab) -> None:
    """Who comes from an address without a rule stays out; the refusal names the address for which to add one."""
    vault = lab.new_vault("walled")
    lab.grant("Key Vault Crypto Officer", vault.id)

    def allow(*addresses: str) -> list[str]:
        rules = NetworkRuleSet(
            bypass="AzureServices", default_action="Deny", ip_rules=[IPRule(value=address) for address in addresses]
        )
        change = VaultPatchParameters(properties=VaultPatchProperties(network_acls=rules))
        changed = lab.vaults.vaults.update(lab.group, vault.name, change)
        return [rule.value for rule in changed.properties.network_acls.ip_rules]

    client = lab.keys(vault)
    equal(allow(), [])
    told = ""
    try:
        client.create_rsa_key("walled", size=2048)
    except HttpResponseError as error:
        equal(codes(error), ["Forbidden", "ForbiddenByFirewall"])
        told = error.message
    address = told.split("Client address: ")[1].split()[0]
    equal(allow(address), [f"{address}/32"])
    patient(lambda: client.create_rsa_key("walled", size=2048))
    with refused(400, "BadRequest"):
        allow("10.0.0.0/8")
