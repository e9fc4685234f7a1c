"""One model of nginx files: words, directives, statements, and what they mean. Read leniently."""
