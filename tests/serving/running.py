"""A server in a thread of the test's process."""

import contextlib
import socket
import threading
import time

import uvicorn

from structkd_allennlp.serving.server import Limits, create_app
from structkd_allennlp.serving.watch import WatchedProtocol


@contextlib.contextmanager
def running(taggers, limits=None):
    """The address of a server, which ends with the block."""
    sock = socket.create_server(("127.0.0.1", 0), backlog=512)
    app = create_app(taggers, limits or Limits())
    config = uvicorn.Config(app, http=WatchedProtocol, ws="none", log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
