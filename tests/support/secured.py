"""A real Kafka with passwords, certificates and access rules, and a listener for each way to fail to connect."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import trustme
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from tests.support.tokens import AUDIENCE, CLIENT, SCOPE, SECRET, TokenServer, token_server
from worker.local.broker import LocalKafka, _free_ports
from worker.local.node import NodeSettings

USER: Final = "worker"
PASSWORD: Final = "right-password"  # noqa: S105 of a broker that lives as long as a test
HOST: Final = "127.0.0.1"
NO_HOST: Final = "no-such-host.invalid"
PROTOCOLS: Final = {
    "PASSWORD": "SASL_PLAINTEXT",
    "PASSWORD_TLS": "SASL_SSL",
    "TLS": "SSL",
    "EXPIRED": "SSL",
    "OTHER_NAME": "SSL",
    "MUTUAL": "SSL",
    "TOKEN": "SASL_SSL",
    "AWAY": "PLAINTEXT",
    "AWAY_NAME": "PLAINTEXT",
}
"""The other listeners. The listener PLAINTEXT also exists; its clients may do everything."""
ADVERTISED: Final = {"AWAY": f"{HOST}:1", "AWAY_NAME": f"{NO_HOST}:9092"}
"""Listeners whose advertised addresses lead nowhere."""


class Rule(NamedTuple):
    """A right of `USER`."""

    operation: str
    resource: str
    name: str
    prefixed: bool = False

    def binding(self) -> AclBinding:
        """Return the rule as Kafka's admin client writes it."""
        return AclBinding(
            ResourceType[self.resource],
            self.name,
            ResourcePatternType.PREFIXED if self.prefixed else ResourcePatternType.LITERAL,
            f"User:{USER}",
            "*",
            AclOperation[self.operation],
            AclPermissionType.ALLOW,
        )


