"""What the real thing costs, next to what its parts alone cost: scripts/bench."""
