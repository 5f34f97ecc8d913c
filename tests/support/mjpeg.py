"""A camera of the tests' own: MJPEG over HTTP on 127.0.0.1, whose frames carry their number in their pixels."""

import base64
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 256, 96
_BITS: Final = 16
_BLOCK: Final = WIDTH // _BITS
_BOUNDARY: Final = "frame"


def draw(number: int) -> NDArray[np.uint8]:
    """Return a BGR picture: above, 16 blocks, white for each bit of the number; below, red on the left, blue beside."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    bits = [255 * (number >> bit & 1) for bit in range(_BITS)]
    picture[: HEIGHT // 2] = np.repeat(bits, _BLOCK)[:, None]
    picture[HEIGHT // 2 :, : WIDTH // 2] = (0, 0, 255)
    picture[HEIGHT // 2 :, WIDTH // 2 :] = (255, 0, 0)
    return picture


def decode(jpeg: bytes) -> NDArray[np.uint8]:
    """Return a JPEG's pixels as RGB."""
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8)


def number_of(jpeg: bytes) -> int:
    """Return the number in a frame of any size."""
    picture = decode(jpeg)
    height, width = picture.shape[:2]
    row = picture[height // 4, [int((bit + 0.5) * width / _BITS) for bit in range(_BITS)], 0]
    return sum(1 << bit for bit, grey in enumerate(row) if grey > 127)


def colours_of(jpeg: bytes) -> tuple[list[int], list[int]]:
    """Return the RGB colours of the left and of the right half below the number."""
    picture = decode(jpeg)
    height, width = picture.shape[:2]
    left, right = (picture[3 * height // 4, column].tolist() for column in (width // 4, 3 * width // 4))
    return left, right


class MjpegCamera:
    """Serves frames 0, 1, 2 and so on over all its connections, then refuses further ones.

    Use it as a context manager.

    Args:
        connections: how many frames each connection gets before it is broken; 0 refuses it.
        interval: seconds between two frames; 0 serves as fast as they are taken.
        user: the user and password, `USER:PASSWORD`, that a client must give; None lets everybody in.
        hold: leave the last connection open, silent, until the camera is closed.

    Attributes:
        requested: the path and query of each request, in order.
    """

    def __init__(
        self, connections: Sequence[int], *, interval: float = 0.0, user: str | None = None, hold: bool = False
    ) -> None:
        self.requested: list[str] = []
        self._connections = list(connections)
        self._interval = interval
        self._credentials = user and f"Basic {base64.b64encode(user.encode()).decode()}"
        self._hold = hold
        self._served = 0
        self._taking = threading.Lock()
        self._closed = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        return int(self._server.server_address[1])

    @property
    def address(self) -> str:
        """The address without user and query."""
        return f"http://127.0.0.1:{self.port}/live/main"

    @property
    def served(self) -> int:
        """Number of frames served so far."""
        return self._served

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera._answer(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        if self._credentials and request.headers.get("Authorization") != self._credentials:
            request.send_response(401)
            request.send_header("WWW-Authenticate", 'Basic realm="camera"')
            request.end_headers()
            return
        with self._taking:
            self.requested.append(request.path)
            frames = self._connections.pop(0) if self._connections else 0
            last = not self._connections
        if not frames:
            request.send_error(503)
            return
        request.send_response(200)
        request.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
        request.end_headers()
        try:
            for _ in range(frames):
                if self._closed.wait(self._interval):
                    return
                _, jpeg = cv2.imencode(".jpg", draw(self._served))
                head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                request.wfile.write(head.encode() + np.asarray(jpeg).tobytes() + b"\r\n")
                self._served += 1
            if last and self._hold:
                self._closed.wait()
        except ConnectionError:
            pass  # the client has left
