"""Environments for photons; importing this package registers them with Gymnasium."""

from gymnasium.envs.registration import register, registry

ID = "PhotonRefinement-v1"

#: Id with version, and the module and stem of its classes: `<stem>Env` and `<stem>VectorEnv`.
ENVIRONMENTS = {
    ID: "envs.refinement.env:PhotonRefinement",
    "ResonanceCalibration-v1": "envs.calibration.env:ResonanceCalibration",
    "Categorisation-v1": "envs.categories.env:Categorisation",
    "ShowerProfile-v1": "envs.profile.env:ShowerProfile",
}

for _id, _stem in ENVIRONMENTS.items():
    if _id not in registry:
        register(_id, entry_point=f"{_stem}Env", vector_entry_point=f"{_stem}VectorEnv")
