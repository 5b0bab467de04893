"""A board's own calibration: simulated boards whose costs nobody knows, and one that is measured over ssh."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgekit import target
from edgekit.api.calibrate import calibrate
from edgekit.api.profile import profile
from edgekit.errors import UsageError
from edgekit.graph import tflite
from edgekit.profiling.calibrated import calibration, features
from edgekit.profiling.calibrated.calibration import Choice
from edgekit.profiling.calibrated.estimate import CalibratedCost, fitted
from edgekit.profiling.calibrated.probes import PROBES
from edgekit.profiling.calibrated.update import BOARD, updated
from edgekit.profiling.calibrated.work import works
from edgekit.profiling.dtypes import Dtype
from tests.profiling.image_networks import NETWORKS
from tests.runners.ssh_board import StandIn, reached

KNOWN = calibration.load("rpi4", "tflite-2.18-xnnpack", Dtype.FLOAT32)
HELD_BACK = ("MobileNet v1", "MobileNet v2", "Inception v3")


def test_five_networks_tighten_the_intervals_of_others_and_these_hold() -> None:
    """Each simulated board has costs drawn from the calibration's own distribution, and a speed of its own."""
    rng, board = np.random.default_rng(0), target.load("rpi4")
    costs = fitted(KNOWN)
    probes = {name: works(build()) for name, build in PROBES.items()}
    others = [NETWORKS[name]() for name in HELD_BACK if name in NETWORKS]
    assert len(others) >= 2
    inside, reach, before = [], [], []
    for _ in range(25):
        log = rng.multivariate_normal(costs.log, costs.covariance) + rng.normal(0, BOARD)

        def takes(work: list, log: np.ndarray = log) -> float:  # type: ignore[type-arg]
            table = features.on_threads(features.features(work, integer=False), 4, scaling=True).sum(0)
            return float(table @ np.exp(log) * np.exp(rng.normal(0, 0.05)))

        own = updated(KNOWN, [(work, takes(work)) for work in probes.values()], 4, "a simulation")
        for graph in others:
            truth = takes(works(graph))
            new, old = (
                CalibratedCost(Choice(one)).profile(graph, None, board, {"threads": 4}).latency_ms
                for one in (own, replace(KNOWN, covariance=_wider()))
            )
            inside.append(new.low <= truth <= new.high)
            reach.append(new.high / new.value)
            before.append(old.high / old.value)
    assert np.mean(inside) >= 0.85
    assert np.median(reach) < 0.8 * np.median(before)


def _wider() -> str:
    """The calibration's covariance with what single boards differ by: what is known before one is measured."""
    matrix = fitted(KNOWN).covariance + BOARD**2
    return ", ".join(map(str, matrix[np.tril_indices(len(matrix))].tolist()))


def test_a_calibration_can_be_written_and_read(tmp_path: Path) -> None:
    own = updated(KNOWN, [(works(build()), 5.0) for build in PROBES.values()], 2, "nowhere")
    (tmp_path / "mine.toml").write_text(calibration.text(own))
    found = calibration.parse(tmp_path / "mine.toml")
    assert found.costs == own.costs and found.threads == 2 and "nowhere" in found.source


def test_what_cannot_be_calibrated(tmp_path: Path) -> None:
    out = tmp_path / "x.toml"
    for arguments, word in (
        ({"on": "emulator", "target": "rpi4"}, "measures nothing"),
        ({"on": "ssh://nowhere", "target": "esp32-c3"}, "nothing to begin with"),
        ({"on": "ssh://nowhere", "target": "rpi4", "dtype": "int16"}, "int16"),
    ):
        with pytest.raises(UsageError, match=word):
            calibrate(**arguments, out=out)  # type: ignore[arg-type]
    assert not out.exists()


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with reached(monkeypatch) as found:
        yield found


@pytest.mark.slow
@pytest.mark.emulator
def test_a_board_over_ssh_gets_its_own(board: StandIn, tmp_path: Path) -> None:
    """The stand-in is far slower than the board it stands for: its estimates must follow its measurements."""
    out = tmp_path / "mine.toml"
    made = calibrate(f"ssh:{board.address}", target="rpi4", out=out, threads=1, repeat=3, probes=("dense", "deep"))
    assert len(made.probes) == 2
    for one in made.probes:
        tflite.write(PROBES[one.name](), tmp_path / f"{one.name}.tflite")
        now = profile(tmp_path / f"{one.name}.tflite", target="rpi4", threads=1, own=out).latency_ms.value
        assert abs(np.log(now / one.measured_ms.value)) < abs(np.log(one.expected_ms.value / one.measured_ms.value))
