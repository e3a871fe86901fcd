import logging
from pathlib import Path

import pytest
from PIL import Image
from tests.training.test_metrics_log import evaluation, loss

from warmstart.training.metrics_log import append_events
from warmstart.training.plot import plot_curves


@pytest.fixture
def metrics(tmp_path: Path) -> Path:
    file = tmp_path / "metrics.jsonl"
    append_events(file, [{**loss(step), "learning_rate": 1e-4, "grad_norm": 1} for step in (1, 2)])
    return file


def colours(picture: Path) -> set[tuple[int, int, int]]:
    with Image.open(picture) as image:
        found = image.convert("RGB").getcolors(maxcolors=2**24)
    assert found is not None
    return {colour for count, colour in found if count > 20}


def test_evaluations_are_drawn_if_there_are_any(metrics: Path, tmp_path: Path) -> None:
    blue, red = (0x1F, 0x77, 0xB4), (0xD6, 0x27, 0x28)
    plot_curves(metrics, tmp_path / "curves.png")
    assert blue in colours(tmp_path / "curves.png")
    assert red not in colours(tmp_path / "curves.png")
    append_events(metrics, [evaluation(2)])
    plot_curves(metrics, tmp_path / "curves.png")
    assert {blue, red} <= colours(tmp_path / "curves.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "metrics.jsonl"]


def test_without_matplotlib_the_install_command_is_logged(
    metrics: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with caplog.at_level(logging.INFO, "warmstart"):
        plot_curves(metrics, tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()
    assert "pip install 'warmstart[plots]'" in caplog.text


def test_nothing_to_draw(tmp_path: Path) -> None:
    plot_curves(tmp_path / "metrics.jsonl", tmp_path / "curves.png")
    assert not list(tmp_path.iterdir())
