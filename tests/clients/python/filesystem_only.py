"""Pauses, resumes and snapshots without memory through the synchronous Python client. Prints OK at the end."""
import time

from e2b import GuestUnresponsiveException, Sandbox, ServiceBusyException

BOOT_ID = "cat /proc/sys/kernel/random/boot_id"
sandbox = Sandbox.create(envs={"MINE": "kept"})
sandbox.files.write("/home/user/note", "kept")
first = sandbox.commands.run(BOOT_ID).stdout

# Files survive, processes do not; token and environment stay.
assert sandbox.pause(mode="filesystem") is True
assert sandbox.pause(mode="filesystem") is False
sandbox.connect()
second = sandbox.commands.run(BOOT_ID).stdout
assert second != first
assert sandbox.files.read("/home/user/note") == "kept"
assert sandbox.commands.run("echo $MINE").stdout == "kept\n"

# A restart from disk although memory was kept.
sandbox.pause()
sandbox.connect(on_resume="reboot")
assert sandbox.commands.run(BOOT_ID).stdout not in (first, second)

# A snapshot without memory starts cold; its source runs on.
before = sandbox.commands.run(BOOT_ID).stdout
snapshot = sandbox.create_snapshot(mode="filesystem")
assert sandbox.commands.run(BOOT_ID).stdout == before
child = Sandbox.create(snapshot.snapshot_id)
assert child.commands.run(BOOT_ID).stdout != before
assert child.files.read("/home/user/note") == "kept"
child.kill()
assert Sandbox.delete_snapshot(snapshot.snapshot_id) is True

# A guest whose agent hangs.
sandbox.commands.run("sudo sh -c 'sleep 0.3; kill -STOP $(pgrep -f offshoot-agentd)' >/dev/null 2>&1 &")
time.sleep(1)
try:
    Sandbox.pause(sandbox.sandbox_id, strict=True, retries=0)
    raise AssertionError("a strict pause needs an agent that answers")
except ServiceBusyException:
    pass
assert Sandbox.pause(sandbox.sandbox_id) is True
assert Sandbox.get_info(sandbox.sandbox_id).envd_unresponsive_at_pause is True
try:
    Sandbox.connect(sandbox.sandbox_id)
    raise AssertionError("memory of a guest that did not answer is not restored")
except GuestUnresponsiveException:
    pass
again = Sandbox.connect(sandbox.sandbox_id, on_resume="reboot")
assert again.files.read("/home/user/note") == "kept"
assert Sandbox.get_info(sandbox.sandbox_id).envd_unresponsive_at_pause is None
again.kill()
print("OK")
