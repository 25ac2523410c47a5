"""Every form of `commands` and `pty`."""

from e2b import (
    AuthenticationException,
    CommandExitException,
    InvalidArgumentException,
    NotFoundException,
    PtySize,
    SandboxException,
    TimeoutException,
)
from forms import Sandbox, Terminal, done, fails, run, stream_input, until


async def foreground(commands):
    result = await done(commands.run("echo out; echo err >&2"))
    assert (result.stdout, result.stderr, result.exit_code, result.error) == ("out\n", "err\n", 0, None), result
    failed = await fails(CommandExitException, lambda: commands.run("echo partly; exit 7"))
    assert (failed.stdout, failed.exit_code, failed.error) == ("partly\n", 7, "exit status 7"), failed

    seen = []
    await done(commands.run("echo one; echo two >&2", on_stdout=seen.append, on_stderr=seen.append))
    assert sorted(seen) == ["one\n", "two\n"], seen
    text = "ä\U0001f40e" * 30_001
    result = await done(commands.run("python3 -c 'print(\"\\u00e4\\U0001f40e\" * 30001)'"))
    assert result.stdout == f"{text}\n"

    result = await done(commands.run("echo $GLOBAL $MINE", envs={"MINE": "mine"}))
    assert result.stdout == "global mine\n", result
    result = await done(commands.run("whoami; pwd", user="root", cwd="/tmp"))
    assert result.stdout == "root\n/tmp\n", result
    error = await fails(InvalidArgumentException, lambda: commands.run("pwd", cwd="/no/such"))
    assert "cwd '/no/such' does not exist" in str(error), error
    error = await fails(AuthenticationException, lambda: commands.run("true", user="nosuch"))
    assert "invalid username: 'nosuch'" in str(error), error
    await fails(TimeoutException, lambda: commands.run("exec sleep 7772", timeout=1))

    async def ended():
        return (await done(commands.run("pgrep -xf 'sleep 7772' || true"))).stdout == ""

    await until("the end of what took too long", ended)


async def background(commands):
    command = await done(commands.run("sleep 600", background=True, cwd="/tmp", envs={"A": "b"}))
    (listed,) = [each for each in await done(commands.list()) if each.pid == command.pid]
    assert (listed.cmd, listed.args, listed.cwd) == ("/bin/bash", ["-l", "-c", "sleep 600"], "/tmp"), listed
    assert listed.envs == {"A": "b"}, listed
    assert await done(commands.kill(command.pid)) is True
    killed = await fails(CommandExitException, command.wait)
    assert (killed.exit_code, killed.error) == (-1, "signal: killed"), killed
    assert await done(commands.kill(command.pid)) is False

    parent = await done(commands.run("sleep 7775 & echo $! > /tmp/child; wait", background=True))

    async def child():
        return (await done(commands.run("cat /tmp/child || true"))).stdout.strip()

    pid = await until("the child's pid", child)
    assert await done(parent.kill()) is True
    assert (await fails(CommandExitException, parent.wait)).error == "signal: killed"
    assert (await done(commands.run(f"cat /proc/{pid}/comm; kill {pid}"))).stdout == "sleep\n"

    first = await done(commands.run("read word; echo got $word", background=True, stdin=True))
    await done(first.disconnect())
    second = await done(commands.connect(first.pid))
    await done(commands.send_stdin(first.pid, "it\n"))
    assert (await done(second.wait())).stdout == "got it\n"
    late = await done(commands.connect(first.pid))
    assert (await done(late.wait())).exit_code == 0
    await fails(NotFoundException, lambda: commands.connect(999_999))


async def standard_input(commands):
    command = await done(commands.run("wc -c", background=True, stdin=True))
    await done(commands.send_stdin(command.pid, "ä\n"))
    await done(command.send_stdin(b"\x00\xff"))
    await done(commands.close_stdin(command.pid))
    assert (await done(command.wait())).stdout == "5\n"
    assert (await done(commands.run("cat; echo done"))).stdout == "done\n"

    command = await done(commands.run("sleep 600", background=True, stdin=True))
    await done(commands.close_stdin(command.pid))
    await done(commands.close_stdin(command.pid))
    error = await fails(SandboxException, lambda: commands.send_stdin(command.pid, "late"))
    assert "stdin of the process is closed" in str(error), error
    await done(command.kill())

    # Many pieces over one stream, more than a pipe holds.
    command = await done(commands.run("md5sum", background=True, stdin=True))
    await stream_input(commands, command.pid, *[bytes([index]) * 10_000 for index in range(30)])
    await done(command.close_stdin())
    assert (await done(command.wait())).stdout.startswith("88c4b2b996ddd573a9ff8c06a102709f")


async def terminal(sandbox):
    shown = await Terminal.open(sandbox, PtySize(rows=30, cols=100), cwd="/tmp", envs={"MINE": "mine"})
    pid = shown.handle.pid
    await done(sandbox.pty.send_stdin(pid, b'echo "[$(stty size) $TERM $PWD $MINE]"\n'))
    await shown.shows(b"[30 100 xterm-256color /tmp mine]")
    await done(sandbox.pty.resize(pid, PtySize(rows=20, cols=90)))
    await stream_input(sandbox.pty, pid, b'echo "[$(tput', b' cols)]"\n')
    await shown.shows(b"[90]")
    await shown.rejoin(sandbox)
    await done(sandbox.pty.send_stdin(pid, b"echo '[re''joined]'\n"))
    await shown.shows(b"[rejoined]")
    await done(sandbox.pty.send_stdin(pid, b"exit\n"))
    assert (await done(shown.handle.wait())).exit_code == 0

    killed = await Terminal.open(sandbox, PtySize(rows=24, cols=80), user="root")
    assert await done(sandbox.pty.kill(killed.handle.pid)) is True
    assert (await fails(CommandExitException, killed.handle.wait)).exit_code == -1
    assert await done(sandbox.pty.kill(killed.handle.pid)) is False


async def end_of_sandbox(sandbox):
    command = await done(sandbox.commands.run("sleep 600", background=True))
    assert await done(sandbox.is_running()) is True
    await done(sandbox.kill())
    error = await fails(Exception, command.wait)
    assert "killed or reached its end of life" in str(error), error
    assert await done(sandbox.is_running()) is False


async def scenario():
    sandbox = await done(Sandbox.create(envs={"GLOBAL": "global"}))
    try:
        await foreground(sandbox.commands)
        await background(sandbox.commands)
        await standard_input(sandbox.commands)
        await terminal(sandbox)
        await end_of_sandbox(sandbox)
    finally:
        await done(sandbox.kill())


run(scenario)
