"""One file per version; only ever added to."""
