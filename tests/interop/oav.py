"""Lets oav, Microsoft's own validator of API traffic, judge what the engine and the embedded Azure say to each other.

    python oav.py [--sealbook BINARY] [RECORDED ...]

Without recorded files, it runs, verifies and undoes every playbook in a home of its own, with a debug build. The
contracts are other people's data: they are no part of this repository. Needs node, and npm for the first time.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from judging import second

_ROOT = Path(__file__).parents[2]
_TABLES = _ROOT / "tests" / "contract"
# What a playbook that costs money without being used wants to be told.
_CONSENT = {"managed-hsm": ("--confirm", "3.20 USD an hour for each of two until they are purged")}


def main() -> int:
    """Judges, and returns 1 where there is a deviation that the table does not list."""
    arguments = _arguments()
    second.install(arguments.oav)
    with tempfile.TemporaryDirectory() as scratch:
        recorded = arguments.recorded or [_played(arguments.sealbook.resolve(), Path(scratch))]
        oav = second.Oav(arguments.oav, arguments.specs.resolve(), Path(scratch))
        uncovered, excused = _TABLES / "uncovered.toml", _TABLES / "oav.toml"
        fits = second.judge(oav, recorded, uncovered, excused, whole=not arguments.recorded)
    return 0 if fits else 1


def _arguments() -> argparse.Namespace:
    shared = Path(os.environ.get("SEALBOOK_SHARED") or _ROOT.parent / "shared")
    target = _ROOT / "target"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "recorded", type=Path, nargs="*", help="files with one exchange per line (default: record them)"
    )
    parser.add_argument("--sealbook", type=Path, default=target / "debug" / "sealbook", help="a debug build")
    parser.add_argument("--specs", type=Path, default=shared / "specs", help="the folder of the contracts")
    parser.add_argument("--oav", type=Path, default=target / "oav", help="where oav is installed")
    return parser.parse_args()


def _played(sealbook: Path, scratch: Path) -> Path:
    """Plays every playbook; gives the file with its exchanges."""
    if not sealbook.is_file():
        sys.exit(f"{sealbook} is missing: build it, or name another with --sealbook.")
    file = scratch / "exchanges.ndjson"
    environment = {"PATH": os.environ["PATH"], "HOME": str(scratch), "SEALBOOK_HOME": str(scratch / "home")}

    def run(*words: str) -> str:
        done = subprocess.run(
            [sealbook, *words], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if done.returncode:
            sys.exit(f"sealbook {' '.join(words)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    playbooks = [each["id"] for each in json.loads(run("--output", "json", "list"))]
    environment["SEALBOOK_EXCHANGES"] = str(file)
    for playbook in playbooks:
        for words in (("run", playbook, "--yes", *_CONSENT.get(playbook, ())), ("verify",), ("undo", "--yes")):
            run(*words)
    if not file.is_file():
        sys.exit(f"{sealbook} recorded nothing: only a debug build does.")
    return file


if __name__ == "__main__":
    sys.exit(main())
