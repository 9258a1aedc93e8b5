"""How a message leaves: one file for each channel, build, post, outcome."""
