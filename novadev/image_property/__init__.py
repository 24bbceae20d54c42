"""The stored image properties of instances: listed, planned and applied."""
