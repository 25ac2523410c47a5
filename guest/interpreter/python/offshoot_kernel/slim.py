"""Imports ipykernel without what a sandbox's kernel cannot use. An idle kernel is part of every snapshot."""

import importlib.util
import sys
from contextlib import contextmanager

# Optional parts that fail to import, as on a machine without them: a debugger that no client can reach (8 MB), colours
# of a log on a terminal, and the time zones of another operating system (which loads ctypes before it gives up).
_UNUSED = ("debugpy", "curses", "dateutil.tz.win")

# Of this package the kernel needs a few modules; the package itself imports every kind of client and manager (1 MB).
_CLIENTS = "jupyter_client"


@contextmanager
def slim_imports():
    """Within it, ipykernel may be imported. Afterwards the user's code can import everything as usual."""
    for name in _UNUSED:
        sys.modules[name] = None
    shell = importlib.util.module_from_spec(importlib.util.find_spec(_CLIENTS))
    sys.modules[_CLIENTS] = shell
    try:
        from jupyter_client import connect

        shell.find_connection_file = connect.find_connection_file
        shell.write_connection_file = connect.write_connection_file
        yield
    finally:
        for name in (*_UNUSED, _CLIENTS):
            del sys.modules[name]
