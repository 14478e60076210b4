"""Holds the exchanges of the embedded Azure against the official contracts of Azure's APIs.

The contracts are other people's data: they are no part of this repository, and their folder is an argument.
"""

import argparse
import sys
from pathlib import Path

from judging import examples, exchanges

_EXPECTED = Path(__file__).parents[1] / "contract" / "examples.toml"


def main() -> int:
    """Judges, and returns 1 where there is a finding."""
    arguments = _arguments()
    if arguments.command == "examples":
        return 0 if examples.replay(arguments.specs, arguments.expected) else 1
    return 0 if exchanges.judge(arguments.specs, arguments.recorded, arguments.uncovered) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    recorded = commands.add_parser("exchanges", help="judge the exchanges that a run recorded")
    recorded.add_argument("specs", type=Path, help="the folder of the contracts")
    recorded.add_argument("recorded", type=Path, help="a file with one exchange per line")
    recorded.add_argument("--uncovered", type=Path, required=True, help="the table of exchanges without a contract")
    replayed = commands.add_parser("examples", help="replay the official examples under `cloud exec --as app`")
    replayed.add_argument("specs", type=Path, help="the folder of the contracts")
    replayed.add_argument("--expected", type=Path, default=_EXPECTED, help="the table of refusals and gaps")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
