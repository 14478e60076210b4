"""Checks the embedded Azure by the official Python SDKs, which know nothing of it.

    sealbook cloud exec [--as learner|app] -- python sdk.py AREA|all

Signs in with nothing but the environment. Prints a line per check and exits with 1 if any failed.
"""

import argparse
import logging
import sys

import sdk_blobs  # noqa: F401 (importing a module adds its checks)
import sdk_blobs_access  # noqa: F401
import sdk_clusters  # noqa: F401
import sdk_cryptography  # noqa: F401
import sdk_disks  # noqa: F401
import sdk_foundry  # noqa: F401
import sdk_hsm  # noqa: F401
import sdk_identity  # noqa: F401
import sdk_identities  # noqa: F401
import sdk_keys  # noqa: F401
import sdk_machines  # noqa: F401
import sdk_management  # noqa: F401
import sdk_secrets  # noqa: F401
import sdk_transfer  # noqa: F401
from sdk_support import run

AREAS = ["identity", "management", "keys", "secrets", "hsm", "blobs", "identities", "compute", "clusters", "foundry"]


def main() -> int:
    """Reads which area to check, and checks it."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("area", choices=[*AREAS, "all"], help="what to check")
    area = arguments.parse_args().area
    # The SDKs log every refusal as a warning, and most refusals here are wanted.
    logging.getLogger("azure").setLevel(logging.CRITICAL)
    return run(AREAS if area == "all" else [area])


if __name__ == "__main__":
    sys.exit(main())
