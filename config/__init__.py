"""What ops write: the configuration file, its schema, its faults, its changes."""
