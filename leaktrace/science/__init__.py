"""The science: images in, attributions out. Knows nothing of queues, databases, object stores or HTTP."""
