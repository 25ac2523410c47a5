"""Waits with the client's own patience for a node that is drained to become ready. Prints OK at the end."""
import json
import os
import threading
import urllib.request

from e2b import Sandbox, ServiceBusyException


def make_ready():
    request = urllib.request.Request(
        f"{os.environ['E2B_API_URL']}/nodes/{os.environ['NODE_ID']}",
        method="POST",
        headers={"X-Admin-Token": os.environ["ADMIN_TOKEN"], "Content-Type": "application/json"},
        data=json.dumps({"status": "ready"}).encode(),
    )
    assert urllib.request.urlopen(request).status == 204


try:
    Sandbox.create(retries=0)
    raise AssertionError("a drained node takes nothing new")
except ServiceBusyException as error:
    assert "'draining'" in str(error), error

opener = threading.Timer(1, make_ready)
opener.start()
Sandbox.create().kill()
opener.join()
print("OK")
