"""Where others may be found: hints of addresses, never of who is there."""
