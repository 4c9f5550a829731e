"""The compiler: a child process that reads the configuration, writes an image, and exits."""
