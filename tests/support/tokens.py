"""An authority that gives tokens to clients that know a secret, as OpenID Connect says, and tells its public key."""

import base64
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final
from urllib.parse import parse_qs

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

CLIENT: Final = "worker"
"""The client's id, and the user's name at the brokers."""
SECRET: Final = "right-secret"  # noqa: S105 of a server that lives as long as a test
AUDIENCE: Final = "kafka"
SCOPE: Final = "kafka"
LIFETIME: Final = 300
"""Seconds that a token is valid."""


@dataclass(frozen=True, slots=True)
class TokenServer:
    """The addresses of the authority."""

    root: str

    @property
    def keys(self) -> str:
        """Where the brokers find the public key."""
        return f"{self.root}/keys"

    def endpoint(self, kind: str = "token") -> str:
        """Return the address at which a client asks for a token.

        Args:
            kind: `token` gives right tokens, `stranger` those of another authority.
        """
        return f"{self.root}/{kind}"


@contextmanager
def token_server() -> Iterator[TokenServer]:
    """Serve tokens on a free port; it ends with the block."""
    keys = {kind: generate_private_key(public_exponent=65537, key_size=2048) for kind in ("token", "stranger")}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(HTTPStatus.OK, {"keys": [_public(keys["token"])]})

        def do_POST(self) -> None:
            asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            given = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
            kind = self.path.removeprefix("/")
            if given != f"{CLIENT}:{SECRET}":
                self._answer(HTTPStatus.UNAUTHORIZED, {"error": "invalid_client"})
            elif kind not in keys:
                self._answer(HTTPStatus.NOT_FOUND, {"error": "no such page"})
            else:
                token = _token(keys[kind], asked.get("scope", [""])[0])
                self._answer(HTTPStatus.OK, {"access_token": token, "token_type": "Bearer", "expires_in": LIFETIME})

        def _answer(self, status: HTTPStatus, content: Mapping[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield TokenServer(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()


def _token(key: RSAPrivateKey, scope: str) -> str:
    now = int(time.time())
    claims = {"iss": "tests", "sub": CLIENT, "aud": AUDIENCE, "scope": scope, "iat": now, "exp": now + LIFETIME}
    signed = ".".join(_encode(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "1"}, claims))
    return f"{signed}.{_encode(key.sign(signed.encode(), padding.PKCS1v15(), SHA256()))}"


def _public(key: RSAPrivateKey) -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    modulus, exponent = (_encode(each.to_bytes((each.bit_length() + 7) // 8)) for each in (numbers.n, numbers.e))
    return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1", "n": modulus, "e": exponent}


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
