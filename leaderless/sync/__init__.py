"""The session's shell: links, what is read and applied for them, and whom to call."""
