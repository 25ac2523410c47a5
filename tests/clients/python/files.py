"""Every form of `files`, and signed URLs."""

import io
import urllib.error
import urllib.request

from e2b import (
    AuthenticationException,
    FileNotFoundException,
    FileType,
    InvalidArgumentException,
    NotEnoughSpaceException,
    SandboxException,
)
from forms import Sandbox, Watch, chunks, collect, done, fails, run, until


async def contents(files):
    data = bytes(index % 251 for index in range(300_001))
    for options in ({}, {"use_octet_stream": True}, {"gzip": True}):
        for given, expected in (("grüße\n", "grüße\n".encode()), (data, data), ("", b""), (io.BytesIO(data), data)):
            if isinstance(given, io.BytesIO):
                given.seek(0)
            written = await done(files.write("forms/data", given, **options))
            assert (written.name, written.path, written.type) == ("data", "/home/user/forms/data", FileType.FILE), written
            assert bytes(await done(files.read("forms/data", format="bytes"))) == expected
    await done(files.write("streamed", chunks(b"one ", b"two")))
    for gzip in (False, True):
        assert await done(files.read("streamed", gzip=gzip)) == "one two"
        assert await collect(files.read("streamed", format="stream", gzip=gzip)) == b"one two"

    names = ["many/a b.txt", "many/é/c.txt"]
    written = await done(files.write_files([{"path": name, "data": name} for name in names]))
    assert [each.path for each in written] == [f"/home/user/{name}" for name in names], written
    await done(files.write("/root/note", "root's", user="root"))
    assert (await done(files.get_info("/root/note"))).owner == "root"

    twice = [{"path": path, "data": "x"} for path in ("twice", "./twice")]
    await fails(InvalidArgumentException, lambda: files.write_files(twice))
    await fails(AuthenticationException, lambda: files.read("text", user="nosuch"))
    await fails(InvalidArgumentException, lambda: files.write("limits", "x", metadata={"key": "v" * 4096}))
    assert "VmRSS" in await done(files.read("/proc/self/status"))
    await fails(FileNotFoundException, lambda: files.read("missing"))
    await fails(InvalidArgumentException, lambda: files.read("/tmp"))
    await fails(InvalidArgumentException, lambda: files.write("/tmp", "x"))


async def full_disk(sandbox):
    await done(sandbox.commands.run("mkdir /tmp/small && mount -t tmpfs -o size=1m tmpfs /tmp/small", user="root"))
    await fails(NotEnoughSpaceException, lambda: sandbox.files.write("/tmp/small/file", b"x" * 3_000_000))


async def entries(files):
    written = await done(files.write("meta/file", "12345", metadata={"Author": "me"}))
    assert written.metadata == {"author": "me"}, written
    (listed,) = await done(files.list("meta"))
    assert listed.metadata == {"author": "me"}, listed
    info = await done(files.get_info("meta/file"))
    assert (info.size, info.mode, info.permissions) == (5, 0o644, "-rw-r--r--"), info
    assert (info.owner, info.group, info.type) == ("user", "user", FileType.FILE), info
    await done(files.write("meta/file", "x"))
    assert not (await done(files.get_info("meta/file"))).metadata

    assert await done(files.make_dir("made/below")) is True
    assert await done(files.make_dir("made/below")) is False
    await done(files.write("made/below/file", "x"))
    paths = [each.path for each in await done(files.list("made", depth=2))]
    assert paths == ["/home/user/made/below", "/home/user/made/below/file"], paths
    await fails(InvalidArgumentException, lambda: files.list("made", depth=0))
    await fails(FileNotFoundException, lambda: files.list("none"))
    moved = await done(files.rename("made/below/file", "elsewhere/new/name"))
    assert moved.path == "/home/user/elsewhere/new/name", moved
    await fails(FileNotFoundException, lambda: files.rename("made/below/file", "x"))
    error = await fails(SandboxException, lambda: files.rename("elsewhere/new/name", "/dev/shm/name"))
    assert "error renaming" in str(error), error
    assert await done(files.exists("elsewhere")) is True
    await done(files.remove("elsewhere"))
    await done(files.remove("elsewhere"))
    assert await done(files.exists("elsewhere")) is False


async def watching(sandbox):
    await done(sandbox.files.make_dir("watched"))
    watch = await Watch.open(sandbox, "watched", recursive=True, include_entry=True, allow_network_mounts=True)

    async def told(kind, name):
        found = [each for each in await watch.told() if each.type.value == kind and each.name == name]
        return found[0] if found else None

    await done(sandbox.commands.run("mkdir watched/new"))
    await until("the directory", lambda: told("create", "new"))
    await done(sandbox.commands.run("cd watched/new; echo x > a; mv a b; chmod 600 b; rm b"))
    removed = await until("the end of the file", lambda: told("remove", "new/b"))
    assert removed.entry is None, removed
    for kind, name in (("create", "new/a"), ("write", "new/a"), ("rename", "new/a"), ("create", "new/b"), ("chmod", "new/b")):
        assert await told(kind, name), (kind, name, await watch.told())
    created = await told("create", "new")
    assert created.entry.path == "/home/user/watched/new", created
    await watch.stop()
    await fails(FileNotFoundException, lambda: Watch.open(sandbox, "none"))


async def signed_urls(sandbox):
    boundary = "b"
    part = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nsigned\r\n--{boundary}--\r\n'
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    url = sandbox.upload_url("signed/file", use_signature_expiration=60)
    urllib.request.urlopen(urllib.request.Request(url, part.encode(), headers)).read()
    answer = urllib.request.urlopen(sandbox.download_url("signed/file"))
    assert (answer.read(), answer.headers["Content-Type"]) == (b"signed", "text/plain; charset=utf-8"), answer.headers
    several = urllib.request.Request(sandbox.download_url("signed/file"), headers={"Range": "bytes=0-1,-2"})
    answer = urllib.request.urlopen(several)
    assert answer.status == 206 and answer.headers.get_content_type() == "multipart/byteranges", answer.headers
    assert answer.read().count(b"Content-Range: bytes ") == 2
    try:
        urllib.request.urlopen(sandbox.download_url("signed/file", use_signature_expiration=-10))
        raise AssertionError("an expired URL opens nothing")
    except urllib.error.HTTPError as error:
        assert error.code == 401 and b"signature is already expired" in error.read()


async def scenario():
    sandbox = await done(Sandbox.create())
    try:
        await contents(sandbox.files)
        await full_disk(sandbox)
        await entries(sandbox.files)
        await watching(sandbox)
        await signed_urls(sandbox)
    finally:
        await done(sandbox.kill())


run(scenario)
