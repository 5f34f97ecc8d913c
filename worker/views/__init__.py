"""What a person looks at: pictures with the predictions drawn on them."""
