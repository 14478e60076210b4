"""Carries a security domain with the Azure CLI's own code: opens it with a quorum of private keys and prints the
document that a managed HSM takes for an upload.

    python security_domain.py FOLDER KEY...

FOLDER holds `domain.json` (what a download gave), `exchange.cer` (the transfer key's certificate) and, beside each KEY,
its certificate under the same name with the ending `.cer`. Needs a Python that has the Azure CLI.
"""

import sys
from pathlib import Path

from azure.cli.command_modules.keyvault.custom import _security_domain_restore_blob


def main() -> None:
    folder = Path(sys.argv[1])
    keys = [str(folder / name) for name in sys.argv[2:]]
    blob = _security_domain_restore_blob(str(folder / "domain.json"), str(folder / "exchange.cer"), keys)
    sys.stdout.write(blob)


if __name__ == "__main__":
    main()
