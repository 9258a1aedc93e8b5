"""The drill: the real daemon on a virtual clock, before scripted providers. Nothing leaves the machine."""
