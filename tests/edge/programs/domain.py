"""The same through the Python clients. Prints OK at the end."""
import os
import ssl
import threading
import time
import urllib.request

from e2b import Sandbox as BaseSandbox, TimeoutException
from e2b_code_interpreter import Sandbox

sandbox = BaseSandbox.create()
assert sandbox.get_host(8000) == f"8000-{sandbox.sandbox_id}.{os.environ['E2B_DOMAIN']}"
assert sandbox.commands.run("echo hello").stdout == "hello\n"
sandbox.files.write("/home/user/note", "from outside")
assert sandbox.files.read("/home/user/note") == "from outside"

context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
assert urllib.request.urlopen(sandbox.download_url("/home/user/note"), context=context).read() == b"from outside"
sandbox.commands.run("python3 -m http.server --bind 127.0.0.1 8000 -d /home/user", background=True, timeout=0)
assert urllib.request.urlopen(f"https://{sandbox.get_host(8000)}/note", context=context).read() == b"from outside"

doomed = sandbox.commands.run("sleep 1000", background=True, timeout=0)
threading.Thread(target=lambda: (time.sleep(0.5), sandbox.kill())).start()
try:
    doomed.wait()
    raise AssertionError("the command's sandbox was killed")
except TimeoutException as error:
    assert "killed or reached its end of life" in str(error), error
assert not sandbox.is_running()

code = Sandbox.create()
assert code.run_code("40 + 2").text == "42"
code.kill()
print("OK")
