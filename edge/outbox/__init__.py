"""The durable queue between the vision process and the publisher."""
