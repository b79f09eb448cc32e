"""The same synthetic events from Spark: the source stays there, kernels work on its parts.

What is as large as the target log (its events, ids and items) is packed on the driver and handed to every machine
once; what is as large as the source never leaves Spark. A *part* is some source items with all of their events, as in
`scalr.synthesis.parts`; to a task it is a small pair of logs of its own.
"""
