"""What others have published of boards, and what follows from it for networks of the same kind."""
