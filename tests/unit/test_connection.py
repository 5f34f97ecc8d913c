"""What librdkafka reports about connections, in its own words, and what is made of it."""

import time

import pytest

from worker.adapters.kafka import KafkaAdmin, KafkaSink
from worker.adapters.kafka.advice import ARE_BROKERS_UP
from worker.adapters.kafka.connection import Connection, Event, explain, most_telling
from worker.domain.errors import DeliveryFailed, SettingsError
from worker.domain.records import OutboundRecord

REFUSED = "127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)"
WRONG_LOGIN = (
    "sasl_plaintext://kafka:9092/bootstrap: SASL authentication error: Authentication failed: Invalid username or "
    "password (after 304ms in state AUTH_REQ)"
)


@pytest.mark.parametrize(
    ("text", "event"),
    [
        (REFUSED, ("127.0.0.1:1", "bootstrap", "Connect to ipv4#127.0.0.1:1 failed: Connection refused", "CONNECT")),
        (
            "[thrd:ssl://a:1/2]: ssl://a:1/2: Disconnected (after 1ms in state UP, 3 identical error(s) suppressed)",
            ("a:1", "2", "Disconnected", "UP"),
        ),
        (
            "[::1]:9092/bootstrap: Connect to ipv6#[::1]:9092 failed: Connection refused",
            ("[::1]:9092", "bootstrap", "Connect to ipv6#[::1]:9092 failed: Connection refused", ""),
        ),
        ("GroupCoordinator: something", ("", "", "GroupCoordinator: something", "")),
    ],
)
def test_an_event_is_read(text: str, event: tuple[str, str, str, str]) -> None:
    assert Event.read(text) == event


def test_what_the_brokers_refuse_tells_more_than_what_cannot_be_reached() -> None:
    events = [Event.read(text) for text in (REFUSED, WRONG_LOGIN, REFUSED)]

    assert most_telling(events) == events[1]
    assert most_telling([]) is None


def test_an_advertised_address_names_the_broker() -> None:
    """Of a bootstrap address, the user's own settings are to be corrected; else the broker's."""
    mine, theirs = (explain(Event.read(REFUSED.replace("bootstrap", broker)), {}) for broker in ("bootstrap", "7"))

    assert mine.text.endswith("check that the broker is up, and correct the port if it is")
    assert theirs.text.endswith(
        "broker 7 advertises this address: check that it is up, or correct its advertised.listeners"
    )


@pytest.mark.parametrize(("text", "final"), [(REFUSED, False), (WRONG_LOGIN, True)])
def test_only_a_refusal_is_final(text: str, final: bool) -> None:  # noqa: FBT001 a parameter of the test
    assert explain(Event.read(text), {}).final is final


def test_an_unknown_event_keeps_its_words_and_says_what_to_do() -> None:
    text = explain(Event.read("kafka:9092/bootstrap: Something new (after 1ms in state CONNECT)"), {}).text

    assert text.startswith("kafka:9092: Something new; compare security.protocol and the address with")


@pytest.mark.parametrize(
    ("size", "says"),
    [
        (1213486160, "an HTTP server answers there, and no Kafka"),
        (352518912, "the listener answers with TLS"),
        (1397966893, "correct the address: something else than a Kafka listens there"),
    ],
)
def test_the_first_bytes_of_an_answer_tell_what_listens(size: int, says: str) -> None:
    text = (
        f"kafka:1/bootstrap: Receive failed: Invalid response size {size} (0..100): increase receive.message.max.bytes"
    )

    assert says in explain(Event.read(text), {}).text


def test_a_client_that_has_reported_nothing_has_the_other_cause() -> None:
    connection = Connection("kafka:9092", {})

    assert connection.failure() is None
    assert connection.cause("unknown") == "unknown"


def test_the_log_and_the_errors_of_a_client_tell_its_cause() -> None:
    connection = Connection("kafka:9092", {})
    connection.log(20, "%s [%s] %s", "CONNECT", "rdkafka#producer-1", WRONG_LOGIN)
    assert connection.failure() is None  # no failure

    connection.log(30, "%s [%s] %s", "FAIL", "rdkafka#producer-1", f"[thrd:127.0.0.1:1/bootstrap]: {REFUSED}")
    assert "Connection refused" in connection.cause("unknown")


@pytest.mark.parametrize("mechanism", ["sasl.mechanisms", "sasl.mechanism"])
@pytest.mark.parametrize("method", [{}, {"sasl.oauthbearer.method": "default"}])
def test_a_client_that_would_wait_for_ever_for_a_token_is_refused(mechanism: str, method: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="nothing gives tokens to the mechanism OAUTHBEARER"):
        KafkaAdmin("kafka:9092", {"security.protocol": "SASL_SSL", mechanism: "OAUTHBEARER", **method})


def _token_refused(answer: str, status: int) -> str:
    return f'[thrd:background]: Failed to retrieve OIDC token from "https://login.example/token": {answer} ({status})'


@pytest.mark.parametrize(
    ("answer", "status", "says", "final"),
    [
        ('{"error":\n "invalid_client"}', 401, 'answers 401 {"error": "invalid_client"}; correct sasl.oau', True),
        ("no such page", 404, "answers 404 no such page; correct sasl.oauthbearer.client.id", True),
        ("try again later", 429, "answers 429 try again later; check the token server", False),
        ("", 503, "answers 503; check the token server", False),
        ("Connect failed (after 1 ms)", -1, "does not answer: Connect failed (after 1 ms); correct sasl.oau", False),
    ],
)
def test_what_a_token_server_says_is_told_and_a_refusal_is_final(
    answer: str,
    status: int,
    says: str,
    final: bool,  # noqa: FBT001 a parameter of the test
) -> None:
    connection = Connection("kafka:9092", {})
    connection.log(30, "%s [%s] %s", "OIDC", "rdkafka#producer-1", _token_refused(answer, status))
    failure = connection.failure()

    assert failure is not None
    assert failure.text.startswith(f"the token server at https://login.example/token {says}")
    assert (failure.final, failure.is_token) == (final, True)


def test_a_long_answer_of_a_token_server_is_cut_short() -> None:
    told = explain(Event.read(_token_refused("<p>sorry</p> " * 1_000, 401)), {}).text

    assert len(told) < 700
    assert "sorry</p> ...; correct sasl" in told


def test_a_failure_from_before_is_no_cause_of_what_fails_now() -> None:
    connection = Connection("kafka:9092", {})
    connection.log(30, "%s [%s] %s", "FAIL", "rdkafka#producer-1", REFUSED)
    now = time.monotonic()
    assert "Connection refused" in connection.cause("unknown")
    assert connection.cause("unknown", since=now) == "unknown"

    connection.log(30, "%s [%s] %s", "FAIL", "rdkafka#producer-1", REFUSED)
    assert "Connection refused" in connection.cause("unknown", since=now)


def test_a_sink_names_no_failure_from_before_what_it_sends() -> None:
    """The broker inside librdkafka is up again, and takes a minute to answer."""
    sink = KafkaSink("unused:9092", {"test.mock.num.brokers": 1, "test.mock.broker.rtt": 60_000})
    sink._connection.log(30, "%s [%s] %s", "FAIL", "rdkafka#producer-1", REFUSED)
    with pytest.raises(DeliveryFailed) as failed:
        sink.publish([OutboundRecord("frames", None, b"key", b"value")], {}, within=0.2)
    sink.close()

    assert str(failed.value) == f"no confirmation within 0 s of topic 'frames': 1 records: {ARE_BROKERS_UP}"
