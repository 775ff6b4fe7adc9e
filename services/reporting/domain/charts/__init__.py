"""What each chart shows, worked out from the figures: its values, and the sentence that they make."""
