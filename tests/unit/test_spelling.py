import pytest

from worker.domain.spelling import closest, or_meant

NAMES = ("bootstrap_servers", "group_id", "options", "producer")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("bootstrap-servers", "bootstrap_servers"),
        ("bootstrapServers", "bootstrap_servers"),
        ("bootstrap.servers", "bootstrap_servers"),
        ("BOOTSTRAP_SERVER", "bootstrap_servers"),
        ("groupid", "group_id"),
        ("option", "options"),
        ("prodcuer", "producer"),
        ("brokers", None),
        ("", None),
        ("--", None),
    ],
)
def test_the_name_that_is_meant_is_found_in_any_style(name: str, meant: str | None) -> None:
    assert closest(name, NAMES) == meant


def test_an_advice_names_it_or_says_something_else() -> None:
    assert or_meant("option", NAMES, "see the list") == "did you mean options?"
    assert or_meant("brokers", NAMES, "see the list") == "see the list"
