from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

import hilmix.core

ROOT = Path(hilmix.core.__path__[0]).parents[1]
MODULES = sorted(module.name for module in pkgutil.iter_modules(hilmix.core.__path__, "hilmix.core."))


def test_the_core_loads_neither_django_nor_celery_nor_torch():
    code = f"import {', '.join(MODULES)}, sys; print(sorted({{n.split('.')[0] for n in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(eval(done.stdout))
    assert "hilmix.core.release" in MODULES
    assert {"numpy", "PIL", "pyarrow"} <= loaded
    assert not loaded & {
        "django",
        "celery",
        "kombu",
        "torch",
        "sklearn",
        "pandas",
        "scipy",
        "elicitation",
        "training",
    }
