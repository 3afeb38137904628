"""The acceptance test: one replica becomes N under load, within the objective, with nobody touching it, and back."""
