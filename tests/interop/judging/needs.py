"""Which things each operation's examples need: the tables of all providers and planes together."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from contract.load import Operation

from . import pool_data, prerequisites, providers
from .world import World

Need = Callable[[World, dict[str, Any]], None]

# By a part of the contract's path, because providers share operation ids.
_TABLES: tuple[tuple[str, Mapping[str, Sequence[Need]]], ...] = (
    (r"/Microsoft\.Compute/", providers.COMPUTE),
    (r"/Microsoft\.ContainerService/", providers.CLUSTERS),
    (r"/Microsoft\.CognitiveServices/", providers.AI),
    (r"/Microsoft\.ManagedIdentity/", providers.IDENTITIES),
    (r"/Microsoft\.Attestation/", providers.ATTESTATION),
    (r"/2023-07-01/(managedHsm|keysManagedHsm)\.json$", providers.POOLS),
    (r"/7\.5/secrets\.json$", providers.SECRETS),
)


def needs(operation: Operation) -> Sequence[Need]:
    """What has to be there, and be named, before an example of `operation` is sent."""
    name = operation.definition["operationId"]
    if operation.plane == "managedhsm":
        return pool_data.TABLE.get(name, (pool_data.pool,))
    for part, table in _TABLES:
        if re.search(part, operation.document):
            return table.get(name, (providers.here,))
    return prerequisites.TABLE.get(name, ())
