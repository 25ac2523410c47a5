"""Entry of the Python kernel: `python3 launch.py <connection file>`."""

import sys

from offshoot_kernel.slim import slim_imports

with slim_imports():
    import ipykernel.debugger  # noqa: F401  Decides once whether there is a debugger.
    from offshoot_kernel import app

# The user's modules are found from the working directory, as in a notebook; this directory must not shadow them.
sys.path[0] = ""

app.run(sys.argv[1])
