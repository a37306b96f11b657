"""The console: pages for people, served at /console by the same process as the API.

Pages are rendered here and ask the same records as the routes of the API; what changes something calls those routes.
"""
