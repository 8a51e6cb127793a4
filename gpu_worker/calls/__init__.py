"""What the web process asks of a worker and waits for: pictures, embeddings, scores, recordings, chats."""
