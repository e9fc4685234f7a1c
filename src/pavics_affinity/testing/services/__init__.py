"""What a node of the local cluster runs: PyWPS processes, a WSGI application, gunicorn."""