@dataclass(frozen=True, slots=True)
class Secured:
    """A broker that lets in who is allowed.

    Attributes:
        ports: of the listeners, by name.
        folder: of the files with certificates and keys, all PEM.
        tokens: the authority whose tokens the listener TOKEN takes.
    """

    kafka: LocalKafka
    ports: Mapping[str, int]
    folder: Path
    tokens: TokenServer

    @property
    def servers(self) -> str:
        """The address at which everything is allowed."""
        return self.kafka.bootstrap_servers

    def at(self, listener: str) -> str:
        """Return the address of a listener."""
        return f"{HOST}:{self.ports[listener]}"

    def login(self, mechanism: str = "PLAIN", password: str = PASSWORD) -> dict[str, str]:
        """Return librdkafka's options for the listener PASSWORD."""
        return {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanisms": mechanism,
            "sasl.username": USER,
            "sasl.password": password,
        }

    def tls(self, authority: str = "authority", **files: str) -> dict[str, str]:
        """Return librdkafka's options for the listeners with certificates.

        Args:
            authority: the file of who signed the certificates that are trusted.
            files: more files, by option: `ssl_key_location` is ssl.key.location.
        """
        named = {"ssl_ca_location": authority, **files}
        paths = {option.replace("_", "."): str(self.folder / f"{name}.pem") for option, name in named.items()}
        return {"security.protocol": "SSL", **paths}

    def token(self, kind: str = "token", secret: str = SECRET) -> dict[str, str]:
        """Return librdkafka's options for the listener TOKEN.

        Args:
            kind: of the token, as `TokenServer.endpoint` says.
            secret: of the client.
        """
        return {
            **self.tls(),
            "security.protocol": "SASL_SSL",
            "sasl.mechanisms": "OAUTHBEARER",
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.client.id": CLIENT,
            "sasl.oauthbearer.client.secret": secret,
            "sasl.oauthbearer.scope": SCOPE,
            "sasl.oauthbearer.token.endpoint.url": self.tokens.endpoint(kind),
        }

    def allow(self, *rules: Rule) -> None:
        """Give the user these rights, and no others."""
        admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 0})
        any_one: Any = None  # the types of the library do not know it
        everything = AclBindingFilter(
            ResourceType.ANY,
            any_one,
            ResourcePatternType.ANY,
            any_one,
            any_one,
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        (deleted,) = admin.delete_acls([everything]).values()
        deleted.result(30)
        for made in admin.create_acls([rule.binding() for rule in rules]).values() if rules else ():
            made.result(30)


@contextmanager
def secured(folder: Path) -> Iterator[Secured]:
    """Start the broker; it ends with the block.

    Args:
        folder: gets the files with certificates and keys.
    """
    _write_certificates(folder)
    ports = dict(zip(PROTOCOLS, (port.clients for port in _free_ports(len(PROTOCOLS))), strict=True))
    with (
        token_server() as tokens,
        _java_may_ask(tokens.keys),
        LocalKafka(adjust=lambda settings: _with_listeners(settings, ports, folder, tokens)) as kafka,
    ):
        _add_user(kafka.bootstrap_servers)
        yield Secured(kafka, ports, folder, tokens)


@contextmanager
def _java_may_ask(url: str) -> Iterator[None]:
    """Let brokers that start in the block read keys from an address: since Kafka 4, each must be allowed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_TOOL_OPTIONS", f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={url}")
        yield


def _write_certificates(folder: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    stranger.cert_pem.write_to_path(folder / "stranger.pem")
    certificates = {
        "right": authority.issue_cert(HOST),
        "expired": authority.issue_cert(HOST, not_after=datetime(2020, 1, 1, tzinfo=UTC)),
        "other-name": authority.issue_cert("kafka.example"),
        "client": authority.issue_cert("client@example"),
        "client-stranger": stranger.issue_cert("client@example"),
    }
    for name, certificate in certificates.items():
        key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
        # Java reads keys in no other format.
        readable = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        chain = b"".join(each.bytes() for each in certificate.cert_chain_pems)
        (folder / f"{name}.pem").write_bytes(readable + chain)


def _with_listeners(
    settings: NodeSettings, ports: Mapping[str, int], folder: Path, tokens: TokenServer
) -> NodeSettings:
    """Return the settings of a broker with all listeners, an authorizer, and one user with a password."""
    addresses = {name: f"{HOST}:{port}" for name, port in ports.items()}
    protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT", **PROTOCOLS}
    certificates = {"EXPIRED": "expired", "OTHER_NAME": "other-name"}
    found = settings | {
        "listeners": _listed(addresses, settings["listeners"]),
        "advertised.listeners": _listed(addresses | ADVERTISED, settings["advertised.listeners"]),
        "listener.security.protocol.map": ",".join(f"{name}:{kind}" for name, kind in protocols.items()),
        "inter.broker.listener.name": "PLAINTEXT",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    for name, kind in PROTOCOLS.items():
        prefix = f"listener.name.{name.lower()}"
        if "SSL" in kind:
            found |= {
                f"{prefix}.ssl.keystore.type": "PEM",
                f"{prefix}.ssl.keystore.location": str(folder / f"{certificates.get(name, 'right')}.pem"),
                f"{prefix}.ssl.truststore.type": "PEM",
                f"{prefix}.ssl.truststore.location": str(folder / "authority.pem"),
                f"{prefix}.ssl.client.auth": "required" if name == "MUTUAL" else "none",
            }
        if name == "TOKEN":
            found |= _token_listener(tokens)
        elif "SASL" in kind:
            found |= {
                f"{prefix}.sasl.enabled.mechanisms": f"PLAIN,{','.join(_scram(name))}",
                f"{prefix}.plain.sasl.jaas.config": (
                    f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
                ),
                **{
                    f"{prefix}.{mechanism.lower()}.sasl.jaas.config": (
                        "org.apache.kafka.common.security.scram.ScramLoginModule required;"
                    )
                    for mechanism in _scram(name)
                },
            }
    return found


def _scram(listener: str) -> tuple[str, ...]:
    """Return the mechanisms of a listener, so that there is one which a listener has not."""
    return ("SCRAM-SHA-256",) if listener == "PASSWORD" else ("SCRAM-SHA-256", "SCRAM-SHA-512")


def _token_listener(tokens: TokenServer) -> NodeSettings:
    handlers, prefix = "org.apache.kafka.common.security.oauthbearer", "listener.name.token"
    return {
        f"{prefix}.sasl.enabled.mechanisms": "OAUTHBEARER",
        f"{prefix}.oauthbearer.sasl.jaas.config": f"{handlers}.OAuthBearerLoginModule required;",
        f"{prefix}.oauthbearer.sasl.server.callback.handler.class": f"{handlers}.OAuthBearerValidatorCallbackHandler",
        f"{prefix}.oauthbearer.sasl.oauthbearer.jwks.endpoint.url": tokens.keys,
        f"{prefix}.oauthbearer.sasl.oauthbearer.expected.audience": AUDIENCE,
    }


def _listed(addresses: Mapping[str, str], before: str | int) -> str:
    return ",".join([str(before), *(f"{name}://{address}" for name, address in addresses.items())])


def _add_user(servers: str) -> None:
    """Let the user log in with SCRAM too; for PLAIN it is in the broker's settings."""
    admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
    for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
        hashed = ScramCredentialInfo(mechanism, 4096)
        wanted = UserScramCredentialUpsertion(USER, hashed, PASSWORD.encode())
        (added,) = admin.alter_user_scram_credentials([wanted]).values()
        added.result(30)
