"""A refiner as TorchScript and ONNX: raw features in, the refiner's own corrections out."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from common.config import build
from common.errors import InputError, PipelineError
from envs.faces.sb3 import DynamicsVecEnv
from rl.learning.agents import make_agent
from rl.learning.config import AgentConfig
from rl.refinement import deployment
from rl.refinement.config import DeployAgentConfig, RefineConfig
from rl.refinement.portable import PortableRefiner, input_names, raw_inputs
from rl.refinement.refiner import Refiner
from rl.refinement.samples import read_photons


def _config(run: RefineConfig, output: Path, **settings: Any) -> DeployAgentConfig:
    known = {"agent": run.output, "store": run.store, "output": output, "photons": 150}
    return build(DeployAgentConfig, known, settings)


def test_torchscript_refines_as_the_refiner_does(
    refinement_run: RefineConfig, tmp_path: Path
) -> None:
    folder = deployment.run(_config(refinement_run, tmp_path, formats=["torchscript"]))
    refiner = Refiner.load(refinement_run.output)
    table = read_photons(refinement_run.store, None).table
    assert input_names(refiner) == ("kinematics", "shapes", "shares", "offset")
    raw = raw_inputs(refiner, table)
    assert not torch.isfinite(raw[1]).all()  # unknown values may go in as they are
    loaded = torch.jit.load(folder / deployment.FILES["torchscript"])
    expected = refiner.refine(table).final
    np.testing.assert_allclose(loaded(*raw).detach(), expected, atol=1e-6)
    interface = json.loads((folder / deployment.INTERFACE).read_text())
    assert interface["inputs"]["kinematics"]["meaning"][0] == "log_energy"
    assert interface["inputs"]["shares"]["shape"] == ["photons", 7, 7]
    assert json.loads((folder / "metrics.json").read_text())["torchscript"][
        "largest_difference"
    ] == pytest.approx(0, abs=1e-6)


def test_onnx_runs_on_any_number_of_photons(refinement_run: RefineConfig, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    folder = deployment.run(_config(refinement_run, tmp_path, formats=["onnx"]))
    session = runtime.InferenceSession(str(folder / deployment.FILES["onnx"]))
    refiner = Refiner.load(refinement_run.output)
    table = read_photons(refinement_run.store, None).table.take(np.arange(11))
    names = input_names(refiner)
    assert [each.name for each in session.get_inputs()] == list(names)
    named = {n: v.numpy() for n, v in zip(names, raw_inputs(refiner, table), strict=True)}
    (found,) = session.run(["correction"], named)
    np.testing.assert_allclose(found, refiner.refine(table).final, atol=1e-6)


@pytest.mark.parametrize("algorithm", ["TD3", "SAC"])
def test_other_agents_and_the_mean_of_several_can_be_exported(
    algorithm: str, refinement_run: RefineConfig
) -> None:
    refiner = Refiner.load(refinement_run.output)
    table = read_photons(refinement_run.store, None).table.take(np.arange(50))
    env = DynamicsVecEnv(refiner.dynamics(table), 4)
    config = build(AgentConfig, {"algorithm": algorithm, "hidden": [8], "buffer_size": 10})
    agents = [make_agent(env, config, seed) for seed in range(2)]
    several = replace(refiner, agent=agents, algorithm=algorithm)
    with torch.no_grad():
        found = PortableRefiner(several)(*raw_inputs(several, table))
    np.testing.assert_allclose(found, several.refine(table).final, atol=1e-6)


def test_a_missing_package_leaves_its_format_out(
    refinement_run: RefineConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        deployment, "find_spec", lambda name: None if name == "onnxruntime" else find_spec(name)
    )
    folder = deployment.run(_config(refinement_run, tmp_path))
    assert (folder / deployment.FILES["torchscript"]).is_file()
    assert not (folder / deployment.FILES["onnx"]).exists()


def test_a_disagreement_fails_the_command(
    refinement_run: RefineConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = deployment.WRITERS["torchscript"]

    def wrong(*words: Any) -> Any:
        runner = right(*words)
        return lambda inputs: tuple(values + np.float32(0.01) for values in runner(inputs))

    monkeypatch.setitem(deployment.WRITERS, "torchscript", wrong)
    with pytest.raises(PipelineError, match="differs from the refiner"):
        deployment.run(_config(refinement_run, tmp_path, formats=["torchscript"]))
    assert not (tmp_path / "run.json").exists()


def test_a_run_without_an_agent_is_refused(refinement_run: RefineConfig, tmp_path: Path) -> None:
    config = _config(refinement_run, tmp_path / "out", agent=tmp_path)
    with pytest.raises(InputError, match="no trained agent"):
        deployment.run(config)
