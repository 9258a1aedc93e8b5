"""The operations: all that the command line can ask for, the same with a daemon and without one."""
