"""Rights as commands of Kafka's own tool."""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.app.rights import Right


def acl_lines(user: str, servers: str, rights: Mapping[str, Iterable["Right"]]) -> Iterator[str]:
    """Yield the lines of a script for bash or zsh, with one command for each resource.

    Args:
        user: as the brokers name it, without `User:`.
        servers: brokers as host:port.
        rights: by the command that needs them.
    """
    words = ["kafka-acls.sh", "--bootstrap-server", servers, "--add", "--allow-principal", f"User:{user}"]
    yield "# Add --command-config FILE to this line if your brokers ask administrators for a login."
    yield f'acls() {{ {shlex.join(words)} "$@"; }}'
    for command, needed in rights.items():
        yield ""
        yield f"# vision-worker {command}"
        for resource, operations in groupby(needed, key=lambda right: right[1:]):
            yield " ".join(["acls", *(f"--operation {each.operation}" for each in operations), *_resource(*resource)])


def _resource(resource: str, name: str, prefixed: bool) -> Iterator[str]:  # noqa: FBT001 a field of a right
    yield f"--{resource} {shlex.quote(name)}" if name else f"--{resource}"
    if prefixed:
        yield "--resource-pattern-type prefixed"
