import pytest

from worker.domain.errors import SettingsError
from worker.media.addresses import camera_of, check_address, hide_address, is_address, shown_address


@pytest.mark.parametrize(
    ("address", "shown", "camera"),
    [
        ("rtsp://10.0.0.7:554/live/ch1", "rtsp://10.0.0.7:554/live/ch1", "10.0.0.7-554-live-ch1"),
        ("rtsps://user:secret@gate.example/", "rtsps://gate.example", "gate.example"),
        ("RTSP://user@gate/a%20b?token=secret#secret", "rtsp://gate/a%20b", "gate-a-20b"),
        ("http://user:s%40cret@gate//x.mjpg?password=secret", "http://gate/x.mjpg", "gate-x.mjpg"),
        ("rtsp://[fe80::1]:554/live", "rtsp://[fe80::1]:554/live", "fe80-1-554-live"),
        ("rtsp://gate/user=admin_password=secret_channel=1.sdp", "rtsp://gate", "gate"),
        ("https://gate/live;token=secret/1", "https://gate/1", "gate-1"),
    ],
)
def test_an_address_is_shown_and_named_without_its_secrets(address: str, shown: str, camera: str) -> None:
    check_address(address)
    assert (shown_address(address), camera_of(address)) == (shown, camera)


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://user:secret",
        "rtsp://user:se/cret@gate/live",
        "rtsp://user:1/secret@gate/live",
        "rtsp://user:se?cret@gate",
        "rtsp://user:se#cret@gate",
        "rtsp://user:se@cret@gate/live",
        "rtsp://user:secret@/live",
        "rtsp://[secret@gate",
        "rtsp:///live",
    ],
)
def test_an_address_whose_password_may_be_anywhere_is_refused_without_quoting_it(address: str) -> None:
    with pytest.raises(SettingsError, match=r"not SCHEME://USER:PASSWORD@HOST:PORT/PATH.* as %40 ") as refused:
        check_address(address)
    assert "cret" not in str(refused.value)


@pytest.mark.parametrize("source", ["rtsp://gate", "RTSPS://gate", "http://gate/x", "https://gate"])
def test_an_address_is_known_by_its_scheme(source: str) -> None:
    assert is_address(source)


@pytest.mark.parametrize("source", ["rtsp", "rtmp://gate", "clips/http.mp4", "0", "http:/gate"])
def test_nothing_else_is_an_address(source: str) -> None:
    assert not is_address(source)


def test_only_what_can_hold_no_password_is_quoted() -> None:
    assert hide_address("clips/a.mp4") == "'clips/a.mp4'"
    assert hide_address("rtmp://gate/secret") == hide_address("user:secret@gate") == "one that looks like an address"
