"""Logs of Spark frames: checked, counted, the target packed on the driver."""
