"""`dispatcher demo`: the main job on this machine, with nothing to prepare, checked against what really arrived."""
