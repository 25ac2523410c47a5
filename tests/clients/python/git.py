"""The git helpers, with a server on the sandbox's loopback that wants a password."""

from pathlib import Path

from e2b import GitAuthException, GitUpstreamException
from forms import Sandbox, done, fails, run

URL = "http://127.0.0.1:8418/project.git"
LOGIN = {"username": "ann", "password": "secret"}


async def serve(sandbox):
    server = Path(__file__).parent.parent / "programs/git-server.py"
    await done(sandbox.files.write("git-server.py", server.read_text()))
    await done(sandbox.commands.run("git init -q --bare -b main srv/project.git && git -C srv/project.git config http.receivepack true"))
    await done(sandbox.commands.run("python3 git-server.py ~/srv 8418", background=True, timeout=0))
    await done(sandbox.commands.run("while ! ss -Htln sport = :8418 | grep -q .; do sleep 0.05; done"))


async def scenario():
    sandbox = await done(Sandbox.create())
    try:
        await serve(sandbox)
        git, files = sandbox.git, sandbox.files
        await done(git.configure_user("Ann", "ann@example.com"))
        assert await done(git.get_config("user.name")) == "Ann"
        await done(git.init("work", initial_branch="main"))
        await done(files.write("work/readme", "one\n"))
        status = await done(git.status("work"))
        assert [each.name for each in status.file_status] == ["readme"] and not status.is_clean, status
        await done(git.add("work"))
        await done(git.commit("work", "first"))
        await done(git.remote_add("work", "origin", URL))
        await fails(GitUpstreamException, lambda: git.pull("work"))
        await fails(GitAuthException, lambda: git.push("work", remote="origin", branch="main"))
        await done(git.push("work", remote="origin", branch="main", **LOGIN))

        await fails(GitAuthException, lambda: git.clone(URL, path="copy"))
        await done(git.clone(URL, path="copy", **LOGIN))
        assert await done(git.remote_get("copy", "origin")) == URL
        await done(git.create_branch("copy", "topic"))
        await done(files.write("copy/readme", "two\n"))
        await done(git.add("copy", files=["readme"]))
        await done(git.commit("copy", "second"))
        branches = await done(git.branches("copy"))
        assert (branches.branches, branches.current_branch) == (["main", "topic"], "topic"), branches
        await done(git.checkout_branch("copy", "main"))
        await done(sandbox.commands.run("git -C copy merge -q topic"))
        await done(git.delete_branch("copy", "topic"))
        assert (await done(git.status("copy"))).ahead == 1
        await done(git.push("copy", **LOGIN))
        await done(git.pull("work", **LOGIN))
        assert await done(files.read("work/readme")) == "two\n"

        await done(files.write("work/readme", "three\n"))
        await done(git.restore("work", paths=["readme"]))
        assert (await done(git.status("work"))).is_clean
        await done(git.reset("work", mode="hard", target="HEAD~1"))
        assert await done(files.read("work/readme")) == "one\n"
        await done(git.dangerously_authenticate(**LOGIN, host="127.0.0.1:8418", protocol="http"))
        await done(git.pull("work"))
        assert await done(files.read("work/readme")) == "two\n"
    finally:
        await done(sandbox.kill())


run(scenario)
