"""The processes of the daemon: isolation, supervision, systemd."""
