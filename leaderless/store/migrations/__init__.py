"""The schema, version by version. A version is SQL text that is never edited once released."""
