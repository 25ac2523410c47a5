"""Runs a function right after a module was imported for the first time."""

import importlib.abc
import importlib.util
import sys

_pending = {}


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name not in _pending:
            return None
        hook = _pending.pop(name)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            _pending[name] = hook
            return None
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            hook(module)

        spec.loader.exec_module = exec_module
        return spec


_finder = _Finder()


def on_import(name, hook):
    """Calls `hook(module)` once, after module `name` was executed."""
    _pending[name] = hook
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
