"""What reads the log: the learner (start with `learner.py`), its checkpoints, and the prequential evaluator."""
