"""What masks are drawn from."""
