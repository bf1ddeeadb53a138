"""Steps per second of the environment's faces: `python benchmarks/environment.py`.

Prints the native vector face's speed against a DummyVecEnv of as many single environments, for
observations of three sizes, on one thread, and that of the same dynamics on tensors; `--device
cuda` steps those on a GPU.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import DummyVecEnv

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from envs.faces.sb3 import DynamicsVecEnv
from envs.refinement.dynamics import RefinementDynamics
from envs.refinement.env import PhotonRefinementEnv, PhotonRefinementVectorEnv, make_dynamics

BLOCKS = {
    "the shipped sample's observation": [
        "kinematics",
        "shapes",
        "embedding",
        "feature_map",
        "regression",
        "residual",
    ],
    "without low-level outputs": ["kinematics", "shapes", "residual"],
    "without residual images too": ["kinematics", "shapes"],
}


FASTER = 50.0  # than a DummyVecEnv, at least
WITH_IMAGES = 0.5e6  # steps/s, at least, with residual images


def steps_per_second(
    step: Callable[[], object], n_envs: int, seconds: float, clock: Callable[[], float]
) -> float:
    """Environment steps per second of the best of three goes."""
    step()
    best = 0.0
    for _ in range(3):
        count, start = 0, clock()
        while clock() - start < seconds / 3:
            step()
            count += 1
        best = max(best, count * n_envs / (clock() - start))
    return best


def faces(
    dynamics: RefinementDynamics, n_envs: int, actions: NDArray[np.float32], device: str
) -> dict[str, Callable[[], object]]:
    """A function per face that takes one step of all environments."""
    native = PhotonRefinementVectorEnv(n_envs, dynamics=dynamics)
    native.reset(seed=0)
    sb3 = DynamicsVecEnv(dynamics, n_envs)
    sb3.reset()
    dummy = DummyVecEnv([lambda: PhotonRefinementEnv(dynamics=dynamics)] * n_envs)
    dummy.reset()
    tensors = PhotonRefinementVectorEnv(n_envs, dynamics=dynamics, device=device)
    tensors.reset(seed=0)
    moved = torch.as_tensor(actions, device=device)

    def step_tensors() -> None:
        tensors.step(moved)
        if device != "cpu":
            torch.cuda.synchronize()

    return {
        "DummyVecEnv of single environments": lambda: dummy.step(actions),
        "native Gymnasium VectorEnv": lambda: native.step(actions),
        "native stable-baselines3 VecEnv": lambda: sb3.step(actions),
        f"VectorEnv on tensors, {device}": step_tensors,
    }


def main() -> int:
    """Command line; exits with 1 when the native face is slower than it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environments", type=int, default=4096)
    parser.add_argument("--seconds", type=float, default=3.0, help="per face")
    parser.add_argument("--device", default="cpu", help="of the tensors")
    parser.add_argument(
        "--cpu-time", action="store_true", help="for a machine that other jobs keep busy"
    )
    arguments = parser.parse_args()
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    torch.set_num_threads(1)
    n_envs = arguments.environments
    actions = np.random.default_rng(0).uniform(-1, 1, (n_envs, 3)).astype(np.float32)
    fast = True
    for title, blocks in BLOCKS.items():
        dynamics = make_dynamics(None, {"blocks": blocks})
        print(f"{n_envs} environments, {title} ({dynamics.observation_size} features):")
        base = 0.0
        for name, step in faces(dynamics, n_envs, actions, arguments.device).items():
            speed = steps_per_second(step, n_envs, arguments.seconds, clock)
            base = base or speed
            print(f"  {name:36s} {speed:12,.0f} steps/s  {speed / base:8.1f} x", flush=True)
            if "Gymnasium" in name:
                fast &= speed >= FASTER * base
                fast &= speed >= WITH_IMAGES or "residual" not in blocks
    return 0 if fast else 1


if __name__ == "__main__":
    sys.exit(main())
