"""The embedded stack: the real servers, from wheels, and the processes of the service, on this machine alone."""
