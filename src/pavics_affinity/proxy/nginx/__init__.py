"""A lenient model of nginx files: words, directives, statements, and what they mean."""
