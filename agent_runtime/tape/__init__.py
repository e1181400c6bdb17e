"""What a tape is good for: replaying the call, comparing two, keeping one. The page is docs/record-and-replay.md."""
