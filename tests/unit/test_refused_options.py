"""What is said of an option that librdkafka refuses: by the real client, which connects to nothing."""

from collections.abc import Mapping

import pytest
from confluent_kafka.admin import AdminClient

from worker.adapters.kafka.messages import make_client
from worker.domain.errors import SettingsError


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"securty.protocol": "SSL"}, '"securty.protocol"; did you mean security.protocol?'),
        ({"security_protocol": "SSL"}, "did you mean security.protocol?"),
        ({"sasl.mechanism.name": "PLAIN"}, "did you mean sasl.mechanisms?"),
        ({"nothing": 1}, '"nothing"; librdkafka\'s page CONFIGURATION.md lists all names and values'),
        ({"security.protocol": "TLS"}, "write PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"),
        ({"security.protocol": "SASL_SSL", "sasl.mechanisms": "SCRAM"}, "write PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"),
        ({"security.protocol": "SASL_SSL", "sasl.mechanisms": "PLAIN"}, "set it in kafka.options or with -X"),
        ({"security.protocol": "SSL", "ssl.ca.location": "/no/file"}, "set ssl.ca.location to a file that exists"),
        ({"fetch.min.bytes": -1}, "outside allowed range 0..2147483647; librdkafka's page"),
    ],
)
def test_a_refused_option_says_what_to_do(options: Mapping[str, str | int], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        make_client(AdminClient, {"bootstrap.servers": "localhost:1", "log_level": 0}, options)

    (fault,) = caught.value.faults
    assert fault.startswith("librdkafka options: ")
    assert said in fault
    assert len(fault.splitlines()) == 1
