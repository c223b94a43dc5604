"""The `recon` command."""
