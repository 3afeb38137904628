"""A Kubernetes cluster: what is there, what would change, changing it, and why it is not ready yet.

Takes and gives plain objects. What to change, in which order, and what a pod's state means are pure functions; only
`ApiServer` speaks to the network. It knows nothing of planning or of how the objects came to be.
"""
