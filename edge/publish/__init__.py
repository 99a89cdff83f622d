"""Events from the outbox to the broker, over MQTT."""
