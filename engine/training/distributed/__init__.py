"""One training on several processes that share each batch."""
