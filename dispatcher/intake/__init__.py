"""How messages and facts come in; every way ends in accept()."""
