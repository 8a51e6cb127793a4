"""The Django project and the domain; loads no model library."""
