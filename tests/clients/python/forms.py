"""Lets one program drive both forms of the Python clients: `python3 program.py sync` or `python3 program.py async`.

Methods of the asynchronous form return awaitables, those of the synchronous form results; `await done(…)` takes either.
Where the forms differ by more than that, a helper here has the same meaning for both.
"""

import asyncio
import inspect
import os
import sys

import e2b
import e2b_code_interpreter

ASYNC = sys.argv[1] == "async"
Sandbox = e2b.AsyncSandbox if ASYNC else e2b.Sandbox
CodeSandbox = e2b_code_interpreter.AsyncSandbox if ASYNC else e2b_code_interpreter.Sandbox


async def done(value):
    """The result of a method of either form."""
    return await value if inspect.isawaitable(value) else value


async def fails(kind, call):
    """The error of kind `kind` that `call` must raise."""
    try:
        await done(call())
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was expected")


async def until(what, check, seconds=20):
    """Waits until `check` gives something true, without a fixed sleep."""
    for _ in range(seconds * 20):
        if found := await check():
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"waited {seconds} s for: {what}")


async def collect(stream):
    """All bytes of a file that is read as a stream."""
    stream = await done(stream)
    if ASYNC:
        return b"".join([chunk async for chunk in stream])
    return b"".join(stream)


def chunks(*parts):
    """Data that comes bit by bit, in the kind of iterator that the form takes."""
    if not ASYNC:
        return iter(parts)

    async def generate():
        for part in parts:
            yield part

    return generate()


async def stream_input(target, pid, *parts):
    """Sends parts over one input stream."""
    if not ASYNC:
        target.stream_input(pid, parts)
        return
    async with target.stream_input(pid) as stream:
        for part in parts:
            await stream.send(part)


class Watch:
    """Events of a directory: called back in one form, asked for in the other."""

    @classmethod
    async def open(cls, sandbox, path, **options):
        watch = cls()
        watch.events = []
        if ASYNC:
            watch.handle = await sandbox.files.watch_dir(path, watch.events.append, **options)
        else:
            watch.handle = sandbox.files.watch_dir(path, **options)
        return watch

    async def told(self):
        """All events so far."""
        if not ASYNC:
            self.events += self.handle.get_new_events()
        return self.events

    async def stop(self):
        await done(self.handle.stop())


class Terminal:
    """A terminal and what it shows."""

    def __init__(self):
        self.screen = b""

    def show(self, data):
        self.screen += data

    @classmethod
    async def open(cls, sandbox, size, **options):
        terminal = cls()
        if ASYNC:
            terminal.handle = await sandbox.pty.create(size, on_data=terminal.show, **options)
        else:
            terminal.handle = sandbox.pty.create(size, **options)
        return terminal

    async def shows(self, text):
        """Waits until the screen has `text`."""
        if ASYNC:

            async def check():
                return text in self.screen

            await until(text, check)
            return
        for _, _, data in self.handle:
            self.show(data or b"")
            if text in self.screen:
                return

    async def rejoin(self, sandbox):
        """Leaves and comes back."""
        await done(self.handle.disconnect())
        self.screen = b""
        if ASYNC:
            self.handle = await sandbox.pty.connect(self.handle.pid, on_data=self.show)
        else:
            self.handle = sandbox.pty.connect(self.handle.pid)


def run(scenario):
    """Runs the program and prints OK when all went well."""
    asyncio.run(scenario())
    print("OK", flush=True)
    # Without taking Python down: in the asynchronous form a thread of the clients' transport (pyqwest) may be about to wake
    # the event loop then, and Python before 3.14 ends such a thread in a way that aborts the process. Any server does that.
    os._exit(0)
