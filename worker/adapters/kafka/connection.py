"""Why a client cannot connect: librdkafka tells it in events and in its log, and never in the error of a call."""

import logging
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from textwrap import shorten
from typing import Any, Final, NamedTuple, TypeVar

from confluent_kafka import KafkaError, KafkaException

from worker.adapters.kafka.certificates import certificate_fault
from worker.adapters.kafka.messages import RDKAFKA_LOG, Options, log
from worker.domain.errors import WorkerError

T = TypeVar("T")

RECENT: Final = 60.0
"""Seconds after which a failure says nothing about the present: the client has connected again since, or fails anew."""

_FIRST_ATTEMPT, _LONGEST_ATTEMPT, _LAST_ATTEMPT = 0.5, 5.0, 0.1
"""Seconds of an attempt to reach a broker. Between two attempts, the client reports the causes of failures, so the
first ones are short; the last one ends with the time that is left, but leaves some for an answer."""
_ARE_THEY_UP: Final = "check that all brokers are up, and that they can be reached from here"
_PAUSE: Final = 0.1
"""Seconds for a client to report causes; after an answer that comes at once, such as "not ready", they are a pause."""

_FORM: Final = re.compile(
    r"(\[thrd:[^\]]*\]: )?(\w+://)?(?P<address>\S+)/(?P<broker>\w+): (?P<what>.*?)"
    r"( \(after \d+ms in state (?P<state>\w+)(, \d+ identical error\(s\) suppressed)?\))?",
    re.DOTALL,
)
_LONGEST_WORDS: Final = 400
"""Characters: a token server may answer with a whole page."""
_HOST_AND_PORT: Final = re.compile(r"\[?(.+?)\]?:(\d+)")


class BrokerUnreachable(WorkerError):
    """No broker answered, or they refuse this user."""


class Event(NamedTuple):
    """What librdkafka reports about one connection.

    Attributes:
        address: host and port; empty if the report names none.
        broker: `bootstrap`, or a broker's number: then it is the cluster that gave the address.
        what: the report, in librdkafka's words.
        state: of the connection.
    """

    address: str
    broker: str
    what: str
    state: str

    @property
    def what_and_state(self) -> str:
        """What rules look at."""
        return f"{self.what} in state {self.state}"

    @classmethod
    def read(cls, text: str) -> "Event":
        """Read a line of the log, or the text of an error."""
        found = _FORM.fullmatch(text.strip())
        if found is None:
            return cls("", "", text, "")
        return cls(found["address"], found["broker"], found["what"], found["state"] or "")


class _Rule(NamedTuple):
    """What to do about the events that a pattern finds in "WHAT in state STATE".

    Attributes:
        says: replaces librdkafka's words, with groups of the pattern; None keeps them.
        final: the broker has refused, so waiting does not help.
        is_token: it is the token server that has refused or cannot be reached: no broker was asked.
        is_far: the address cannot be reached at all.
        certificate: the broker's certificate is refused, and librdkafka does not say why.
    """

    pattern: str
    advice: str
    says: str | None = None
    final: bool = False
    is_token: bool = False
    is_far: bool = False
    certificate: bool = False


