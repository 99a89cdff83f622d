"""What the subcommands of `edge` do."""
