"""A whole run as one YAML file, validated before anything is loaded."""
