"""Frozen prediction tasks: regenerated anywhere from their names, with baselines, and scored by one command."""
