"""The programs on a node of the local cluster: PyWPS processes, a WSGI application, gunicorn."""
