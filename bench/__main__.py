"""`python -m bench [elicitation|monitoring|hub|training|reports]`: one JSON object a line for each measured figure.

Each part runs in a process of its own, on a state folder of its own that goes with it. A figure that misses
its goal is printed as such; only a part that cannot be measured fails the command.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys

from bench.instance import temporary_state
from bench.measure import say

PARTS = ("elicitation", "monitoring", "hub", "training", "reports")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("part", nargs="?", choices=PARTS, help="only this one; all without it")
    part = parser.parse_args().part
    if part is None:
        return max(subprocess.run([sys.executable, "-m", "bench", name]).returncode for name in PARTS)
    say(f"measuring {part} …")
    with temporary_state():
        for figure in importlib.import_module(f"bench.{part}").figures():
            print(figure.as_json(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
