"""Validators for the message contract in schemas/."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from worker.domain.records import Headers

SCHEMAS = Path(__file__).parents[2] / "schemas"


@cache
def schema(kind: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((SCHEMAS / f"{kind}.v1.json").read_text())
    return content


@cache
def validator(kind: str) -> Draft202012Validator:
    Draft202012Validator.check_schema(schema(kind))
    return Draft202012Validator(schema(kind))


def sample(kind: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((SCHEMAS / "samples" / f"{kind}.v1.json").read_text())
    return content


def check_json(kind: str, value: bytes | None) -> dict[str, Any]:
    """Validate a message's value against its schema, and return it."""
    document: dict[str, Any] = json.loads(value or b"null")
    validator(kind).validate(document)
    return document


def check_headers(kind: str, headers: Headers) -> dict[str, str]:
    """Validate a message's headers against their schema, and return them as text."""
    document = {name: (value or b"").decode() for name, value in headers}
    validator(kind).validate(document)
    return document
