"""What the daemon tells about itself: the socket, the event stream, the report."""
