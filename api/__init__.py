"""The HTTP service. It never imports torch: what a model knows reaches it through the records."""
