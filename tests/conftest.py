"""What every test gets."""

from __future__ import annotations

from hypothesis import settings

# Examples are bounded by their number, not by a clock: these machines are noisy.
settings.register_profile("project", deadline=None, max_examples=50)
settings.load_profile("project")
