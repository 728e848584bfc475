"""Many directions on one base in memory: the engine, and the HTTP service in front of it.

Nothing here is imported by the rest of the package; FastAPI and uvicorn are needed only to serve over HTTP.
"""
