"""Whether novadev can work here: the work behind ``doctor``. It only reads."""
