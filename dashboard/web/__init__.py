"""The web application: pages, live streams, exports, sign-in."""
