"""Studies of what networks learn that regress true rewards, after Michaud et al. 2020."""
