"""Other rules of identity over the past, by command and over the API, while the roles of one machine go on."""

from pathlib import Path

from tests.services.test_definitions import embedded
from tests.services.test_reresolve import told


def test_what_is_predicted_comes_about(tmp_path: Path) -> None:
    """Who shares a tablet is parted, events arrive meanwhile, and nobody differs in the end."""
    with embedded(tmp_path) as site:
        found = told(site, tmp_path / "told")
    assert found["now"] < found["then"]
