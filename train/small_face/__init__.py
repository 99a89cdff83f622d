"""The network that measures small faces: it learns landmarks and blendshapes from MediaPipe's."""
