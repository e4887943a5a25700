"""The study: demonstrations, rankings, reward models, agents, and what they are worth."""
