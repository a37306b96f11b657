"""The Celery workers: they claim shards, attribute their images and record what came out."""
