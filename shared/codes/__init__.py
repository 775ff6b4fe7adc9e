"""What codegen and redemption both compute: a code's text from its serial, and the serial back. Pure, over numpy arrays."""
