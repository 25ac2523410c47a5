"""Every line of the snapshot promise through the synchronous Python clients. Prints OK at the end."""
from e2b import NotFoundException, Sandbox as BaseSandbox
from e2b_code_interpreter import Sandbox

# The program every new user runs first.
sandbox = Sandbox.create()
sandbox.run_code("x = 41")
snapshot = sandbox.create_snapshot()
child = Sandbox.create(snapshot.snapshot_id)
assert child.run_code("x + 1").text == "42"
assert sandbox.run_code("x").text == "41"

# Files, commands, environment.
child.files.write("/home/user/note", "from python")
assert child.files.read("/home/user/note") == "from python"
assert not sandbox.files.exists("/home/user/note")
result = child.commands.run("echo out; echo err >&2; exit 0")
assert (result.stdout, result.stderr, result.exit_code) == ("out\n", "err\n", 0)
assert any(entry.name == "note" for entry in child.files.list("/home/user"))

# The static form, listing with a filter and pages, deletion.
second = Sandbox.create_snapshot(sandbox.sandbox_id)
paginator = Sandbox.list_snapshots(sandbox_id=sandbox.sandbox_id, limit=1)
listed = []
while paginator.has_next:
    listed += [item.snapshot_id for item in paginator.next_items()]
assert listed == [second.snapshot_id, snapshot.snapshot_id], listed
assert Sandbox.delete_snapshot(second.snapshot_id) is True
assert Sandbox.delete_snapshot(second.snapshot_id) is False

# Pause and resume.
sandbox.pause()
assert not sandbox.is_running()
sandbox.connect()
assert sandbox.run_code("x").text == "41"

# Killed means gone.
assert child.kill() is True
assert child.kill() is False
try:
    BaseSandbox.get_info(child.sandbox_id)
    raise AssertionError("a killed sandbox has no info")
except NotFoundException:
    pass
sandbox.kill()
late = Sandbox.create(snapshot.snapshot_id)
assert late.run_code("x").text == "41"
late.kill()
assert Sandbox.delete_snapshot(snapshot.snapshot_id) is True
print("OK")
