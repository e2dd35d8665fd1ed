"""One module for each version. A step is never changed once it was released."""
