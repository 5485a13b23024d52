"""The indexer: keeps the entries of this device's locations as the folders are."""
