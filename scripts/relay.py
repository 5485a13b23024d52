"""A small relay on loopback whose wire can be cut and joined again, for the demo and the tests."""

from __future__ import annotations

import contextlib
import socket
import threading


class Relay:
    """Forwards connections from a port of its own to another; `cut` drops and refuses them."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.target = 0
        self._joined = True
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self.bytes_forwarded = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Drop every connection and refuse new ones."""
        with self._lock:
            self._joined = False
            for held in self._open:
                with contextlib.suppress(OSError):
                    held.shutdown(socket.SHUT_RDWR)
                held.close()
            self._open.clear()

    def join(self) -> None:
        """Forward again."""
        with self._lock:
            self._joined = True

    def _accept(self) -> None:
        while True:
            near, _ = self._listener.accept()
            with self._lock:
                joined = self._joined
            if not joined:
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                near.close()
                continue
            with self._lock:
                self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(1 << 16):
                sink.sendall(data)
                self.bytes_forwarded += len(data)
        except OSError:
            pass
        for held in (source, sink):
            with contextlib.suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)
            held.close()


def free_port() -> int:
    """Return a port of loopback that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
