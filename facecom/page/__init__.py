"""The page in the browser, and the same answers over HTTP, on this machine only."""
