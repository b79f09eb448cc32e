"""What ties a job to a cluster: the session, parts of a frame, values for every task."""
