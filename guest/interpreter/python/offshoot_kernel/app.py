"""Configures and runs ipykernel."""

import zmq
from ipykernel import kernelapp
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from traitlets import Type
from traitlets.config import Config

from . import formats, images, output, reseed


class OffshootKernel(IPythonKernel):
    """Adds `offshoot_reseed_request` to the control channel, whose thread also runs while user code is busy."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.control_handlers["offshoot_reseed_request"] = self.offshoot_reseed_request

    def offshoot_reseed_request(self, stream, ident, parent):
        reseed.reseed(bytes.fromhex(parent["content"]["seed"]))
        self.session.send(stream, "offshoot_reseed_reply", {"status": "ok"}, parent=parent, ident=ident)


class OffshootKernelApp(IPKernelApp):
    """IPKernelApp whose output channel never drops a message."""

    # The kind of client that the kernel could make for itself. Its default would be imported.
    blocking_class = Type(klass=object, default_value=object)

    def init_pdb(self):
        """A debugger would ask on a terminal that is not there: leave it out of memory."""

    def init_iopub(self, context):
        # With the default limit of 1000 messages a burst of output loses messages, even the one that ends the execution.
        context.setsockopt(zmq.SNDHWM, 0)
        kernelapp.IOPubThread = output.FileOutputThread
        super().init_iopub(context)


def run(connection_file):
    """Serves the kernel until it is shut down."""
    config = Config()
    config.InteractiveShell.colors = "nocolor"
    config.PlainTextFormatter.max_seq_length = 0
    # No SQLite file, no thread for it: clients have no access to history across kernels.
    config.HistoryManager.enabled = False

    app = OffshootKernelApp.instance(kernel_class=OffshootKernel, config=config)
    app.initialize(["-f", connection_file])
    formats.install(app.shell)
    images.install()
    app.start()