_TLS: Final = "set security.protocol to SSL or SASL_SSL if this listener has TLS"
_NO_TOKEN: Final = r'retrieve OIDC token from "(?P<url>[^"]*)": (?P<answer>.*)'  # noqa: S105 a pattern
_CORRECT_CLIENT: Final = (
    "correct sasl.oauthbearer.client.id, sasl.oauthbearer.client.secret and sasl.oauthbearer.token.endpoint.url"
)
_RULES: Final = (
    _Rule(r"mechanism handshake failed.*Unsupported SASL mechanism", "set sasl.mechanisms to one of these", final=True),
    _Rule(
        r"mechanism handshake failed",
        "set security.protocol to PLAINTEXT or SSL, or use the port of a listener with SASL",
        says="this listener takes no passwords",
        final=True,
    ),
    _Rule(
        r"SASL authentication error.*invalid_token",
        "compare sasl.oauthbearer.token.endpoint.url and sasl.oauthbearer.scope with what this listener expects",
        says="the broker refuses the token",
        final=True,
    ),
    _Rule(r"SASL authentication error|Authentication failed", "correct sasl.username and sasl.password", final=True),
    _Rule(
        rf"{_NO_TOKEN} \((?P<status>4(?!08|29)\d\d)\)",
        _CORRECT_CLIENT,
        says=r"the token server at \g<url> answers \g<status> \g<answer>",
        final=True,
        is_token=True,
    ),
    _Rule(
        rf"{_NO_TOKEN} \((?P<status>\d+)\)",
        "check the token server and its log",
        says=r"the token server at \g<url> answers \g<status> \g<answer>",
        is_token=True,
    ),
    _Rule(
        rf"{_NO_TOKEN} \(-\d+\)",
        "correct sasl.oauthbearer.token.endpoint.url, or check that the token server is up",
        says=r"the token server at \g<url> does not answer: \g<answer>",
        is_token=True,
    ),
    _Rule(r"acquire SASL OAUTHBEARER token", _CORRECT_CLIENT, is_token=True),
    _Rule(
        r"certificate verify failed",
        "set ssl.ca.location to the certificate of the authority that signed it",
        says="the certificate of the broker is refused",
        certificate=True,
    ),
    _Rule(
        r"alert (\w+ )*(certificate|ca)\b",
        "set ssl.certificate.location and ssl.key.location to a certificate and key that the broker trusts",
        says="the broker refuses the certificate of this client, or gets none",
    ),
    _Rule(
        r"connecting to a PLAINTEXT broker listener|wrong version number|packet length too long",
        "set security.protocol to PLAINTEXT or SASL_PLAINTEXT, or use the port of a listener with TLS",
        says="the listener at this port has no TLS",
    ),
    _Rule(
        r"Invalid response size 1213486160",  # the letters HTTP as a number
        "correct the port: Kafka listens on another one",
        says="an HTTP server answers there, and no Kafka",
    ),
    _Rule(r"Invalid response size 3525\d+", _TLS, says="the listener answers with TLS"),  # TLS's record of an alert
    _Rule(
        r"Invalid response size|Unsupported|Protocol parse failure",
        "correct the address: something else than a Kafka listens there",
    ),
    _Rule(
        r"ApiVersionRequest failed.*Timed out",
        "correct the address if no Kafka listens there; otherwise check whether the broker is overloaded",
        says="something accepts connections there and does not answer",
    ),
    _Rule(
        r"Disconnected.* in state APIVERSION_QUERY",
        f"{_TLS}; otherwise check that a Kafka listens there",
        says="the connection is closed before a first answer",
    ),
    _Rule(
        r"Disconnected.* in state (UP|AUTH)",
        "if this listener asks for a password, set security.protocol to SASL_PLAINTEXT or SASL_SSL; otherwise check "
        "that the broker is up",
        says="the broker closes the connection",
    ),
    _Rule(r"SSL|ssl", "compare security.protocol and the ssl.* options with the settings of this listener"),
    _Rule(r"Failed to resolve", "correct the host name", is_far=True),
    _Rule(r"Connection refused", "check that the broker is up, and correct the port if it is", is_far=True),
    _Rule(
        r"timed out|No route|unreachable",
        "check that the broker is up, and that no firewall is in between",
        is_far=True,
    ),
    _Rule(r"", "compare security.protocol and the address with the settings of the broker's listener"),
)
"""What says most about the cause comes first."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a client cannot connect.

    Attributes:
        text: address, cause, and what to do.
        final: who was asked has refused, so waiting does not help.
        is_token: it is about a token, without which no broker can be asked.
    """

    text: str
    final: bool
    is_token: bool


def most_telling(events: Iterable[Event]) -> Event | None:
    """Return the event that says most about the cause of a failure."""
    return min(events, key=lambda event: _RULES.index(_rule_of(event)), default=None)


def explain(event: Event, options: Options) -> Failure:
    """Say what an event means, and what to do; ask the broker for its certificate if that is what is wrong.

    Args:
        event: what librdkafka reported.
        options: the client's librdkafka options.
    """
    rule = _rule_of(event)
    says, advice = _words(rule, event), rule.advice
    if rule.certificate and (place := _HOST_AND_PORT.fullmatch(event.address)):
        says, advice = certificate_fault(place[1], int(place[2]), options) or (says, advice)
    if rule.is_far and event.broker.isdecimal():
        advice = (
            f"broker {event.broker} advertises this address: check that it is up, or correct its advertised.listeners"
        )
    return Failure(f"{event.address}: {says}; {advice}".removeprefix(": "), rule.final, rule.is_token)


def _words(rule: _Rule, event: Event) -> str:
    found = re.search(rule.pattern, event.what_and_state, re.DOTALL)
    words = event.what if rule.says is None or found is None else found.expand(rule.says)
    return shorten(words, _LONGEST_WORDS, placeholder=" ...")


def _rule_of(event: Event) -> _Rule:
    return next(rule for rule in _RULES if re.search(rule.pattern, event.what_and_state, re.DOTALL))


