"""The parts of `run.py`: what is measured, on whom, how, and how it is told."""
