"""How Leaktrace is run: the embedded stack, container images and Kubernetes manifests."""