class Connection:
    """What one client reports about its connections: it goes to the log, and tells the cause when a call fails.

    A client reports only within its `poll`, `flush` and `consume`.

    Args:
        servers: the addresses that the client was given.
        options: the client's librdkafka options.
    """

    def __init__(self, servers: str, options: Options) -> None:
        self._servers = servers
        self._options = options
        self._heard: dict[Event, float] = {}
        self._is_told = False

    def callbacks(self) -> Mapping[str, Any]:
        """Return the options that make a client report to this object."""
        return {"bootstrap.servers": self._servers, "error_cb": self._error, "logger": self}

    def log(self, level: int, pattern: str, *values: object) -> None:
        """Take a line of librdkafka's log; the client calls this as it would call a `logging.Logger`."""
        RDKAFKA_LOG.log(logging.DEBUG if self._is_told else level, pattern, *values)
        if values and values[0] in {"FAIL", "OIDC"}:  # of a connection, or of a token
            self._hear(str(values[-1]))

    def failure(self, since: float = -math.inf) -> Failure | None:
        """Return the failure that says most about the cause, of those of the last minute; None if there was none.

        Args:
            since: when what fails now began, in seconds of `time.monotonic`; what failed before may have passed.
        """
        since = max(since, time.monotonic() - RECENT)
        recent = [event for event, heard in self._heard.items() if heard > since]
        event = most_telling(reversed(recent))
        return None if event is None else explain(event, self._options)

    def cause(self, otherwise: str, since: float = -math.inf) -> str:
        """Return the cause of a failure and what to do; `otherwise` if the client has reported none since then."""
        failure = self.failure(since)
        return failure.text if failure else otherwise

    def unreachable(self, error: KafkaException, within: float) -> BrokerUnreachable:
        """Return the error of a request that was not answered within these seconds, or that a broker refused."""
        if error.args[0].code() > 0:  # a broker's own error; those of the client are negative
            return BrokerUnreachable(f"the brokers at {self._servers} answer: {error.args[0].str()}; {_ARE_THEY_UP}")
        failure = self.failure()
        if failure is not None and failure.is_token:
            return BrokerUnreachable(f"there is no token for the brokers at {self._servers}: {failure.text}")
        if failure is not None and failure.final:
            return BrokerUnreachable(f"the brokers at {self._servers} refuse the connection: {failure.text}")
        cause = self.cause(f"{error.args[0].str()}; {_ARE_THEY_UP}")
        return BrokerUnreachable(f"no broker answered at {self._servers} within {within:.0f} s: {cause}")

    def until_answered(
        self,
        ask: Callable[[float], T],
        poll: Callable[[float], object],
        within: float,
        waiting: Callable[[str], None] = lambda _: None,
    ) -> T:
        """Repeat a request until a broker answers, and return the answer.

        Args:
            ask: makes the request, and waits for these seconds.
            poll: lets the client report.
            within: seconds to wait. If the brokers refuse this user, waiting does not help, so it ends earlier.
            waiting: is called after each attempt that failed, with the cause.

        Raises:
            BrokerUnreachable: no broker answered in time, or they refuse this user; the text has the cause.
        """
        deadline = time.monotonic() + within
        self._is_told = True  # the error and `waiting` tell the cause: the log need not repeat it many times a second
        try:
            answer = self._repeat(ask, poll, deadline, waiting)
        except KafkaException as error:
            raise self.unreachable(error, within) from error
        finally:
            self._is_told = False
        self._heard.clear()  # what failed before says nothing about what fails from now on
        return answer

    def _repeat(
        self,
        ask: Callable[[float], T],
        poll: Callable[[float], object],
        deadline: float,
        waiting: Callable[[str], None],
    ) -> T:
        attempt = _FIRST_ATTEMPT
        while True:
            try:
                return ask(min(attempt, max(_LAST_ATTEMPT, deadline - time.monotonic())))
            except KafkaException:
                ended = time.monotonic() >= deadline
                poll(_PAUSE)
                failure = self.failure()
                if ended or (failure is not None and failure.final):
                    raise
                waiting(self.cause("nothing was heard from them yet"))
                attempt = min(2 * attempt, _LONGEST_ATTEMPT)

    def _error(self, error: KafkaError) -> None:
        # At debug level, because librdkafka logs the same error, at most every 30 seconds instead of at every attempt.
        log.debug("kafka client", error=error.str(), code=error.name())
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # it has no cause
            self._hear(error.str())

    def _hear(self, text: str) -> None:
        now, event = time.monotonic(), Event.read(text)
        self._heard = {e: heard for e, heard in self._heard.items() if now - heard < RECENT and e != event}
        self._heard[event] = now  # the newest is the last
