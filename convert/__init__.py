"""From trained Keras models to the int8 bundle the device loads."""
