"""How output of forked processes comes back to the kernel.

ipykernel takes it on a TCP port of the loopback interface. What listens there can be reached from outside through the
sandbox's address, as any server of the user; so the kernel takes it on a socket of the filesystem.
"""

import os

import zmq
from ipykernel.iostream import IOPubThread
from zmq.eventloop.zmqstream import ZMQStream


class FileOutputThread(IOPubThread):
    """Overrides what ipykernel (the version in requirements.txt) keeps private: both ends of that pipe."""

    def _setup_pipe_in(self):
        # Of the same directory as the kernel's other sockets, which the interpreter empties.
        directory = os.path.dirname(self.socket.getsockopt_string(zmq.LAST_ENDPOINT).removeprefix("ipc://"))
        self._pipe_address = f"ipc://{directory}/forked-{os.getpid()}"
        self._pipe_uuid = os.urandom(16)
        pipe = self.socket.context.socket(zmq.PULL)
        pipe.linger = 0
        pipe.bind(self._pipe_address)
        self._pipe_in = ZMQStream(pipe, self.io_loop)
        self._pipe_in.on_recv(self._handle_pipe_msg)

    def _setup_pipe_out(self):
        context = zmq.Context()
        pipe = context.socket(zmq.PUSH)
        pipe.linger = 3000
        pipe.connect(self._pipe_address)
        return context, pipe
