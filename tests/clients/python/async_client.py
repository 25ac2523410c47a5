"""Snapshots and streams through the asynchronous Python clients. Prints OK at the end."""
import asyncio
import os

from e2b_code_interpreter import AsyncSandbox


async def main() -> None:
    sandbox = await AsyncSandbox.create()
    await sandbox.run_code("x = 41")

    # A command stream of the source goes on through the snapshot.
    lines: list[str] = []
    ticker = await sandbox.commands.run(
        "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done", background=True, timeout=0, on_stdout=lines.append
    )
    waiting = asyncio.create_task(ticker.wait())
    snapshot = await sandbox.create_snapshot()
    seen = len(lines)
    for _ in range(200):
        if len(lines) > seen + 3:
            break
        await asyncio.sleep(0.05)
    numbers = [int(line) for line in "".join(lines).split()]
    assert len(lines) > seen + 3 and numbers == list(range(1, len(numbers) + 1)), lines[-5:]
    await ticker.kill()
    waiting.cancel()

    children = await asyncio.gather(*(AsyncSandbox.create(snapshot.snapshot_id) for _ in range(3)))
    texts = await asyncio.gather(*(child.run_code(f"x += {index}; x") for index, child in enumerate(children)))
    assert [text.text for text in texts] == ["41", "42", "43"]
    assert (await sandbox.run_code("x")).text == "41"

    names = await asyncio.gather(*(child.commands.run("hostname") for child in children))
    assert len({name.stdout for name in names}) == 3
    await asyncio.gather(*(child.kill() for child in children), sandbox.kill())
    assert await AsyncSandbox.delete_snapshot(snapshot.snapshot_id) is True
    assert await AsyncSandbox.delete_snapshot(snapshot.snapshot_id) is False
    print("OK", flush=True)
    # As in forms.py: taking Python down may abort in the clients' transport.
    os._exit(0)


asyncio.run(main())
