"""The tables of docs/ say what the code says. `make docs` writes them anew."""

import pytest

from tests.support.generated import DOCS, tables


@pytest.mark.parametrize("name", list(tables()))
def test_a_generated_table_is_up_to_date(name: str) -> None:
    page = DOCS / f"{name}.md"

    assert tables()[name] in page.read_text(), f"the table of {page.name} is old: make docs"
