"""Read logs for Spark: source frames are checked and brought into one form, the target is read on the driver."""
