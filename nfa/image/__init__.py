"""The image: all that passes from the compiler to the daemon. Each form has its writer and its reader here."""
