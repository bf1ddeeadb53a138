"""DDPG that spares itself what a discount of 0 makes superfluous."""

from __future__ import annotations

import numpy as np
import stable_baselines3
import torch
from stable_baselines3.common.utils import polyak_update
from torch.nn import functional


class DDPG(stable_baselines3.DDPG):
    """DDPG of stable-baselines3; without a future to value, its critic is a plain regression.

    With a discount of 0 the value of an action is its expected reward. No next observation is
    then looked at and the critic's target network is never asked, which saves two thirds of the
    forward passes; the actor's target network goes on following the actor, for its mean over the
    last updates is a better policy than the last one. With any other discount nothing changes.
    """

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Take gradient steps on transitions of the replay buffer."""
        if self.gamma > 0:
            super().train(gradient_steps, batch_size)
            return
        self.policy.set_training_mode(True)
        self._update_learning_rate([self.actor.optimizer, self.critic.optimizer])
        losses = [self._step(batch_size) for _ in range(gradient_steps)]
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        for name, values in zip(("critic", "actor"), np.transpose(losses), strict=True):
            self.logger.record(f"train/{name}_loss", np.mean(values))

    def _step(self, batch_size: int) -> tuple[float, float]:
        """One gradient step of critic and actor; their losses."""
        assert self.replay_buffer is not None
        batch = self.replay_buffer.sample(batch_size)
        value = self.critic.q1_forward(batch.observations, batch.actions)
        critic_loss = functional.mse_loss(value, batch.rewards)
        self.critic.optimizer.zero_grad()
        critic_loss.backward()
        self.critic.optimizer.step()
        # The critic's weights need no gradients on the actor's way up its slope.
        self.critic.requires_grad_(False)
        actions = self.actor(batch.observations)
        actor_loss = -self.critic.q1_forward(batch.observations, actions).mean()
        self.actor.optimizer.zero_grad()
        actor_loss.backward()
        self.actor.optimizer.step()
        self.critic.requires_grad_(True)
        with torch.no_grad():
            polyak_update(self.actor.parameters(), self.actor_target.parameters(), self.tau)
        return critic_loss.item(), actor_loss.item()
