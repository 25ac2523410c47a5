"""Refusals through the synchronous Python client, of a team that may have no more sandboxes. Prints OK at the end."""
import sys

from e2b import RateLimitException, Sandbox, SandboxException, SandboxNotFoundException


def fails(kind, call):
    try:
        call()
    except kind as error:
        return str(error)
    raise AssertionError(f"{kind.__name__} was expected")


assert "2 sandboxes of this team run already" in fails(RateLimitException, Sandbox.create)
sandbox = Sandbox.connect(sys.argv[1])
assert sandbox.pause() is True
assert sandbox.pause() is False
assert "is paused and cannot be forked" in fails(SandboxException, sandbox.fork)
assert "not found" in fails(SandboxException, lambda: Sandbox.create("no-such-template"))
fails(SandboxNotFoundException, lambda: Sandbox.connect("i00000000000000000000"))
print("OK")
