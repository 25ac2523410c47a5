"""Entry of the Python kernel: `python3 launch.py <connection file>`."""

import sys

# ipykernel imports debugpy when it is installed: 8 MB of memory in every snapshot for a debugger that no client can reach.
sys.modules["debugpy"] = None

import ipykernel.debugger  # noqa: E402, F401

del sys.modules["debugpy"]

from offshoot_kernel import app  # noqa: E402

# The user's modules are found from the working directory, as in a notebook; this directory must not shadow them.
sys.path[0] = ""

app.run(sys.argv[1])
