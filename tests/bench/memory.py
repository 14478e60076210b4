"""Memory of `sealbook seal` and `sealbook open` at the peak, from 1 MiB to 8 GiB: `memory.py target/release/sealbook`.

The files are holes, which take no room on a disk; what is sealed goes through a pipe to what opens it, and then nowhere.
The figures are the kernel's (`ru_maxrss` of wait4). Results: docs/benchmarks.md.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

GOAL = 64.0


def peak(child: subprocess.Popen) -> float:
    """Waits for a child; MiB at its peak."""
    _, status, usage = os.wait4(child.pid, 0)
    assert status == 0, child.args
    return usage.ru_maxrss / 1024


def main(sealbook: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        plain, key = Path(folder, "plain"), Path(folder, "dek")
        key.write_bytes(os.urandom(32))
        key.chmod(0o600)
        print(f"{'size':>10} {'seal':>10} {'open':>10}  at most {GOAL:.0f} MiB")
        for mib in (1, 64, 1024, 8192):
            with plain.open("wb") as file:
                file.truncate(mib << 20)
            command = [sealbook, "seal", plain, "--key", key, "--out", "-"]
            seal = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            command = [sealbook, "open", "-", "--key", key, "--out", "-"]
            nowhere = subprocess.DEVNULL
            opened = subprocess.Popen(command, stdin=seal.stdout, stdout=nowhere, stderr=nowhere)
            seal.stdout.close()
            figures = [peak(seal), peak(opened)]
            met = "yes" if max(figures) <= GOAL else "NO"
            print(f"{mib:>6} MiB {figures[0]:>6.1f} MiB {figures[1]:>6.1f} MiB  {met}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
