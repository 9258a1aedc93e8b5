"""Rounds of faults: real daemons broken on purpose, and what mail servers saw held against what was promised."""
