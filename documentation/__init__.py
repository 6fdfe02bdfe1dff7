"""The site's generated reference, figures that are traced to files of results, and the hooks of mkdocs."""
