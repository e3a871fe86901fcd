"""The main job on text that every Python installation has."""
