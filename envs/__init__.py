"""The photon refinement environment; importing this package registers it with Gymnasium."""

from gymnasium.envs.registration import register, registry

ID = "PhotonRefinement-v1"

if ID not in registry:
    register(
        ID,
        entry_point="envs.refinement.env:PhotonRefinementEnv",
        vector_entry_point="envs.refinement.env:PhotonRefinementVectorEnv",
    )
