"""`vision-worker settings`: all settings, as the table in docs/settings.md."""

import typer

from worker.settings import describe


def settings() -> None:
    """Print every setting with its environment variable, default and meaning, as Markdown."""
    typer.echo(settings_table())


def settings_table() -> str:
    """Return the settings as a Markdown table."""
    head = "| setting | environment variable | default | meaning |\n| --- | --- | --- | --- |\n"
    return head + "\n".join(f"| `{n}` | `{v}` | {d} | {t} |" for n, v, d, t in describe())
