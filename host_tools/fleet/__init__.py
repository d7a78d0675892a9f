"""What a fleet is now, as its devices say it: their messages, read and bounded, and how a whole fleet is heard."""
