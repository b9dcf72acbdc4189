"""The board in a real browser: Chromium through Playwright. `make test-browser`."""
