"""`python -m bench.realdata`: the whole way on real data, from the published files to the report of examples/hmix.toml.

Real data is looked for in `$HILMIX_REALDATA`, else in ../shared/data beside the checkout: CIFAR-10 test images
with the published 7,000/3,000 split, CIFAR-10H, and the H-Mix answers. Each command is printed before it runs, so
that a person can run it alone. All of it takes from minutes on a GPU to an hour on two cores.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

from bench.instance import ELSEWHERE, ROOT
from bench.measure import say

IMAGES = "cifar10-test"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.realdata", description=__doc__.splitlines()[0])
    parser.add_argument("--var", type=Path, metavar="DIR", help="keep all state in this new folder")
    parser.add_argument(
        "--config", default="examples/hmix.toml", help="another configuration, e.g. a shorter one"
    )
    options = parser.parse_args()
    data = Path(os.environ.get("HILMIX_REALDATA", ROOT.parent / "shared" / "data"))
    if not (data / "hmix").is_dir():
        say(f"There is no real data at {data}. Set HILMIX_REALDATA to the folder that holds it.")
        return 1
    with (
        nullcontext(options.var) if options.var else tempfile.TemporaryDirectory(prefix="hilmix-real-") as var
    ):
        return run_all(data, Path(var).resolve(), options.config)


def run_all(data: Path, var: Path, config: str) -> int:
    """Run every command on the state folder `var`; the exit status of the first that fails, or 0."""
    splits = ",".join(f"{name}={data}/cifar10h_split_{name}.npy" for name in ("train", "test"))
    commands = [
        ["migrate", "--verbosity=0"],
        ["import_images", "npz", f"{data}/cifar10_test.npz", "--name", IMAGES, "--split", splits],
        ["import_human_labels", f"{data}/cifar10h-probs.npy", "--images", IMAGES, "--votes", "47-63"],
        ["import_hmix", f"{data}/hmix", "--images", IMAGES],
        ["freeze_release", "hmix", "--out", f"{var}/hmix-release"],
        ["run_experiment", config, "--out", f"{var}/report"],
    ]
    elsewhere = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    for command in commands:
        say(f"$ HILMIX_VAR={var} python manage.py {shlex.join(command)}")
        done = subprocess.run(
            [sys.executable, "manage.py", *command], cwd=ROOT, env={**elsewhere, "HILMIX_VAR": str(var)}
        )
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
