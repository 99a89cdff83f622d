"""What the device, the dashboard and any subscriber share: the messages and their transport."""
