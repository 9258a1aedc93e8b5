"""The notification dispatcher: the daemon, its core rules, its store and its command line."""
