"""Pages and pictures for a browser, which fetch nothing and show no markup of others."""
