"""What clients written for OpenAI's API speak, under /v1/, with the same tokens and permissions as /api/."""
