"""What a server is run with that its operator should know of is told at the start and by `pyrite info`."""

from pathlib import Path

from pyrite.node.config import Config
from pyrite.node.info import read_info
from pyrite.node.opening import open_store


def warned(folder: Path, **settings: object) -> list[str]:
    """The warnings that info tells after a start with these settings."""
    config = Config(drives=(folder / "drive",), access_key="access", secret_key="secretsecret", **settings)
    _, locks = open_store(config)
    locks.release()
    return read_info((folder / "drive",)).warnings


def test_plain_http_beyond_the_machine(tmp_path: Path) -> None:
    """It is warned of as long as the last start was one with it, and no longer."""
    assert warned(tmp_path) == []
    for host in ("0.0.0.0", "::", "192.168.1.5"):
        assert any("plain HTTP" in line for line in warned(tmp_path, host=host)), host
    assert warned(tmp_path, host="0.0.0.0", tls_certificate=tmp_path / "c", tls_key=tmp_path / "k") == []
    assert warned(tmp_path, host="127.0.0.1") == []
