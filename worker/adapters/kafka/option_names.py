"""What to do about an option that librdkafka refuses. It lists neither its options nor their values."""

import re
from collections.abc import Mapping
from typing import Final

from worker.domain.spelling import or_meant

_USUAL: Final = (
    "acks",
    "allow.auto.create.topics",
    "auto.offset.reset",
    "batch.size",
    "broker.address.family",
    "client.id",
    "client.rack",
    "compression.level",
    "compression.type",
    "connections.max.idle.ms",
    "debug",
    "delivery.timeout.ms",
    "enable.ssl.certificate.verification",
    "fetch.max.bytes",
    "fetch.min.bytes",
    "fetch.wait.max.ms",
    "group.instance.id",
    "heartbeat.interval.ms",
    "isolation.level",
    "linger.ms",
    "log_level",
    "max.in.flight.requests.per.connection",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "message.max.bytes",
    "message.timeout.ms",
    "metadata.max.age.ms",
    "partition.assignment.strategy",
    "partitioner",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "reconnect.backoff.max.ms",
    "request.timeout.ms",
    "retry.backoff.ms",
    "sasl.kerberos.keytab",
    "sasl.kerberos.principal",
    "sasl.mechanisms",
    "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.extensions",
    "sasl.oauthbearer.method",
    "sasl.oauthbearer.scope",
    "sasl.oauthbearer.token.endpoint.url",
    "sasl.password",
    "sasl.username",
    "security.protocol",
    "session.timeout.ms",
    "socket.keepalive.enable",
    "socket.timeout.ms",
    "ssl.ca.certificate.stores",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "statistics.interval.ms",
    "topic.metadata.refresh.interval.ms",
)
"""Options that people set; librdkafka has some more."""
_VALUES: Final[Mapping[str, str]] = {
    "security.protocol": "write PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
    "sasl.mechanisms": "write PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or GSSAPI",
    "compression.type": "write none, gzip, snappy, lz4 or zstd",
    "auto.offset.reset": "write earliest, latest or error",
}
_LIST: Final = "librdkafka's page CONFIGURATION.md lists all names and values"


def on_refused_option(text: str) -> str:
    """Return what librdkafka says of an option, and what to do about it."""
    said = text.strip()
    if unknown := re.fullmatch(r'No such configuration property: "(.*)"', said):
        return f"{said}; {or_meant(unknown[1], _USUAL, otherwise=_LIST)}"
    if refused := re.search(r'configuration property "(.*)"', said):
        return f"{said}; {_VALUES.get(refused[1], _LIST)}"
    if "SASL mechanism" in said:
        return f"{said}; set sasl.mechanisms: {_VALUES['sasl.mechanisms']}"
    if file := re.search(r"(ssl\.[\w.]+\.location) failed", said):
        return f"{said}; set {file[1]} to a file that exists, and that this user may read"
    if re.search(r"must be set|is mandatory", said):
        return f"{said}; set it in kafka.options or with -X"
    return f"{said}; {_LIST}"
