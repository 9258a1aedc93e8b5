"""From templates to words, from words to bytes."""
