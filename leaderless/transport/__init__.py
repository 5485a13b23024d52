"""Roads between two devices: framed messages over an authenticated connection."""
