"""A package, so that fixtures of its scope end with it: Playwright's event loop must not outlive them."""
