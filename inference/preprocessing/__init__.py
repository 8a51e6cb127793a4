"""What several engines need before and around their model: pictures, sentences, chats, errors."""
