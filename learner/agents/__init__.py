"""PPO agents, their networks and rollouts."""
