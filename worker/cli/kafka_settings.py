"""Which brokers, client options and topics does a command use?

The first of these that says it:

1. `--bootstrap-servers` and `-X` of the command line.
2. The settings: the environment, then the file of `--config`.
3. For the brokers alone: the Kafka that `vision-worker kafka up` has started on this machine.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import typer

from worker.cli.options import parse_option
from worker.domain.errors import SettingsError, WorkerError
from worker.domain.spelling import or_meant
from worker.local.background import running
from worker.settings import REFUSED, Kafka, ModelGroup, Settings, Topics, read_groups

WHICH_MODEL: Final = ("path", "name", "weights")
"""The settings of the model that say which one it is; all others say how it runs."""
_NEEDED = ("kafka", "topics")


def read_settings(
    config: Path | None,
    bootstrap_servers: str | None = None,
    option: Sequence[str] | None = None,
    model: str | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """Read each group of settings, with the options of the command line.

    Args:
        config: settings as a YAML file.
        bootstrap_servers: brokers as host:port, with commas between; None for those of the settings.
        option: librdkafka options as NAME=VALUE; they override those of the settings.
        model: replaces the model of the settings, and no other setting; as people name it.

    Returns:
        The valid groups by name, and the faults of all others.
    """
    given = dict(map(parse_option, option or []))
    kafka: dict[str, Any] = {} if bootstrap_servers is None else {"bootstrap_servers": bootstrap_servers}
    if given:
        kafka["options"] = given
    overrides = {"kafka": kafka} if kafka else {}
    if model is not None:
        named = ModelGroup.named(model)
        overrides["model"] = {name: getattr(named, name) for name in WHICH_MODEL}
    groups, faults = read_groups(config, overrides=overrides, find_brokers=find_local_brokers)
    if "kafka" in groups:
        groups["kafka"] = _overridden(groups["kafka"], given)
    return groups, faults


def complete_settings(
    config: Path | None,
    bootstrap_servers: str | None = None,
    option: Sequence[str] | None = None,
    model: str | None = None,
) -> Settings:
    """Return all settings, with the options of the command line; the arguments are those of `read_settings`.

    Raises:
        SettingsError: lists every fault with the name of the setting.
    """
    groups, faults = read_settings(config, bootstrap_servers, option, model)
    if faults:
        raise SettingsError(faults)
    return Settings.model_construct(None, **groups)


def kafka_and_topics(
    config: Path | None, bootstrap_servers: str | None = None, option: Sequence[str] | None = None
) -> tuple[Kafka, Topics]:
    """Return the cluster and the topics, for commands that need nothing else; faults of other groups do not matter.

    The arguments are those of `read_settings`. What the settings refuse, because a worker's delivery depends on it, is
    taken from the command line: no command that calls this is a worker.

    Raises:
        SettingsError: the settings of Kafka or of the topics have faults, or something that is set is no setting.
    """
    accepted = [each for each in option or () if each.partition("=")[0] not in REFUSED]
    groups, faults = read_settings(config, bootstrap_servers, accepted)
    others = Settings.model_fields.keys() - set(_NEEDED)
    if faults := [fault for fault in faults if fault.partition(":")[0].partition(".")[0] not in others]:
        raise SettingsError(faults)
    return _overridden(groups["kafka"], dict(map(parse_option, option or []))), groups["topics"]


def find_local_brokers() -> str | None:
    """Return the address of the Kafka of `vision-worker kafka up`, and say that it is used; None if there is none."""
    found = running()
    if found is None:
        return None
    typer.echo(
        f"kafka.bootstrap_servers is not set: using the Kafka of `vision-worker kafka up` at {found.bootstrap_servers}",
        err=True,
    )
    return found.bootstrap_servers


def missing_topic(name: str, kafka: Kafka, topics: Topics, known: Iterable[str]) -> WorkerError:
    """Return the error of a topic that does not exist.

    Args:
        name: of the topic.
        kafka: the cluster.
        topics: those of the settings, which a command creates.
        known: the topics that exist.
    """
    if name in topics.in_use().values():
        advice = "create it with vision-worker topics apply"
    else:
        advice = or_meant(name, known, otherwise="name another one")
    return WorkerError(f"topic {name!r} does not exist at {kafka.bootstrap_servers}; {advice}")


def _overridden(kafka: Kafka, given: Mapping[str, str]) -> Kafka:
    """Return the settings with these options for all clients, also where the settings have one for a single client."""
    single = {
        client: {name: value for name, value in getattr(kafka, client).items() if name not in given}
        for client in ("consumer", "producer")
    }
    return kafka.model_copy(update={"options": {**kafka.options, **given}, **single})
