"""What the parts of the compiler share: reports, files, folders, secrets."""
