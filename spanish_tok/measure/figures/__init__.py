"""What is measured: quality, round trips, groups of records, speed, models."""
