"""Nova's records, as Nova keeps them: cells v2, instances, request specs."""
