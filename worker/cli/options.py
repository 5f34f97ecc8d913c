"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="Settings as a YAML file; the environment overrides it.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
BootstrapServers = Annotated[
    str,
    typer.Option("--bootstrap-servers", "-b", envvar="KAFKA_BOOTSTRAP_SERVERS", help="Brokers as host:port."),
]
