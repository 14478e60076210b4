"""Puts what exists here where an example names things of its own: resources, keys, images, sizes, passwords."""

import re
from collections.abc import Callable
from typing import Any

from . import estate
from .world import LOCATION, World

_RESOURCE = re.compile(r"(?i)^/?subscriptions/[^/]+/resourcegroups/[^/]+/providers/([^/]+)/([^/]+)/([^/]+)(.*)$")

# What an example leaves to its reader.
_WORDS = {
    "/home/{your-username}/.ssh/authorized_keys": "/home/learner/.ssh/authorized_keys",
    "<runAsPassword>": estate.PASSWORD,
    "{vm-name}": "lab",
    "{your-custom-data}": "IyEvYmluL3NoCg==",
    "{your-password}": estate.PASSWORD,
    "{your-username}": "learner",
}

_KNOWN: dict[str, Callable[[World], str]] = {
    "microsoft.compute/disks": lambda world: estate.new_disk(world)["id"],
    "microsoft.compute/diskencryptionsets": lambda world: estate.encryption_set(world)["id"],
    "microsoft.compute/snapshots": lambda world: estate.new_snapshot(world)["id"],
    "microsoft.keyvault/vaults": lambda world: world.vault_id(world.vault),
    "microsoft.managedidentity/userassignedidentities": lambda world: estate.identity(world)["id"],
    "microsoft.network/networkinterfaces": lambda world: estate.new_interface(world)["id"],
    "microsoft.network/virtualnetworks": lambda world: estate.subnet(world),
    "microsoft.storage/storageaccounts": lambda world: world.account_id(world.account),
}


def resolve(world: World, value: Any) -> Any:
    """Gives a body in which everything that this world has stands under its name here."""
    if isinstance(value, list):
        return [resolve(world, each) for each in value]
    if isinstance(value, str):
        return _text(world, value)
    if not isinstance(value, dict):
        return value
    found = {_text(world, name): resolve(world, each) for name, each in value.items()}
    for name, put in _FIELDS.items():
        if name in found:
            found[name] = put(world, found[name], found)
    return found


def _text(world: World, text: str) -> str:
    resource = _RESOURCE.match(text)
    if "{publisher}" in text:
        return estate.image_id(world)
    known = _KNOWN.get(f"{resource[1]}/{resource[2]}".lower()) if resource else None
    if known:
        return known(world)
    if text in _WORDS:
        return _WORDS[text]
    account = "{existing-storage-account-name}"
    return text.replace(account, world.account).replace("http://", "https://") if account in text else text


def _location(_world: World, value: Any, _around: dict[str, Any]) -> Any:
    return LOCATION if isinstance(value, str) else value


def _image(_world: World, value: Any, _around: dict[str, Any]) -> Any:
    """An image that this region offers, of the same system: the examples' are long retired."""
    if not isinstance(value, dict) or "publisher" not in value:
        return value
    named = str(value).lower()
    if "cvm" in named:
        return estate.IMAGES["Confidential"]
    linux = "ubuntu" in named or "{image" in named
    return estate.IMAGES["Linux" if linux else "Windows"]


def _os_disk(world: World, value: Any, _around: dict[str, Any]) -> Any:
    """A name that no other example's machine left behind."""
    return {**value, "name": world.name("disk")} if isinstance(value, dict) and "name" in value else value


def _size(world: World, value: Any, _around: dict[str, Any]) -> Any:
    """The size, or a small one where the region no longer offers it; no other takes a confidential one's place."""
    return value if value in estate.sizes(world) or "_DC" in value else estate.SIZE


def _key_url(world: World, _value: Any, _around: dict[str, Any]) -> Any:
    return estate.key(world)["key"]["kid"]


def _vault_key(world: World, value: Any, _around: dict[str, Any]) -> Any:
    """A version of the shared vault's key, and the identity that may use it."""
    kid = estate.key(world)["key"]["kid"]
    vault, _, rest = kid.partition("/keys/")
    name, version = rest.split("/")
    found = {**value, "keyVaultUri": vault, "keyName": name, "keyVersion": version}
    if "identityClientId" in value:
        found["identityClientId"] = estate.identity(world)["properties"]["clientId"]
    return found


_FIELDS: dict[str, Callable[[World, Any, dict[str, Any]], Any]] = {
    "imageReference": _image,
    "keyUrl": _key_url,
    "keyVaultProperties": _vault_key,
    "location": _location,
    "osDisk": _os_disk,
    "vmSize": _size,
}
