"""Child processes: started, limited, confined, watched."""
